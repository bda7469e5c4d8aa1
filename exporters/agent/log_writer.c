/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_writer.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/log_severity.h"
#include "exporters/encode/utf8.h"

#include <string.h>

/* A whole line waits so long for lines that belong to it, one without an end for the rest; and no event for longer. */
static const uint64_t whole_ns = 100 * NS_PER_MS, part_ns = 2000 * NS_PER_MS;

enum { SEVERITY_ERROR = 4 }; /* syslog's, plus one */

struct slice log_writer_line(const struct log_writer *writer)
{
    if (!log_writer_has_line(writer))
        return (struct slice){"", 0};

    const char *bytes = (const char *)writer->text.bytes + writer->line_start;
    size_t length = writer->text.length - writer->line_start;

    length -= length > 0 && bytes[length - 1] == '\n';
    length -= length > 0 && bytes[length - 1] == '\r';
    return (struct slice){bytes, length};
}

static bool is_end(char c)
{
    return c == '\n' || c == '\r';
}

struct slice log_writer_event_text(const struct log_writer *writer)
{
    const char *bytes = (const char *)writer->text.bytes;
    size_t length = writer->line_start, at = length;

    for (; at > 0 && (is_end(bytes[at - 1]) || bytes[at - 1] == ' ' || bytes[at - 1] == '\t'); at--)
        if (is_end(bytes[at - 1]))
            length = at - 1;
    if (at == 0)
        length = 0;
    if (writer->event.flags & LOG_EVENT_CUT)
        length = utf8_whole(bytes, length);
    return (struct slice){bytes, length};
}

static struct slice first_line(struct slice text)
{
    const char *end = memchr(text.bytes, '\n', text.length);

    return (struct slice){text.bytes, end ? (size_t)(end - text.bytes) : text.length};
}

static uint8_t severity_of(const struct log_writer *writer, struct slice text)
{
    struct slice line = first_line(text);

    if (log_join_is_record(line) && line.length < text.length) /* the next one tells */
        line = first_line((struct slice){text.bytes + line.length + 1, text.length - line.length - 1});

    uint8_t severity = writer->event.severity ? writer->event.severity : log_severity_of(line);

    return severity == 0 && log_join_is_trace(writer->join) ? SEVERITY_ERROR : severity;
}

/* A call that writes several events may write out what was collected for several requests, and the thread's is the last
 * one only. To standard error it does so with much at once; a traceback is mostly printed by itself, but for what
 * stands above it. Records of java.util.logging are written out one by one, or by whoever comes first. */
static bool is_collected(const struct log_writer *writer)
{
    if (log_join_is_trace(writer->join))
        return writer->is_one_of_traces;
    return writer->is_one_of_several && (log_writer_is_shared(writer->number) || writer->stream != WIRE_LOG_STDERR ||
                                         writer->join == LOG_JOIN_RECORD);
}

static void forget_request(struct log_event_record *event)
{
    memset(event->trace_id, 0, sizeof(event->trace_id));
    memset(event->span_id, 0, sizeof(event->span_id));
}

void log_writer_complete_event(struct log_writer *writer, struct slice text)
{
    struct log_event_record *event = &writer->event;

    if (is_collected(writer))
        forget_request(event);
    if (event->flags & LOG_EVENT_CUT)
        event->left_out += (uint32_t)(writer->line_start - text.length);
    if (!utf8_is_text(text.bytes, text.length))
        event->flags |= LOG_EVENT_BINARY;
    event->severity = severity_of(writer, text);
    event->header = (struct wire_record){.type = WIRE_RECORD_LOG, .pad = (uint32_t)text.length};
    event->path_length = writer->path_length;
}

static bool has_request(const struct log_event_record *event)
{
    static const uint8_t none[sizeof(event->trace_id)];

    return memcmp(event->trace_id, none, sizeof(none)) != 0;
}

/* Or can't it be told, amid a traceback? A program that prints it call by call may end the request meanwhile. */
static bool is_same_request(const struct log_writer *writer)
{
    const struct log_event_record *event = &writer->event, *line = &writer->line;

    return (memcmp(event->trace_id, line->trace_id, sizeof(line->trace_id)) == 0 &&
            memcmp(event->span_id, line->span_id, sizeof(line->span_id)) == 0) ||
           (log_join_awaits_more(writer->join) && (!has_request(event) || !has_request(line)));
}

bool log_writer_line_is_of_same_call(const struct log_writer *writer)
{
    return log_writer_has_event(writer) && writer->line.mono_ns == writer->event_call_ns &&
           log_writer_event_text(writer).length > 0 && log_writer_line(writer).length > 0;
}

bool log_writer_line_belongs(struct log_writer *writer)
{
    return log_writer_has_event(writer) && !(writer->line.flags & LOG_EVENT_GAP) && is_same_request(writer) &&
           log_join_takes(&writer->join, log_writer_line(writer), writer->line.mono_ns == writer->event_call_ns);
}

bool log_writer_event_is_due(const struct log_writer *writer, uint64_t now_ns)
{
    bool is_whole = !log_writer_has_line(writer) && !log_join_awaits_more(writer->join);

    return log_writer_has_event(writer) &&
           ((is_whole && now_ns - writer->touched_ns >= whole_ns) || now_ns - writer->begun_ns >= part_ns);
}

bool log_writer_line_is_due(const struct log_writer *writer, uint64_t now_ns)
{
    return log_writer_has_line(writer) && now_ns - writer->touched_ns >= part_ns;
}
