/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/elf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DYNAMIC_AT = 512, NAMES_AT = 640, NOTE_AT = 768, IMAGE_SIZE = 1024, ADDRESS = 0x400000 };

/* A small executable: headers, what the segments point at. */
static void make_image(uint8_t image[IMAGE_SIZE], const char *needed, const char *note_name)
{
    static const char names[] = "\0libc.so.6";
    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
#if defined(__aarch64__)
        .e_machine = EM_AARCH64,
#else
        .e_machine = EM_X86_64,
#endif
        .e_phoff = sizeof(header),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 4,
    };
    const Elf64_Phdr segments[4] = {
        {.p_type = PT_LOAD, .p_vaddr = ADDRESS, .p_filesz = IMAGE_SIZE},
        {.p_type = PT_INTERP, .p_offset = NAMES_AT, .p_filesz = 8},
        {.p_type = PT_DYNAMIC, .p_offset = DYNAMIC_AT, .p_filesz = 4 * sizeof(Elf64_Dyn)},
        {.p_type = PT_NOTE, .p_offset = NOTE_AT, .p_filesz = sizeof(Elf64_Nhdr) + 8},
    };
    const Elf64_Dyn dynamic[4] = {
        {.d_tag = DT_NEEDED, .d_un.d_val = 1},
        {.d_tag = DT_NEEDED, .d_un.d_val = sizeof(names)},
        {.d_tag = DT_STRTAB, .d_un.d_ptr = ADDRESS + NAMES_AT},
        {.d_tag = DT_NULL},
    };
    const Elf64_Nhdr note = {.n_namesz = 4, .n_descsz = 4, .n_type = 4};

    memset(image, 0, IMAGE_SIZE);
    memcpy(image, &header, sizeof(header));
    memcpy(image + header.e_phoff, segments, sizeof(segments));
    memcpy(image + DYNAMIC_AT, dynamic, sizeof(dynamic));
    memcpy(image + NAMES_AT, names, sizeof(names));
    memcpy(image + NAMES_AT + sizeof(names), needed, strlen(needed) + 1);
    memcpy(image + NOTE_AT, &note, sizeof(note));
    memcpy(image + NOTE_AT + sizeof(note), note_name, 4);
}

static int file_of(const uint8_t *image, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, image, len), len);
    return fd;
}

static struct elf_facts inspect(const uint8_t *image, size_t len)
{
    struct elf_facts facts;
    int fd = file_of(image, len);

    elf_inspect(fd, &facts);
    (void)close(fd);
    return facts;
}

static void test_elf_sees_a_dynamic_program(void **state)
{
    uint8_t image[IMAGE_SIZE];

    (void)state;
    make_image(image, "libm.so.6", "GNU");
    struct elf_facts facts = inspect(image, sizeof(image));
    assert_true(facts.is_elf);
    assert_true(facts.is_dynamic);
    assert_false(facts.is_go);
    assert_false(facts.is_foreign);
    assert_string_equal(facts.sanitizer, "");
}

static void test_elf_finds_the_sanitizer(void **state)
{
    uint8_t image[IMAGE_SIZE];

    (void)state;
    make_image(image, "libasan.so.8", "GNU");
    assert_string_equal(inspect(image, sizeof(image)).sanitizer, "libasan.so.8");
}

static void test_elf_finds_go_by_its_note(void **state)
{
    uint8_t image[IMAGE_SIZE];

    (void)state;
    make_image(image, "libm.so.6", "Go\0");
    assert_true(inspect(image, sizeof(image)).is_go);
}

static void test_elf_knows_other_machines(void **state)
{
    uint8_t image[IMAGE_SIZE];

    (void)state;
    make_image(image, "libm.so.6", "GNU");
    image[EI_CLASS] = ELFCLASS32;
    assert_true(inspect(image, sizeof(image)).is_foreign);
    make_image(image, "libm.so.6", "GNU");
    ((Elf64_Ehdr *)(void *)image)->e_machine = EM_S390;
    assert_true(inspect(image, sizeof(image)).is_foreign);
}

