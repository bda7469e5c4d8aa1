/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_lines.h"

#include "exporters/encode/buffer.h"

#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)

/* A whole line waits so long for lines that belong to it, one without an end for the rest. */
static const uint64_t whole_ns = 100 * MS, part_ns = 2000 * MS;

enum { STREAMS_MAX = 64 };

struct stream {
    struct stream *next;
    struct log_event_record event; /* of what is in `text`; `stream` tells whose it is */
    struct buffer text;            /* lines, each with its end but the last one */
    size_t line_start;             /* of the last line in it */
    bool is_busy;                  /* there is an event */
    bool is_whole;                 /* its last line has its end */
    struct log_lines_place place;  /* of its last piece */
    uint64_t touched_ns;
};

struct log_lines {
    log_lines_emit *emit;
    void *arg;
    struct stream *streams;
    unsigned stream_count;
};

struct log_lines *log_lines_new(log_lines_emit *emit, void *arg)
{
    struct log_lines *lines = calloc(1, sizeof(*lines));

    if (lines)
        *lines = (struct log_lines){.emit = emit, .arg = arg};
    return lines;
}

static void emit(struct log_lines *lines, struct stream *stream)
{
    size_t length = stream->text.length;

    if (!stream->is_busy)
        return;
    if (stream->is_whole)
        length--;
    else
        stream->event.flags |= LOG_EVENT_NO_END;
    if (length > 0 && stream->text.bytes[length - 1] == '\r')
        length--;
    stream->event.header = (struct wire_record){.type = WIRE_RECORD_LOG, .pad = (uint32_t)length};
    if (length > 0)
        lines->emit(lines->arg, &stream->place, &stream->event, (const char *)stream->text.bytes);
    stream->is_busy = stream->is_whole = false;
    stream->text.length = stream->line_start = 0;
}

void log_lines_free(struct log_lines *lines)
{
    if (!lines)
        return;
    while (lines->streams) {
        struct stream *stream = lines->streams;

        lines->streams = stream->next;
        emit(lines, stream);
        buffer_deinit(&stream->text);
        free(stream);
    }
    free(lines);
}

static struct stream *find_stream(struct log_lines *lines, unsigned number)
{
    struct stream *stream = lines->streams;

    while (stream && stream->event.stream != number)
        stream = stream->next;
    if (stream || lines->stream_count == STREAMS_MAX)
        return stream;
    stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    stream->event.stream = (uint8_t)number;
    stream->next = lines->streams;
    lines->streams = stream;
    lines->stream_count++;
    return stream;
}

static void begin(struct stream *stream, const struct wire_log *log)
{
    stream->event.mono_ns = log->mono_ns;
    memcpy(stream->event.trace_id, log->trace_id, sizeof(stream->event.trace_id));
    memcpy(stream->event.span_id, log->span_id, sizeof(stream->event.span_id));
    stream->event.severity = log->severity;
    stream->event.flags = 0;
    stream->event.left_out = 0;
    stream->is_busy = true;
}

/* Does a line that begins so belong to the event before it? */
static bool continues(const char *bytes, size_t length)
{
    static const char cause[] = "Caused by: ";

    return length > 0 && (*bytes == ' ' || *bytes == '\t' ||
                          (length >= sizeof(cause) - 1 && memcmp(bytes, cause, sizeof(cause) - 1) == 0));
}

static void append(struct stream *stream, const char *bytes, size_t length)
{
    size_t room = LOG_EVENT_TEXT_MAX - stream->text.length;

    if (length > room) {
        stream->event.flags |= LOG_EVENT_CUT;
        stream->event.left_out += (uint32_t)(length - room);
        length = room;
    }
    if (buffer_append(&stream->text, bytes, length) < 0) {
        stream->event.flags |= LOG_EVENT_CUT;
        stream->event.left_out += (uint32_t)length;
    }
}

/* Bytes up to and with a line's end, or without one. */
static void take_part(struct log_lines *lines, struct stream *stream, const struct wire_log *log, const char *bytes,
                      size_t length)
{
    if (stream->is_busy && stream->is_whole && !continues(bytes, length))
        emit(lines, stream);
    if (!stream->is_busy)
        begin(stream, log);
    append(stream, bytes, length);
    stream->is_whole = bytes[length - 1] == '\n' && stream->text.length > 0;
}

bool log_lines_take(struct log_lines *lines, const struct log_lines_place *place, const void *piece, size_t length,
                    uint64_t now_ns)
{
    const struct wire_log *log = piece;
    struct stream *stream;

    if (length < sizeof(*log) || log->path_length > length - sizeof(*log) || log->stream == WIRE_LOG_NONE)
        return false;
    stream = find_stream(lines, log->stream);
    if (!stream)
        return false;
    if (log->lost_lines > 0)
        emit(lines, stream);
    const char *at = (const char *)log->bytes + log->path_length, *end = (const char *)piece + length;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t part = line_end ? (size_t)(line_end + 1 - at) : (size_t)(end - at);

        take_part(lines, stream, log, at, part);
        stream->place = *place;
        at += part;
    }
    if (log->lost_lines > 0)
        stream->event.flags |= LOG_EVENT_GAP;
    if ((log->flags & (WIRE_LOG_WHOLE | WIRE_LOG_CONTINUES)) == WIRE_LOG_WHOLE && stream->is_busy && !stream->is_whole)
        stream->is_whole = buffer_append(&stream->text, "\n", 1) == 0;
    stream->touched_ns = now_ns;
    return true;
}

bool log_lines_look(struct log_lines *lines, uint64_t now_ns)
{
    bool waits = false;

    for (struct stream *stream = lines->streams; stream; stream = stream->next) {
        if (stream->is_busy && now_ns - stream->touched_ns >= (stream->is_whole ? whole_ns : part_ns))
            emit(lines, stream);
        waits |= stream->is_busy;
    }
    return waits;
}
