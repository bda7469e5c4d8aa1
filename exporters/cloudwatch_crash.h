/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a crash (crash/report.h) as an event of the log that its process wrote: what it died of, the calls of
 * the thread that crashed, and the report's uuid. Bytes only. Called by cloudwatch.c. */
#ifndef SPANSHIM_CLOUDWATCH_CRASH_H
#define SPANSHIM_CLOUDWATCH_CRASH_H

#include <jansson.h>

struct buffer;
struct cloudwatch_options; /* encode/cloudwatch_events.h */
struct cloudwatch_room;

/* As cloudwatch_events_append() does with one event; -ENOTSUP: it is no crash. Context: loop. */
int cloudwatch_crash_append(const json_t *report, const struct cloudwatch_options *options,
                            struct cloudwatch_room *room, struct buffer *payload);

#endif
