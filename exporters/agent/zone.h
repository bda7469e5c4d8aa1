/* SPDX-License-Identifier: Apache-2.0 */
/* The time zone that a program lives in, for the lines that are written in its place. The agent's own TZ says nothing
 * about it, and can't be changed for a moment: other threads read the environment. */
#ifndef SPANSHIM_ZONE_H
#define SPANSHIM_ZONE_H

#include <stdint.h>
#include <time.h>

struct zone;

/* By the value of the program's TZ, as libc reads it; NULL: it has none, and the system's counts. Files are read in the
 * system's folder of zones alone; any other file is taken as the system's. NULL: UTC, for nothing else is known.
 * Context: loop. */
struct zone *zone_new(const char *tz);
/* NULL is accepted. Context: loop. */
void zone_free(struct zone *zone);

/* `zone` may be NULL. Context: loop. */
struct tm zone_local_time(const struct zone *zone, uint64_t unix_ns);

#endif
