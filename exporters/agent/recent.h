/* SPDX-License-Identifier: Apache-2.0 */
/* The last requests that a process served, for the reports of its crash and of its errors: what led up to it. A few
 * facts of each, noted by drain.c as their records are taken. */
#ifndef SPANSHIM_RECENT_H
#define SPANSHIM_RECENT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum { RECENT_REQUESTS_MAX = 50 };

struct recent;

/* Note a finished request: the payload of a record, hostile. *recent is made by the first one and freed by free().
 * Context: loop. */
void recent_note(struct recent **recent, const void *payload, size_t length);

/* As recent_requests of crash/report.h: a new array, the oldest first; NULL accepted. `wall_offset_ns`: from the
 * process's clock to ours. Context: loop. */
json_t *recent_list(const struct recent *recent, int64_t wall_offset_ns);

/* One of them, as `request` there: a new object, or NULL. Context: loop. */
json_t *recent_find(const struct recent *recent, const uint8_t span_id[8], int64_t wall_offset_ns);

#endif
