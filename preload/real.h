/* SPDX-License-Identifier: Apache-2.0 */
/* The function behind each hook. Found at start by walking the loaded objects' own symbol tables: no dlsym (it
 * allocates on a miss and sets a floor for glibc's version), no heap, no lock of ours.
 *
 * Before that, and when it can't be found, the original is a raw system call; never a null pointer. Even before our own
 * relocations are processed (a resolver of an indirect function may call read()) this holds. */
#ifndef SPANSHIM_REAL_H
#define SPANSHIM_REAL_H

#include <stdbool.h>
#include <time.h>

enum hook_id {
#define HOOK_ROW(symbol, library, raw, safe) HOOK_##symbol,
#include "hooks/hooks.def"
#undef HOOK_ROW
    HOOK_COUNT
};

/* Written by real_init, then read-only. */
extern void *real_table[HOOK_COUNT] __attribute__((visibility("hidden")));

/* libc's own clock_gettime, NULL when it was not found. By its name we might get that of a preload that makes the
 * program believe in another time (libfaketime): our times must be the agent's, and its code may not have been
 * initialised yet. Written by real_init, then read-only. */
extern __typeof__(&clock_gettime) real_clock __attribute__((visibility("hidden")));

/* Fill the table with the next definition after ours of each symbol. False when an older copy of this object is loaded
 * before ours: that one works, we only forward. Context: start. */
bool real_init(void);

/* The original of a hook that is not in the table: looked up now, or a raw system call. Never NULL.
 * Context: hook; signal-safe. */
void *real_early(enum hook_id id);

/* Does the object with this code export a symbol of this name? False when no object has it (code made at run time).
 * Context: hook; takes the loader's lock. */
bool real_is_defined_by(const void *code, const char *name);

/* The original, as the symbol's own type. */
#define REAL(symbol)                                                                                                   \
    ((__typeof__(&symbol))(__builtin_expect(real_table[HOOK_##symbol] != NULL, 1) ? real_table[HOOK_##symbol]          \
                                                                                  : real_early(HOOK_##symbol)))

#endif
