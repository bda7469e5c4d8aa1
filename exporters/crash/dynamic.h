/* SPDX-License-Identifier: Apache-2.0 */
/* The symbols that a loaded object exports, read out of the process's memory. */
#ifndef SPANSHIM_CRASH_DYNAMIC_H
#define SPANSHIM_CRASH_DYNAMIC_H

#include <stdint.h>

struct memory;
struct module;
struct modules;

/* Where a module has it; 0: it has none. Its size is optional. Context: helper. */
uint64_t dynamic_find(const struct module *module, struct memory *memory, const char *name, uint64_t *ret_size);

/* The first module's that has it. Context: helper. */
uint64_t dynamic_find_any(const struct modules *modules, struct memory *memory, const char *name, uint64_t *ret_size);

#endif
