/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/otlp_event.h"

#include "exporters/agent/process.h"
#include "exporters/agent/span.h"
#include "exporters/encode/otlp_limits.h"

#include <stdlib.h>
#include <string.h>

enum { EVENT_OVERHEAD = 192 }; /* of its own fields, names and lengths */

static void add(struct otlp_event *event, const char *key, char *text, const struct otlp_limits *limits)
{
    size_t n = event->message.n_attributes;

    if (n >= limits->event_attribute_count) {
        event->message.dropped_attributes_count++;
        return;
    }
    event->message.n_attributes++;
    otlp__key_value__init(&event->pairs[n]);
    otlp__any_value__init(&event->values[n]);
    event->pairs[n].key = (char *)(uintptr_t)key;
    event->pairs[n].value = &event->values[n];
    event->values[n].value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    event->values[n].string_value = (char *)(uintptr_t)otlp_limits_cut(limits, text, &event->cut[n]);
    event->attributes[n] = &event->pairs[n];
    event->packed_max += strlen(event->values[n].string_value);
}

void otlp_event_add(struct otlp_event *event, const struct span *span, const struct otlp_limits *limits,
                    Otlp__Span *message)
{
    const struct process_exception *exception = process_find_exception(span->process, span->request->span_id);

    memset(event->cut, 0, sizeof(event->cut));
    event->packed_max = 0;
    if (exception == NULL)
        return;
    if (limits->event_count == 0) {
        message->dropped_events_count = 1;
        return;
    }
    event->packed_max = EVENT_OVERHEAD;
    otlp__span__event__init(&event->message);
    event->message.time_unix_nano = exception->unix_ns;
    event->message.name = (char *)"exception";
    event->message.attributes = event->attributes;
    add(event, "exception.type", exception->type, limits);
    add(event, "exception.message", exception->message, limits);
    add(event, "exception.stacktrace", exception->stacktrace, limits);
    event->list[0] = &event->message;
    message->events = event->list;
    message->n_events = 1;
}

void otlp_event_release(struct otlp_event *event)
{
    for (size_t i = 0; i < OTLP_EVENT_ATTRIBUTES; i++)
        free(event->cut[i]);
}
