/* SPDX-License-Identifier: Apache-2.0 */
/* What `spanshim status` shows, as command.h describes it. */
#ifndef SPANSHIM_STATUS_H
#define SPANSHIM_STATUS_H

#include <jansson.h>
#include <sys/types.h>

struct link_hello;
struct source;

/* A new object, of what this user may see; NULL when out of memory. Context: loop. */
json_t *status_report(const struct link_hello *hello, uid_t viewer);

/* This ring is about to go: its numbers stay in its user's totals. Context: loop. */
void status_keep_counts(const struct source *source);

#endif
