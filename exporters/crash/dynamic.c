/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/dynamic.h"

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "exporters/crash/memory.h"
#include "exporters/crash/modules.h"

enum { ENTRIES_MAX = 256, CHAIN_MAX = 256, NAME_MAX_LENGTH = 128 };

struct tables {
    uint64_t symbols, strings, hash;
    uint32_t bucket_count, first_symbol, filter_words, filter_shift; /* the hash table's header */
};

/* The loader has replaced the file's numbers by addresses in most objects, but not in read-only ones. */
static uint64_t address_of(const struct module *module, uint64_t value)
{
    return value < module->base ? module->bias + value : value;
}

static bool read_tables(const struct module *module, struct memory *memory, struct tables *tables)
{
    Elf64_Dyn entry = {.d_tag = DT_NULL + 1};

    *tables = (struct tables){0};
    for (size_t i = 0; module->dynamic && i < ENTRIES_MAX && entry.d_tag != DT_NULL; i++) {
        if (memory_read(memory, module->dynamic + i * sizeof(entry), &entry, sizeof(entry)))
            return false;
        if (entry.d_tag == DT_SYMTAB)
            tables->symbols = address_of(module, entry.d_un.d_ptr);
        else if (entry.d_tag == DT_STRTAB)
            tables->strings = address_of(module, entry.d_un.d_ptr);
        else if (entry.d_tag == DT_GNU_HASH)
            tables->hash = address_of(module, entry.d_un.d_ptr);
    }
    return tables->symbols && tables->strings && tables->hash &&
           !memory_read(memory, tables->hash, &tables->bucket_count, 16) && tables->bucket_count;
}

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 5381;

    for (; *name; name++)
        hash = hash * 33 + (uint8_t)*name;
    return hash;
}

static bool has_name(struct memory *memory, const struct tables *tables, const Elf64_Sym *symbol, const char *name)
{
    char text[NAME_MAX_LENGTH];

    return memory_text(memory, tables->strings + symbol->st_name, text, sizeof(text)) > 0 && !strcmp(text, name);
}

uint64_t dynamic_find(const struct module *module, struct memory *memory, const char *name, uint64_t *ret_size)
{
    struct tables tables;
    uint32_t wanted = hash_of(name), index, hash = 0;
    uint64_t buckets, chains;

    if (!read_tables(module, memory, &tables))
        return 0;
    buckets = tables.hash + 16 + (uint64_t)tables.filter_words * 8;
    chains = buckets + (uint64_t)tables.bucket_count * 4;
    if (memory_read(memory, buckets + (uint64_t)(wanted % tables.bucket_count) * 4, &index, 4) ||
        index < tables.first_symbol)
        return 0;
    for (size_t i = 0; i < CHAIN_MAX && !(hash & 1); i++, index++) {
        Elf64_Sym symbol;

        if (memory_read(memory, chains + (uint64_t)(index - tables.first_symbol) * 4, &hash, 4))
            return 0;
        if ((hash | 1) != (wanted | 1) ||
            memory_read(memory, tables.symbols + (uint64_t)index * sizeof(symbol), &symbol, sizeof(symbol)) ||
            symbol.st_shndx == SHN_UNDEF || !has_name(memory, &tables, &symbol, name))
            continue;
        if (ret_size)
            *ret_size = symbol.st_size;
        return module->bias + symbol.st_value;
    }
    return 0;
}

uint64_t dynamic_find_any(const struct modules *modules, struct memory *memory, const char *name, uint64_t *ret_size)
{
    uint64_t address = 0;

    for (size_t i = 0; i < modules->count && !address; i++)
        address = dynamic_find(&modules->list[i], memory, name, ret_size);
    return address;
}
