/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/last_lines.h"

#include "exporters/agent/log_event.h"
#include "exporters/encode/json_text.h"
#include "preload/wire.h"

#include <stdlib.h>
#include <string.h>

struct line {
    struct log_event_record event;
    uint16_t length;
    char text[LAST_LINES_TEXT_MAX];
};

struct last_lines {
    size_t count; /* ever */
    struct line lines[LAST_LINES_MAX];
};

void last_lines_note(struct last_lines **lines, const struct log_event_record *event, struct slice text)
{
    struct line *line;

    if (!*lines)
        *lines = calloc(1, sizeof(**lines));
    if (!*lines)
        return;
    line = &(*lines)->lines[(*lines)->count++ % LAST_LINES_MAX];
    line->event = *event;
    line->length = text.length < LAST_LINES_TEXT_MAX ? (uint16_t)text.length : LAST_LINES_TEXT_MAX;
    memcpy(line->text, text.bytes, line->length);
}

static const char *name_of_stream(unsigned stream)
{
    static const char *const names[] = {
        [WIRE_LOG_STDOUT] = "stdout", [WIRE_LOG_STDERR] = "stderr", [WIRE_LOG_SYSLOG] = "syslog"};

    return stream < sizeof(names) / sizeof(names[0]) && names[stream] ? names[stream] : "file";
}

static json_t *pack(const struct line *line, int64_t wall_offset_ns)
{
    const struct log_event_record *event = &line->event;
    json_t *object = json_pack("{s:I, s:s}", "time_unix_ns", (json_int_t)(event->mono_ns + (uint64_t)wall_offset_ns),
                               "stream", name_of_stream(event->stream));

    if (event->severity > 0)
        (void)json_object_set_new(object, "severity", json_integer(event->severity - 1));
    json_set_id(object, "trace_id", event->trace_id, sizeof(event->trace_id));
    json_set_id(object, "span_id", event->span_id, sizeof(event->span_id));
    json_set_text(object, "text", line->text, line->length);
    return object;
}

json_t *last_lines_list(const struct last_lines *lines, int64_t wall_offset_ns)
{
    json_t *list = json_array();
    size_t count = lines ? lines->count : 0;

    for (size_t i = count > LAST_LINES_MAX ? count - LAST_LINES_MAX : 0; i < count; i++)
        (void)json_array_append_new(list, pack(&lines->lines[i % LAST_LINES_MAX], wall_offset_ns));
    return list;
}
