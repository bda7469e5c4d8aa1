/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/request_event.h"

#include "exporters/agent/log_event.h"
#include "exporters/agent/span.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/request_line.h"

#include <stdbool.h>
#include <string.h>
#include <syslog.h>

static enum request_line_format format_of(enum request_lines form)
{
    switch (form) {
    case REQUEST_LINES_COMBINED:
        return REQUEST_LINE_COMBINED;
    case REQUEST_LINES_JSON:
        return REQUEST_LINE_JSON;
    case REQUEST_LINES_SHORT:
    case REQUEST_LINES_OFF:
        break;
    }
    return REQUEST_LINE_SHORT;
}

/* A request without an answer is the client's doing, or the server's. */
static int level_of(const struct wire_request *request)
{
    bool has_left = request->error == WIRE_ERROR_CLIENT_CLOSED;

    if (request->status >= 500 || (request->status == 0 && !has_left))
        return LOG_ERR;
    return request->status >= 400 || request->status == 0 ? LOG_WARNING : LOG_INFO;
}

static struct log_event_record describe(const struct wire_request *request, size_t length)
{
    struct log_event_record event = {
        .header = {.type = WIRE_RECORD_LOG, .pad = (uint32_t)length},
        .mono_ns = request->end_ns,
        .stream = LOG_EVENT_STREAM_REQUEST,
        .severity = (uint8_t)(level_of(request) + 1),
    };

    memcpy(event.trace_id, request->trace_id, sizeof(event.trace_id));
    memcpy(event.span_id, request->span_id, sizeof(event.span_id));
    return event;
}

int request_event_append(struct buffer *entry, const struct process *process, const struct wire_record *record,
                         enum request_lines form)
{
    static const struct log_event_record room;
    size_t start = entry->length;
    struct span span;
    int r;

    if (record->type != WIRE_RECORD_REQUEST || span_parse(process, record + 1, record->length, &span) < 0 ||
        span.is_open || span.request->kind != WIRE_KIND_SERVER)
        return 0;
    r = buffer_append(entry, &room, sizeof(room));
    if (r == 0)
        r = request_line_append(entry, &span, format_of(form));
    if (r < 0)
        return r;
    const struct log_event_record event = describe(span.request, entry->length - start - sizeof(room));
    memcpy(entry->bytes + start, &event, sizeof(event));
    return 1;
}
