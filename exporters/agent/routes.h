/* SPDX-License-Identifier: Apache-2.0 */
/* The patterns of SPANSHIM_ROUTES: which of them does a path belong to? Made by settings.c, asked by span.c. The target
 * does nothing for it.
 *
 * A pattern is a path whose segments are a text, {name} for any one segment that isn't empty, or * for the same without
 * a name; the last may be {name...} or *, for all the rest, also an empty one. Texts are compared decoded (%41 is A) on
 * both sides, case counts, and so does a '/' at the end. Of several patterns that fit, the one wins that is a text
 * where the others are not, seen from the left; then one segment before all the rest; then the first in the list. */
#ifndef SPANSHIM_ROUTES_H
#define SPANSHIM_ROUTES_H

#include <stddef.h>

enum { ROUTES_MAX = 256, ROUTES_LENGTH_MAX = 256 };

struct routes;

/* NULL when out of memory. Context: loop. */
struct routes *routes_new(void);
void routes_free(struct routes *routes);

/* Add a pattern (copied). 0; -EINVAL: it is none; -E2BIG: there are ROUTES_MAX already; -ENOMEM. Context: loop. */
int routes_add(struct routes *routes, const char *pattern);

/* The pattern that a path belongs to, as it was added; NULL: none. Context: pure. */
const char *routes_find(const struct routes *routes, const char *path, size_t length);

#endif
