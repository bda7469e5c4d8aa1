/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/object.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>

enum { VERSION_HIDDEN = 0x8000, VERSION_INDEX = 0x7fff };

/* glibc relocates the pointers of a dynamic section in place, other loaders and the vDSO don't. */
static uintptr_t dynamic_pointer(uintptr_t base, uintptr_t value)
{
    return value < base ? base + value : value;
}

static void read_entry(struct object *object, const ElfW(Dyn) * entry)
{
    const void *pointer = (const void *)dynamic_pointer(object->base, entry->d_un.d_ptr);

    if (entry->d_tag == DT_STRTAB)
        object->strings = pointer;
    else if (entry->d_tag == DT_SYMTAB)
        object->symbols = pointer;
    else if (entry->d_tag == DT_GNU_HASH)
        object->gnu_hash = pointer;
    else if (entry->d_tag == DT_VERSYM)
        object->versions = pointer;
    else if (entry->d_tag == DT_VERDEF)
        object->defined = pointer;
    else if (entry->d_tag == DT_VERNEED)
        object->needed = pointer;
}

/* A name that the dynamic section gives by its place among the strings. */
static const char *dynamic_string(const struct object *object, const ElfW(Dyn) * entry)
{
    return object->strings ? object->strings + entry->d_un.d_val : NULL;
}

static bool read_tables(struct object *object, uintptr_t base, const ElfW(Dyn) * dynamic)
{
    memset(object, 0, sizeof(*object));
    object->base = base;
    object->dynamic = dynamic;
    if (!dynamic)
        return false;
    for (const ElfW(Dyn) *entry = object->dynamic; entry->d_tag != DT_NULL; entry++)
        read_entry(object, entry);
    for (const ElfW(Dyn) *entry = object->dynamic; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == DT_SONAME)
            object->soname = dynamic_string(object, entry);
    return true;
}

static const ElfW(Dyn) * find_dynamic(uintptr_t base, const ElfW(Phdr) * headers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (headers[i].p_type == PT_DYNAMIC)
            return (const ElfW(Dyn) *)(base + headers[i].p_vaddr);
    return NULL;
}

bool object_read(struct object *object, const struct dl_phdr_info *info)
{
    return read_tables(object, info->dlpi_addr, find_dynamic(info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum));
}

/* The first of the loader's list, as debuggers find it: by the program's own tables. NULL: not to be found. */
static const struct link_map *loader_list(void)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t count = getauxval(AT_PHNUM);

    for (size_t i = 0; headers && i < count; i++) {
        if (headers[i].p_type != PT_PHDR)
            continue;
        const ElfW(Dyn) *entry = find_dynamic((uintptr_t)headers - headers[i].p_vaddr, headers, count);

        for (; entry && entry->d_tag != DT_NULL; entry++)
            if (entry->d_tag == DT_DEBUG && entry->d_un.d_ptr)
                return ((const struct r_debug *)entry->d_un.d_ptr)->r_map;
    }
    return NULL;
}

/* libc's own; NULL: not looked for yet, or not found. Written by object_init(), then read-only. */
static __typeof__(&dl_iterate_phdr) iterate;

void object_init(void)
{
    struct object object;

    for (const struct link_map *map = loader_list(); map && !iterate; map = map->l_next)
        if (read_tables(&object, map->l_addr, map->l_ld) && object.soname && strncmp(object.soname, "libc.", 5) == 0)
            iterate = (__typeof__(iterate))object_find(&object, "dl_iterate_phdr", NULL);
}

int object_iterate(int (*visit)(struct dl_phdr_info *info, size_t size, void *arg), void *arg)
{
    return (iterate ? iterate : dl_iterate_phdr)(visit, arg);
}

bool object_has_address(const struct dl_phdr_info *info, uintptr_t address)
{
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD &&
            address - info->dlpi_addr - info->dlpi_phdr[i].p_vaddr < info->dlpi_phdr[i].p_memsz)
            return true;
    return false;
}

