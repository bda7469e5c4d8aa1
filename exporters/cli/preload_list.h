/* SPDX-License-Identifier: Apache-2.0 */
/* The value of LD_PRELOAD with our object in its place. */
#ifndef SPANSHIM_PRELOAD_LIST_H
#define SPANSHIM_PRELOAD_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a path can stand in LD_PRELOAD at all: blanks and colons separate there and cannot be quoted. Context:
 * pure. */
bool preload_list_can_hold(const char *path);

/* Whether this is a sanitizer's runtime, which insists on being first. Context: pure. */
bool preload_list_is_sanitizer(const char *path);

/* `old` (may be NULL) with `library` in front of all but sanitizers' runtimes; `runtime` (may be NULL) is one that the
 * program needs and that isn't listed yet. Earlier copies of our object, by whatever path, are dropped: two would both
 * record. To be freed. Context: any. */
char *preload_list_compose(const char *old, const char *library, const char *runtime);

#endif
