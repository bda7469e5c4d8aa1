/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/otlp_event.h"

#include "exporters/agent/process.h"
#include "exporters/agent/span.h"
#include "exporters/encode/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { EVENT_OVERHEAD = 192 }; /* of its own fields, names and lengths */

/* The text, or its first characters. */
static char *cut_text(struct otlp_event *event, size_t n, char *text, uint32_t max_length)
{
    size_t length = strlen(text);

    if (length <= max_length)
        return text;
    event->cut[n] = malloc(length * UTF8_REPAIRED_MAX + 1);
    if (event->cut[n] == NULL)
        return (char *)"";
    (void)utf8_repair(text, length, max_length, event->cut[n]);
    return event->cut[n];
}

static void add(struct otlp_event *event, const char *key, char *text, uint32_t max_length)
{
    size_t n = event->message.n_attributes++;

    otlp__key_value__init(&event->pairs[n]);
    otlp__any_value__init(&event->values[n]);
    event->pairs[n].key = (char *)(uintptr_t)key;
    event->pairs[n].value = &event->values[n];
    event->values[n].value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    event->values[n].string_value = cut_text(event, n, text, max_length);
    event->attributes[n] = &event->pairs[n];
    event->packed_max += strlen(event->values[n].string_value);
}

void otlp_event_add(struct otlp_event *event, const struct span *span, uint32_t max_length, Otlp__Span *message)
{
    const struct process_exception *exception = process_find_exception(span->process, span->request->span_id);

    memset(event->cut, 0, sizeof(event->cut));
    event->packed_max = 0;
    if (exception == NULL)
        return;
    event->packed_max = EVENT_OVERHEAD;
    otlp__span__event__init(&event->message);
    event->message.time_unix_nano = exception->unix_ns;
    event->message.name = (char *)"exception";
    event->message.attributes = event->attributes;
    add(event, "exception.type", exception->type, max_length);
    add(event, "exception.message", exception->message, max_length);
    add(event, "exception.stacktrace", exception->stacktrace, max_length);
    event->list[0] = &event->message;
    message->events = event->list;
    message->n_events = 1;
}

void otlp_event_release(struct otlp_event *event)
{
    for (size_t i = 0; i < OTLP_EVENT_ATTRIBUTES; i++)
        free(event->cut[i]);
}