static uint32_t gnu_hash_of(const char *name)
{
    uint32_t hash = 5381;

    for (; *name; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

/* The version that a definition is of; NULL: of none. */
static const char *defined_version(const struct object *object, uint32_t index)
{
    unsigned wanted = object->versions[index] & VERSION_INDEX;
    const ElfW(Verdef) *version = object->defined;

    while (version && wanted > 1) {
        if ((version->vd_ndx & VERSION_INDEX) == wanted) {
            const ElfW(Verdaux) *name = (const ElfW(Verdaux) *)((const char *)version + version->vd_aux);
            return object->strings + name->vda_name;
        }
        version = version->vd_next ? (const ElfW(Verdef) *)((const char *)version + version->vd_next) : NULL;
    }
    return NULL;
}

/* May a reference of this version bind to this definition? Hidden: an old version, kept for old programs. */
static bool is_version(const struct object *object, uint32_t index, const char *version)
{
    if (!object->versions)
        return true;
    if (!version || !object->defined)
        return !(object->versions[index] & VERSION_HIDDEN);

    const char *defined = defined_version(object, index);
    return !defined || strcmp(defined, version) == 0;
}

static bool is_definition(const struct object *object, uint32_t index, const char *name, const char *version)
{
    const ElfW(Sym) *symbol = &object->symbols[index];

    return strcmp(object->strings + symbol->st_name, name) == 0 && symbol->st_shndx != SHN_UNDEF &&
           symbol->st_value != 0 && is_version(object, index, version);
}

/* The layout is the linkers' common one: nbuckets, symoffset, bloom words, bloom shift, bloom[], buckets[], chain[]. */
static const ElfW(Sym) * find_symbol(const struct object *object, const char *name, const char *version)
{
    const uint32_t *table = object->gnu_hash;

    if (!table || !object->symbols || !object->strings || table[0] == 0)
        return NULL;

    uint32_t hash = gnu_hash_of(name);
    const uint64_t *bloom = (const uint64_t *)&table[4];
    const uint32_t *buckets = (const uint32_t *)&bloom[table[2]];
    const uint32_t *chain = &buckets[table[0]];
    uint64_t word = bloom[(hash / 64) % table[2]];

    if (!(word >> (hash % 64) & word >> ((hash >> table[3]) % 64) & 1))
        return NULL;
    for (uint32_t index = buckets[hash % table[0]]; index >= table[1]; index++) {
        uint32_t entry = chain[index - table[1]];

        if ((entry | 1) == (hash | 1) && is_definition(object, index, name, version))
            return &object->symbols[index];
        if (entry & 1)
            break;
    }
    return NULL;
}

void *object_find(const struct object *object, const char *name, const char *version)
{
    const ElfW(Sym) *symbol = find_symbol(object, name, version);

    if (!symbol)
        return NULL;

    void *address = (void *)(object->base + symbol->st_value);

    if ((symbol->st_info & 0xf) == STT_GNU_IFUNC)
        return ((void *(*)(void))address)();
    return address;
}

size_t object_size(const struct object *object, const char *name)
{
    const ElfW(Sym) *symbol = find_symbol(object, name, NULL);

    return symbol ? symbol->st_size : 0;
}

/* The version that a reference is to; NULL: to none. */
static const char *needed_version(const struct object *object, uint32_t index)
{
    unsigned wanted = object->versions ? object->versions[index] & VERSION_INDEX : 0;
    const ElfW(Verneed) *file = object->needed;

    while (file && wanted > 1) {
        const ElfW(Vernaux) *version = (const ElfW(Vernaux) *)((const char *)file + file->vn_aux);

        for (unsigned i = 0; i < file->vn_cnt; i++) {
            if (version->vna_other == wanted)
                return object->strings + version->vna_name;
            version = (const ElfW(Vernaux) *)((const char *)version + version->vna_next);
        }
        file = file->vn_next ? (const ElfW(Verneed) *)((const char *)file + file->vn_next) : NULL;
    }
    return NULL;
}

/* Where the symbols that are defined elsewhere end. Hashed ones come after them; where nothing is hashed, the tables
 * that linkers put behind the symbols say no more than that they have ended. */
static uint32_t wanted_end(const struct object *object)
{
    const uint32_t *table = object->gnu_hash;
    const void *const others[] = {object->strings, object->gnu_hash, object->versions, object->needed, object->defined};
    uintptr_t from = (uintptr_t)object->symbols;
    size_t length = SIZE_MAX;

    if (table[0] > 1 || ((const uint32_t *)((const uint64_t *)&table[4] + table[2]))[0] != 0)
        return table[1];
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if ((uintptr_t)others[i] > from && (uintptr_t)others[i] - from < length)
            length = (uintptr_t)others[i] - from;
    return length == SIZE_MAX ? 0 : (uint32_t)(length / sizeof(ElfW(Sym)));
}

bool object_wants(const struct object *object, const char *name, const char **ret_version)
{
    if (!object->gnu_hash || !object->symbols || !object->strings)
        return false;

    const uint32_t end = wanted_end(object);

    for (uint32_t index = 1; index < end; index++) {
        const ElfW(Sym) *symbol = &object->symbols[index];

        if (symbol->st_shndx == SHN_UNDEF && strcmp(object->strings + symbol->st_name, name) == 0) {
            *ret_version = needed_version(object, index);
            return true;
        }
    }
    return false;
}

bool object_needs(const struct object *object, const char *soname)
{
    for (const ElfW(Dyn) *entry = object->dynamic; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == DT_NEEDED && object->strings && strcmp(dynamic_string(object, entry), soname) == 0)
            return true;
    return false;
}
