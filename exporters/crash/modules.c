/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/modules.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exporters/crash/memory.h"

enum { HEADERS_MAX = 64, NOTES_MAX = 4096, PAGE_MASK = 4095 };

/* The encodings that linkers use, the only ones that the unwinder's search understands: a table of pairs of 4 bytes. */
enum { EH_VERSION = 1, EH_POINTER_PCREL4 = 0x1b, EH_COUNT_UDATA4 = 0x03, EH_TABLE_DATAREL4 = 0x3b };

static void read_eh_header(struct module *module, struct memory *memory, const Elf64_Phdr *header)
{
    uint8_t encoding[4];
    uint32_t count;
    uint64_t at = module->bias + header->p_vaddr;

    if (memory_read(memory, at, encoding, sizeof(encoding)) || encoding[0] != EH_VERSION ||
        encoding[1] != EH_POINTER_PCREL4 || encoding[2] != EH_COUNT_UDATA4 || encoding[3] != EH_TABLE_DATAREL4)
        return;
    if (memory_read(memory, at + 8, &count, sizeof(count)) || count > (header->p_memsz - 12) / 8)
        return;
    module->eh_header = at;
    module->eh_count = count;
}

static uint64_t align4(uint64_t n)
{
    return (n + 3) & ~(uint64_t)3;
}

static void read_build_id(struct module *module, struct memory *memory, const Elf64_Phdr *header)
{
    uint64_t length = header->p_memsz < NOTES_MAX ? header->p_memsz : NOTES_MAX, offset = 0;
    uint64_t at = module->bias + header->p_vaddr;

    while (!module->build_id_length && offset + sizeof(Elf64_Nhdr) <= length) {
        Elf64_Nhdr note;
        char name[4];

        if (memory_read(memory, at + offset, &note, sizeof(note)))
            return;
        offset += sizeof(note);
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz <= MODULE_BUILD_ID_MAX &&
            !memory_read(memory, at + offset, name, 4) && !memcmp(name, "GNU", 4) &&
            !memory_read(memory, at + offset + 4, module->build_id, note.n_descsz))
            module->build_id_length = note.n_descsz;
        offset += align4(note.n_namesz) + align4(note.n_descsz);
    }
}

static void read_headers(struct module *module, struct memory *memory, const Elf64_Phdr *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const Elf64_Phdr *header = &headers[i];
        uint64_t end = module->bias + header->p_vaddr + header->p_memsz;

        if (header->p_type == PT_LOAD && end > module->end)
            module->end = end;
        else if (header->p_type == PT_GNU_EH_FRAME && header->p_memsz >= 12)
            read_eh_header(module, memory, header);
        else if (header->p_type == PT_NOTE)
            read_build_id(module, memory, header);
        else if (header->p_type == PT_DYNAMIC)
            module->dynamic = module->bias + header->p_vaddr;
    }
}

/* The header says where the segment with the headers wants to be; the mapping, where it is. */
static bool find_bias(const Elf64_Phdr *headers, size_t count, uint64_t start, uint64_t *ret_bias)
{
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type != PT_LOAD || headers[i].p_offset > PAGE_MASK)
            continue;
        *ret_bias = start - (headers[i].p_vaddr & ~(uint64_t)PAGE_MASK);
        return true;
    }
    return false;
}

static bool read_module(struct module *module, const struct mapping *mapping, struct memory *memory)
{
    Elf64_Ehdr elf;
    Elf64_Phdr headers[HEADERS_MAX];

    if (memory_read(memory, mapping->start, &elf, sizeof(elf)) || memcmp(elf.e_ident, ELFMAG, SELFMAG) ||
        elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_machine != EM_X86_64 || elf.e_phentsize != sizeof(Elf64_Phdr) ||
        elf.e_phnum > HEADERS_MAX)
        return false;
    if (memory_read(memory, mapping->start + elf.e_phoff, headers, elf.e_phnum * sizeof(Elf64_Phdr)))
        return false;
    *module =
        (struct module){.base = mapping->start, .end = mapping->end, .at = mapping, .path = mapping->path, .fd = -1};
    if (!find_bias(headers, elf.e_phnum, mapping->start, &module->bias))
        return false;
    read_headers(module, memory, headers, elf.e_phnum);
    return true;
}

/* Is one of the mappings that follow, of the same file, code? Data files are mapped, too, by the thousand. */
static bool has_code(const struct maps *maps, size_t first)
{
    const struct mapping *start = &maps->list[first];

    if (!strcmp(start->path, "[vdso]"))
        return true;
    if (!start->inode || start->offset)
        return false;
    for (size_t i = first; i < maps->count && i < first + 16; i++) {
        const struct mapping *mapping = &maps->list[i];

        if (i > first && mapping->inode == start->inode && !mapping->offset)
            return false;
        if (mapping->executable && mapping->inode == start->inode)
            return true;
    }
    return false;
}

int modules_read(struct modules *modules, const struct maps *maps, struct memory *memory)
{
    modules->list = calloc(MODULES_MAX, sizeof(*modules->list));
    if (!modules->list)
        return -ENOMEM;
    for (size_t i = 0; i < maps->count; i++) {
        if (!has_code(maps, i))
            continue;
        if (modules->count == MODULES_MAX) {
            modules->cut = true;
            break;
        }
        modules->count += read_module(&modules->list[modules->count], &maps->list[i], memory);
    }
    return 0;
}

const struct module *modules_find(const struct modules *modules, uint64_t address)
{
    size_t low = 0, high = modules->count;

    while (low < high) { /* the last one that begins at or below it */
        size_t middle = low + (high - low) / 2;

        if (modules->list[middle].base <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low && address < modules->list[low - 1].end ? &modules->list[low - 1] : NULL;
}

bool module_is_vdso(const struct module *module)
{
    return !strcmp(module->path, "[vdso]");
}

const char *module_name(const struct module *module)
{
    const char *slash = strrchr(module->path, '/');

    return slash ? slash + 1 : module->path;
}

void modules_deinit(struct modules *modules)
{
    for (size_t i = 0; i < modules->count; i++) {
        if (modules->list[i].fd >= 0)
            close(modules->list[i].fd);
    }
    free(modules->list);
    *modules = (struct modules){0};
}
