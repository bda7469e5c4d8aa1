// SPDX-License-Identifier: Apache-2.0
#include "preload/real.h"

#include "preload/sys.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

void *real_table[HOOK_COUNT];
__typeof__(&clock_gettime) real_clock;

static const char soname[] = "libspanshim.so";

/* One loaded object's symbol table. */
struct object {
    const char *strings;
    const ElfW(Sym) * symbols;
    const uint32_t *gnu_hash;
    const ElfW(Half) * versions; /* NULL: unversioned */
    const char *soname;          /* NULL: none */
    uintptr_t base;
};

struct search {
    struct object object;
    bool after_ours;
    bool duplicate;
    enum hook_id only; /* HOOK_COUNT: all */
};

/* This object's own dynamic section; hidden, so it needs no relocation. */
extern const ElfW(Dyn) own_dynamic[] __asm__("_DYNAMIC") __attribute__((visibility("hidden")));

/* glibc relocates the pointers of a dynamic section in place, other loaders and the vDSO don't. */
static uintptr_t dynamic_pointer(uintptr_t base, uintptr_t value)
{
    return value < base ? base + value : value;
}

static void object_read(struct object *object, uintptr_t base, const ElfW(Dyn) * dynamic)
{
    uintptr_t soname_offset = 0;

    memset(object, 0, sizeof(*object));
    object->base = base;
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        uintptr_t pointer = dynamic_pointer(base, dynamic->d_un.d_ptr);

        if (dynamic->d_tag == DT_STRTAB)
            object->strings = (const char *)pointer;
        else if (dynamic->d_tag == DT_SYMTAB)
            object->symbols = (const ElfW(Sym) *)pointer;
        else if (dynamic->d_tag == DT_GNU_HASH)
            object->gnu_hash = (const uint32_t *)pointer;
        else if (dynamic->d_tag == DT_VERSYM)
            object->versions = (const ElfW(Half) *)pointer;
        else if (dynamic->d_tag == DT_SONAME)
            soname_offset = dynamic->d_un.d_val;
    }
    if (soname_offset && object->strings)
        object->soname = object->strings + soname_offset;
}

static uint32_t gnu_hash_of(const char *name)
{
    uint32_t hash = 5381;

    for (; *name; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

/* A definition that a plain reference would bind to: a global function, of the default version. */
static void *symbol_address(const struct object *object, uint32_t index)
{
    const ElfW(Sym) *symbol = &object->symbols[index];

    if (symbol->st_shndx == SHN_UNDEF || symbol->st_value == 0)
        return NULL;
    if (object->versions && (object->versions[index] & 0x8000))
        return NULL; /* hidden: an old version kept for old programs */

    void *address = (void *)(object->base + symbol->st_value);

    if ((symbol->st_info & 0xf) == STT_GNU_IFUNC)
        return ((void *(*)(void))address)();
    return address;
}

/* The layout is the linkers' common one: nbuckets, symoffset, bloom words, bloom shift, bloom[], buckets[], chain[]. */
static void *object_lookup(const struct object *object, const char *name)
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

        if ((entry | 1) == (hash | 1) && strcmp(object->strings + object->symbols[index].st_name, name) == 0) {
            void *address = symbol_address(object, index);

            if (address)
                return address;
        }
        if (entry & 1)
            break;
    }
    return NULL;
}

/* The dynamic section of a loaded object, or NULL. */
static const ElfW(Dyn) * dynamic_section(const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            return (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    return NULL;
}

static const char *const names[HOOK_COUNT] = {
#define HOOK_ROW(symbol, library, raw, safe) [HOOK_##symbol] = #symbol,
#include "hooks/hooks.def"
#undef HOOK_ROW
};

static int object_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;
    const ElfW(Dyn) *dynamic = dynamic_section(info);

    (void)size;
    if (!dynamic)
        return 0;
    if (dynamic == own_dynamic) {
        search->after_ours = true;
        return 0;
    }
    object_read(&search->object, info->dlpi_addr, dynamic);
    if (!search->after_ours) {
        if (search->object.soname && strcmp(search->object.soname, soname) == 0)
            search->duplicate = true;
        return 0;
    }
    if (!real_clock && search->object.soname && strncmp(search->object.soname, "libc.", 5) == 0)
        real_clock = (__typeof__(real_clock))object_lookup(&search->object, "clock_gettime");
    for (int id = 0; id < HOOK_COUNT; id++)
        if (!real_table[id] && (search->only == HOOK_COUNT || search->only == (enum hook_id)id))
            real_table[id] = object_lookup(&search->object, names[id]);
    return 0;
}

bool real_init(void)
{
    struct search search = {.only = HOOK_COUNT};

    (void)dl_iterate_phdr(object_visit, &search);
    return !search.duplicate;
}

/* Points to itself once our own relocations have been processed. */
static void *const volatile relocated = (void *)&relocated;

static bool is_relocated(void)
{
    return relocated == (void *)&relocated;
}

static long raw_result(long result)
{
    if (result < 0 && result > -4096) {
        if (is_relocated())
            errno = (int)-result;
        return -1;
    }
    return result;
}

enum { NONE = -1, NONE_NULL = -2 };

static long raw_failure(long raw)
{
    (void)raw_result(-ENOSYS);
    return raw == NONE ? -1 : 0;
}

/* For each hook a function that makes its system call, or fails with ENOSYS. */
#define HOOK_ROW(symbol, library, raw, safe)                                                                           \
    static long raw_##symbol(long a, long b, long c, long d, long e, long f)                                           \
    {                                                                                                                  \
        return (raw) < 0 ? raw_failure(raw) : raw_result(sys_call6((raw), a, b, c, d, e, f));                          \
    }
#include "hooks/hooks.def"
#undef HOOK_ROW

/* A chain of comparisons on purpose: a table of pointers would need relocations that may not have been made yet. */
static void *raw_of(enum hook_id id)
{
#define HOOK_ROW(symbol, library, raw, safe)                                                                           \
    if (id == HOOK_##symbol)                                                                                           \
        return (void *)raw_##symbol;
#include "hooks/hooks.def"
#undef HOOK_ROW
    return (void *)raw_read;
}

void *real_early(enum hook_id id)
{
    struct search search = {.only = id};

    if (is_relocated())
        (void)dl_iterate_phdr(object_visit, &search);
    return real_table[id] ? real_table[id] : raw_of(id);
}

struct definer {
    uintptr_t code; /* an address in the object */
    const char *name;
    bool defines;
};

static bool contains(const struct dl_phdr_info *info, uintptr_t address)
{
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD &&
            address - info->dlpi_addr - info->dlpi_phdr[i].p_vaddr < info->dlpi_phdr[i].p_memsz)
            return true;
    return false;
}

static int definer_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct definer *definer = arg;
    const ElfW(Dyn) *dynamic = dynamic_section(info);
    struct object object;

    (void)size;
    if (!contains(info, definer->code))
        return 0;
    if (dynamic) {
        object_read(&object, info->dlpi_addr, dynamic);
        definer->defines = object_lookup(&object, definer->name) != NULL;
    }
    return 1;
}

bool real_is_defined_by(const void *code, const char *name)
{
    struct definer definer = {.code = (uintptr_t)code, .name = name};

    (void)dl_iterate_phdr(definer_visit, &definer);
    return definer.defines;
}
