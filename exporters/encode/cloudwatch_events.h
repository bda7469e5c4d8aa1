/* SPDX-License-Identifier: Apache-2.0 */
/* Events of logs as the bodies of PutLogEvents calls, each within what CloudWatch Logs takes: 10,000 events and
 * 1,048,576 bytes of one stream, in the order of their times, which span 24 hours at most. Used by cloudwatch.c. */
#ifndef SPANSHIM_CLOUDWATCH_EVENTS_H
#define SPANSHIM_CLOUDWATCH_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct log_event; /* agent/log_event.h */

enum {
    CLOUDWATCH_EVENT_EXTRA = 26, /* bytes that AWS adds to each event's message */
    CLOUDWATCH_CALL_BYTES_MAX = 1048576,
    CLOUDWATCH_CALL_EVENTS_MAX = 10000,
    CLOUDWATCH_CALL_SPAN_MS = 24 * 60 * 60 * 1000
};

struct cloudwatch_options {
    const char *group;
    const char *stream; /* as cloudwatch_stream.h has it */
    bool is_plain;      /* the text as it is; else a JSON object with it */
    bool has_xray;      /* traces go to X-Ray, whose console looks for its own spelling of their ids */
    bool is_cut;        /* too long a text is cut; else it becomes several events */
    size_t event_max;   /* bytes of one, with AWS's own */
};

/* What may be taken still; what comes behind the first event that is too much is left out, too. */
struct cloudwatch_room {
    uint64_t bytes; /* with AWS's own */
    bool is_over;
};

/* The events behind the content, as lines. A line is a number of events, a blank and the body of a call that brings
 * them; or the number of those that were left out, alone. 0, or as buffer_append, and then the content is as before.
 * Context: loop. */
int cloudwatch_events_append(const struct log_event *const *events, size_t count,
                             const struct cloudwatch_options *options, struct cloudwatch_room *room,
                             struct buffer *payload);

#endif
