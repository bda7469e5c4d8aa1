/* SPDX-License-Identifier: Apache-2.0 */
/* Names for addresses: function, file, line and the calls that were inlined there, by libdwfl. Reads the modules' files
 * through the descriptors that were opened while the process was there, and debug information that is installed. */
#ifndef SPANSHIM_CRASH_SYMBOLS_H
#define SPANSHIM_CRASH_SYMBOLS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct module;
struct modules;
struct symbols;

enum { SYMBOLS_INLINED_MAX = 16, SYMBOL_NAME_MAX = 512 };

struct symbol {
    char function[SYMBOL_NAME_MAX]; /* "" when it isn't known, as the file */
    uint64_t offset;                /* of the address in the function, where it isn't inlined */
    bool inlined;                   /* into the next one */
    char file[PATH_MAX];
    int line, column; /* 0: unknown */
};

/* Of these modules; the vDSO has no file, so its bytes are given. debuginfod: ask the servers that DEBUGINFOD_URLS
 * names, for a few seconds each. NULL: no memory. Context: helper. */
struct symbols *symbols_new(const struct modules *modules, const void *vdso, size_t vdso_length, bool debuginfod);

/* What is at an address: the innermost inlined call first, the function itself last. How many; 0: not known. Context:
 * helper. */
size_t symbols_find(struct symbols *symbols, uint64_t address, struct symbol found[SYMBOLS_INLINED_MAX]);

/* Context: helper. */
void symbols_free(struct symbols *symbols);

#endif