static void test_elf_takes_a_script_for_none(void **state)
{
    (void)state;
    assert_false(inspect((const uint8_t *)"#!/bin/sh\n", 10).is_elf);
    assert_false(inspect((const uint8_t *)"", 0).is_elf);
}

struct count {
    size_t items[ELF_VERSION + 1];
    size_t bytes;
};

static void count_item(void *arg, enum elf_item item, const char *text)
{
    struct count *count = arg;

    assert_non_null(text);
    count->items[item]++;
    count->bytes += strlen(text); /* all of it can be read */
}

static void visit(const uint8_t *image, size_t len)
{
    struct count count = {0};
    int fd = file_of(image, len);

    elf_visit(fd, count_item, &count);
    (void)close(fd);
}

static void test_elf_visits_all_items(void **state)
{
    struct count count = {0};
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    (void)state;
    elf_visit(fd, count_item, &count);
    (void)close(fd);
    assert_int_equal(count.items[ELF_INTERPRETER], 1);
    assert_true(count.items[ELF_NEEDED] && count.items[ELF_SECTION] && count.items[ELF_NOTE]);
    assert_true(count.items[ELF_IMPORT] && count.items[ELF_VERSION]);
}

/* A real program with symbols and versions, cut and with bytes turned over in its headers, tables and sections. */
static void test_elf_visits_broken_programs(void **state)
{
    static uint8_t image[1 << 18];
    int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, image, sizeof(image));

    (void)state;
    (void)close(fd);
    assert_true(len > 0);
    for (ssize_t cut = 0; cut < len; cut += cut < 1024 ? 1 : 61)
        visit(image, (size_t)cut);
    for (ssize_t at = 0; at < len; at += at < 8192 || at > len - 4096 ? 3 : 257) {
        image[at] ^= 0xff;
        visit(image, (size_t)len);
        image[at] ^= 0xff;
    }
}

static void test_elf_tells_what_is_broken(void **state)
{
    uint8_t image[IMAGE_SIZE];

    (void)state;
    make_image(image, "libm.so.6", "GNU");
    assert_false(inspect(image, sizeof(image)).is_broken);
    assert_true(inspect(image, 40).is_broken);
    assert_false(inspect(image, 3).is_elf);
}

/* Cut anywhere, and with every byte of the headers turned into nonsense: no answer matters, only that there is one. */
static void test_elf_survives_broken_files(void **state)
{
    uint8_t image[IMAGE_SIZE];

    (void)state;
    make_image(image, "libasan.so.8", "Go\0");
    for (size_t len = 0; len < IMAGE_SIZE; len++)
        (void)inspect(image, len);
    for (size_t at = 0; at < IMAGE_SIZE; at++) {
        uint8_t old = image[at];

        image[at] = 0xff;
        (void)inspect(image, sizeof(image));
        image[at] = 0x7f;
        (void)inspect(image, sizeof(image));
        image[at] = old;
    }
}

static void test_elf_reads_this_program(void **state)
{
    struct elf_facts facts;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    (void)state;
    elf_inspect(fd, &facts);
    assert_true(facts.is_elf && facts.is_dynamic && !facts.is_go);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elf_sees_a_dynamic_program),  cmocka_unit_test(test_elf_finds_the_sanitizer),
        cmocka_unit_test(test_elf_finds_go_by_its_note),    cmocka_unit_test(test_elf_knows_other_machines),
        cmocka_unit_test(test_elf_takes_a_script_for_none), cmocka_unit_test(test_elf_survives_broken_files),
        cmocka_unit_test(test_elf_reads_this_program),      cmocka_unit_test(test_elf_visits_all_items),
        cmocka_unit_test(test_elf_visits_broken_programs),  cmocka_unit_test(test_elf_tells_what_is_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
