/* SPDX-License-Identifier: Apache-2.0 */
/* What `spanshim status` shows, as command.h describes it. */
#ifndef SPANSHIM_STATUS_H
#define SPANSHIM_STATUS_H

#include <jansson.h>

struct link_hello;
struct source;

/* A new object; NULL when out of memory. Context: loop. */
json_t *status_report(const struct link_hello *hello);

/* This ring is about to go: its numbers stay in the totals. Context: loop. */
void status_keep_counts(const struct source *source);

#endif
