/* SPDX-License-Identifier: Apache-2.0 */
/* The exception event of a span whose process crashed, or printed an error, while it worked on that request. Called by
 * otlp_trace.c only. */
#ifndef SPANSHIM_OTLP_EVENT_H
#define SPANSHIM_OTLP_EVENT_H

#include "otlp.pb-c.h"

#include <stddef.h>
#include <stdint.h>

struct otlp_limits;
struct span;

enum { OTLP_EVENT_ATTRIBUTES = 3 };

struct otlp_event {
    size_t packed_max; /* it takes no more bytes than this; 0: there is none */
    /* Private. */
    Otlp__Span__Event message;
    Otlp__Span__Event *list[1];
    Otlp__KeyValue pairs[OTLP_EVENT_ATTRIBUTES];
    Otlp__AnyValue values[OTLP_EVENT_ATTRIBUTES];
    Otlp__KeyValue *attributes[OTLP_EVENT_ATTRIBUTES];
    char *cut[OTLP_EVENT_ATTRIBUTES]; /* texts that were too long; NULL: as they are */
};

/* Fill it for this span, within these limits, and put it into the message. Borrows from the span's process. Context:
 * loop. */
void otlp_event_add(struct otlp_event *event, const struct span *span, const struct otlp_limits *limits,
                    Otlp__Span *message);

/* The message is packed. Context: loop. */
void otlp_event_release(struct otlp_event *event);

#endif
