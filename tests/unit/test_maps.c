/* SPDX-License-Identifier: Apache-2.0 */
/* What is mapped where: as the kernel writes it, and as nobody should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "exporters/crash/maps.h"

static struct maps parse(const char *text)
{
    struct maps maps = {0};

    assert_int_equal(maps_parse(&maps, text, strlen(text)), 0);
    return maps;
}

static void test_maps_of_this_process(void **state)
{
    struct maps maps = {0};
    const struct mapping *code;

    (void)state;
    assert_int_equal(maps_read(&maps, getpid()), 0);
    code = maps_find(&maps, (uint64_t)(uintptr_t)&parse);
    assert_non_null(code);
    assert_true(code->executable && !code->writable && code->inode);
    assert_non_null(strstr(code->path, "test_maps"));
    assert_true(maps_is_executable(&maps, (uint64_t)(uintptr_t)&parse));
    assert_false(maps_is_executable(&maps, (uint64_t)(uintptr_t)&maps));
    assert_null(maps_find(&maps, 0));
    maps_deinit(&maps);
}

static void test_maps_has_names_with_blanks_and_deleted_files(void **state)
{
    struct maps maps = parse("1000-2000 r-xp 00000000 08:01 17                   /tmp/a b (deleted)\n"
                             "2000-3000 rw-p 00001000 00:00 0 \n"
                             "3000-4000 rw-p 00000000 00:00 0                    [stack]\n");

    (void)state;
    assert_int_equal(maps.count, 3);
    assert_string_equal(maps.list[0].path, "/tmp/a b");
    assert_true(maps.list[0].deleted && maps.list[0].executable);
    assert_string_equal(maps.list[1].path, "");
    assert_int_equal(maps.list[1].offset, 0x1000);
    assert_string_equal(maps.list[2].path, "[stack]");
    assert_ptr_equal(maps_find(&maps, 0x1fff), &maps.list[0]);
    assert_ptr_equal(maps_find(&maps, 0x2000), &maps.list[1]);
    assert_null(maps_find(&maps, 0x4000));
    maps_deinit(&maps);
}

static void test_maps_leaves_out_what_makes_no_sense(void **state)
{
    struct maps maps = parse("5000-6000 r-xp 0 08:01 17 /a\n"
                             "5800-7000 r-xp 0 08:01 17 /overlaps\n"
                             "1000-2000 r-xp 0 08:01 17 /goes-back\n"
                             "9000-8000 r-xp 0 08:01 17 /ends-before-it-starts\n"
                             "words\n\n-\n%s%n\n"
                             "8000-9000 r-xp 0 08:01 17 /b");

    (void)state;
    assert_int_equal(maps.count, 2);
    assert_string_equal(maps.list[1].path, "/b");
    maps_deinit(&maps);
}

/* A copy may say that there is more of the kernel's object than we have ourselves. */
static void test_maps_reads_no_more_of_the_vdso_than_there_is(void **state)
{
    struct maps own = {0}, maps = parse("1000-100000000 r-xp 0 00:00 0 [vdso]\n");
    const struct mapping *vdso;
    uint8_t bytes[4096];

    (void)state;
    assert_true(maps_read_file(&maps, 0x1000, bytes, sizeof(bytes)) < 0);
    assert_true(maps_read_file(&maps, 0x800000, bytes, sizeof(bytes)) < 0);
    maps_deinit(&maps);
    assert_int_equal(maps_read(&own, getpid()), 0);
    vdso = maps_find(&own, getauxval(AT_SYSINFO_EHDR));
    assert_non_null(vdso);
    assert_int_equal(maps_read_file(&own, vdso->start, bytes, sizeof(bytes)), 0);
    assert_memory_equal(bytes, "\177ELF", 4);
    assert_true(maps_read_file(&own, vdso->end - 4000, bytes, sizeof(bytes)) < 0);
    maps_deinit(&own);
}

static void test_maps_opens_only_the_file_that_is_mapped(void **state)
{
    struct maps maps = {0}, other = parse("1000-2000 r--p 00000000 08:01 1                   /etc/passwd\n"
                                          "2000-3000 r--p 00000000 08:01 1                   /dev/tty\n");
    const struct mapping *code;
    int fd;

    (void)state;
    assert_true(maps_open(&other.list[0], 0) < 0); /* another inode has that name */
    assert_true(maps_open(&other.list[1], 0) < 0); /* no regular file */
    maps_deinit(&other);
    assert_int_equal(maps_read(&maps, getpid()), 0);
    code = maps_find(&maps, (uint64_t)(uintptr_t)&parse);
    fd = maps_open(code, getpid());
    assert_true(fd >= 0);
    close(fd);
    maps_deinit(&maps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maps_of_this_process),
        cmocka_unit_test(test_maps_has_names_with_blanks_and_deleted_files),
        cmocka_unit_test(test_maps_leaves_out_what_makes_no_sense),
        cmocka_unit_test(test_maps_reads_no_more_of_the_vdso_than_there_is),
        cmocka_unit_test(test_maps_opens_only_the_file_that_is_mapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
