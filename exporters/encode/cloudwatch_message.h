/* SPDX-License-Identifier: Apache-2.0 */
/* The message of an event in CloudWatch Logs: the text with what is known of it. Used by cloudwatch_events.c. */
#ifndef SPANSHIM_CLOUDWATCH_MESSAGE_H
#define SPANSHIM_CLOUDWATCH_MESSAGE_H

#include "preload/slice.h"

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct log_event; /* agent/log_event.h */

/* How one is written. */
struct cloudwatch_message {
    const struct log_event *event;
    bool is_plain; /* the text, and trace_id=... behind it; else a JSON object */
    bool has_xray; /* its trace is named as X-Ray spells it, too */
    bool is_cut;   /* what there is no room for is left out, which the message says */
    unsigned part; /* of an event that is several messages, from 1 on; 0: it is one */
    size_t room;   /* bytes of the message at most */
};

/* As much of the text (valid UTF-8, not empty) as there is room for, in whole characters, as a message behind the
 * content. *ret_taken: bytes of the text, at least one character. 0 or as buffer_append. Context: loop. */
int cloudwatch_message_append(struct buffer *buffer, const struct cloudwatch_message *message, struct slice text,
                              size_t *ret_taken);

/* Is the text a metric in CloudWatch's Embedded Metric Format, which counts only as it is? Context: loop. */
bool cloudwatch_message_is_metric(struct slice text);

#endif
