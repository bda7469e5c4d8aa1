/* SPDX-License-Identifier: Apache-2.0 */
/* The programs and libraries in a process, by their ELF headers in its memory: these are right also where the file has
 * been replaced or deleted since, is in another container, or never was one (the vDSO). */
#ifndef SPANSHIM_CRASH_MODULES_H
#define SPANSHIM_CRASH_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exporters/crash/maps.h"

struct memory;

enum { MODULES_MAX = 1024, MODULE_BUILD_ID_MAX = 32 };

struct module {
    uint64_t base, end;       /* of what its program headers have loaded */
    uint64_t bias;            /* address = bias + what the file calls it */
    uint64_t eh_header;       /* .eh_frame_hdr; 0: none that can be used */
    uint64_t eh_count;        /* of entries in its table */
    uint64_t dynamic;         /* PT_DYNAMIC; 0: none */
    const struct mapping *at; /* its first one */
    const char *path;
    uint8_t build_id[MODULE_BUILD_ID_MAX];
    size_t build_id_length;
    bool wanted; /* some frame is in it */
    int fd;      /* of its file, where wanted; -1: none */
};

struct modules {
    struct module *list; /* by address */
    size_t count;
    bool cut; /* there are more */
};

/* 0 or -ENOMEM. `maps` stays in use. Context: helper. */
int modules_read(struct modules *modules, const struct maps *maps, struct memory *memory);

/* NULL: none is there. Context: helper. */
const struct module *modules_find(const struct modules *modules, uint64_t address);

/* Is it the kernel's own, which has no file? Context: pure. */
bool module_is_vdso(const struct module *module);

/* The last part of its path. Context: pure. */
const char *module_name(const struct module *module);

/* Context: helper. */
void modules_deinit(struct modules *modules);

#endif
