/* SPDX-License-Identifier: Apache-2.0 */
/* The function behind a hook of a library that a program may load late, into a scope that nobody else sees, twice in
 * two builds, or not at all: it is found for each caller, as the loader would have bound the caller's reference without
 * us. Nothing is looked up before the first call.
 *
 * A caller is a return address. What was found for it is kept in a small table, until a library is unloaded. No heap,
 * no dlsym; the loader's lock for its list is taken on a miss (never held while constructors run). */
#ifndef SPANSHIM_PROVIDER_H
#define SPANSHIM_PROVIDER_H

#include "preload/real.h"

#include <stdbool.h>

/* The original of a hook for this caller; where there is none a function that fails. Never NULL. Context: hook. */
void *provider_hook(enum hook_id id, const void *caller);

/* The same, and whether the caller's object defines it itself: a library that calls its own function. Context: hook. */
void *provider_hook_or_own(enum hook_id id, const void *caller, bool *ret_is_own);

/* A library's function that is not hooked; NULL when no object has it. `name` is a literal. Context: hook. */
void *provider_function(const char *name, const void *caller);

/* Is the caller part of an object that defines this function itself? `name` is a literal. Context: hook. */
bool provider_is_caller(const char *name, const void *caller);

/* A library was unloaded: its addresses mean nothing any more. Context: hook; signal-safe. */
void provider_forget(void);

/* The original for this caller, as the symbol's own type. */
#define REAL_FOR(symbol, caller) ((__typeof__(&(symbol)))provider_hook(HOOK_##symbol, (caller)))

#endif
