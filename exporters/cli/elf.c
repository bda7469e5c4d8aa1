/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/elf.h"

#include "exporters/cli/preload_list.h"

#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#else
#define OWN_MACHINE EM_NONE
#endif

/* The file, mapped. A program that is cut short while it is read would kill us by SIGBUS: then it could not be executed
 * either. */
struct image {
    const uint8_t *bytes;
    size_t len;
};

/* NULL when any of it lies outside. */
static const void *image_at(const struct image *image, uint64_t offset, uint64_t len)
{
    if (offset > image->len || len > image->len - offset)
        return NULL;
    return image->bytes + offset;
}

/* A NUL-terminated text within the image; NULL when it isn't. */
static const char *image_text(const struct image *image, uint64_t offset)
{
    const char *text = image_at(image, offset, 1);

    return text && memchr(text, '\0', image->len - offset) ? text : NULL;
}

static const Elf64_Ehdr *own_header(const struct image *image)
{
    const Elf64_Ehdr *header = image_at(image, 0, sizeof(*header));

    if (!header || header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
        return NULL;
    if (OWN_MACHINE != EM_NONE && header->e_machine != OWN_MACHINE)
        return NULL;
    return header;
}

static const Elf64_Phdr *segment(const struct image *image, const Elf64_Ehdr *header, size_t index)
{
    if (index >= header->e_phnum || header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff % 8 != 0)
        return NULL;
    return image_at(image, header->e_phoff + index * sizeof(Elf64_Phdr), sizeof(Elf64_Phdr));
}

/* Go's linker leaves its build id in a note of its own. */
static bool notes_name_go(const struct image *image, uint64_t offset, uint64_t len)
{
    const uint8_t *notes = image_at(image, offset, len);

    if (!notes)
        return false;
    while (len >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;

        memcpy(&note, notes, sizeof(note));
        uint64_t size =
            sizeof(note) + (((uint64_t)note.n_namesz + 3) & ~3ull) + (((uint64_t)note.n_descsz + 3) & ~3ull);
        if (size > len)
            return false;
        if (note.n_namesz == 4 && memcmp(notes + sizeof(note), "Go\0", 4) == 0)
            return true;
        notes += size;
        len -= size;
    }
    return false;
}

/* Externally linked Go programs keep the note out of the segments' table at times; the section is there. */
static bool sections_name_go(const struct image *image, const Elf64_Ehdr *header)
{
    const Elf64_Shdr *sections = image_at(image, header->e_shoff, (uint64_t)header->e_shnum * sizeof(*sections));

    if (!sections || header->e_shoff % 8 != 0 || header->e_shentsize != sizeof(*sections) ||
        header->e_shstrndx >= header->e_shnum)
        return false;
    uint64_t names = sections[header->e_shstrndx].sh_offset;
    for (size_t i = 0; i < header->e_shnum; i++) {
        if (names > UINT64_MAX - sections[i].sh_name)
            return false;
        const char *name = image_text(image, names + sections[i].sh_name);

        if (name && (strcmp(name, ".go.buildinfo") == 0 || strcmp(name, ".note.go.buildid") == 0))
            return true;
    }
    return false;
}

/* File offset of an address, by the loadable segments. */
static uint64_t file_offset(const struct image *image, const Elf64_Ehdr *header, uint64_t address)
{
    const Elf64_Phdr *at;

    for (size_t i = 0; (at = segment(image, header, i)); i++)
        if (at->p_type == PT_LOAD && address >= at->p_vaddr && address - at->p_vaddr < at->p_filesz)
            return address - at->p_vaddr + at->p_offset;
    return UINT64_MAX;
}

/* Which sanitizer's runtime the dynamic section asks for. */
static void find_sanitizer(const struct image *image, const Elf64_Ehdr *header, const Elf64_Phdr *dynamic,
                           char ret_name[ELF_NAME_MAX])
{
    size_t count = dynamic->p_filesz / sizeof(Elf64_Dyn);
    const Elf64_Dyn *entries = image_at(image, dynamic->p_offset, count * sizeof(*entries));
    uint64_t names = UINT64_MAX;

    if (!entries || dynamic->p_offset % 8 != 0)
        return;
    for (size_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++)
        if (entries[i].d_tag == DT_STRTAB)
            names = file_offset(image, header, entries[i].d_un.d_ptr);
    for (size_t i = 0; i < count && entries[i].d_tag != DT_NULL; i++) {
        if (entries[i].d_tag != DT_NEEDED || names > UINT64_MAX - entries[i].d_un.d_val)
            continue;
        const char *name = image_text(image, names + entries[i].d_un.d_val);

        if (name && preload_list_is_sanitizer(name) && strlen(name) < ELF_NAME_MAX) {
            memcpy(ret_name, name, strlen(name) + 1);
            return;
        }
    }
}

static void inspect_image(const struct image *image, struct elf_facts *facts)
{
    const uint8_t *magic = image_at(image, 0, SELFMAG);
    const Elf64_Phdr *at;

    facts->is_elf = magic && memcmp(magic, ELFMAG, SELFMAG) == 0;
    if (!facts->is_elf)
        return;
    const Elf64_Ehdr *header = own_header(image);
    if (!header) {
        facts->is_foreign = true;
        return;
    }
    for (size_t i = 0; (at = segment(image, header, i)); i++) {
        if (at->p_type == PT_INTERP)
            facts->is_dynamic = true;
        else if (at->p_type == PT_NOTE)
            facts->is_go |= notes_name_go(image, at->p_offset, at->p_filesz);
        else if (at->p_type == PT_DYNAMIC)
            find_sanitizer(image, header, at, facts->sanitizer);
    }
    facts->is_go = facts->is_go || sections_name_go(image, header);
}

void elf_inspect(int fd, struct elf_facts *ret_facts)
{
    struct stat status;
    struct elf_facts facts = {0};

    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        size_t len = (size_t)status.st_size;
        void *bytes = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);

        if (bytes != MAP_FAILED) {
            inspect_image(&(struct image){.bytes = bytes, .len = len}, &facts);
            (void)munmap(bytes, len);
        }
    }
    *ret_facts = facts;
}
