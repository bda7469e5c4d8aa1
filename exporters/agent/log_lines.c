/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_lines.h"

#include "exporters/agent/log_join.h"
#include "exporters/agent/log_severity.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/utf8.h"

#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)

/* A whole line waits so long for lines that belong to it, one without an end for the rest; and no event for longer. */
static const uint64_t whole_ns = 100 * MS, part_ns = 2000 * MS;

enum {
    WRITERS_MAX = 64,
    TEXT_KEPT = 16 * 1024, /* a longer text's memory is given back when the event is done */
    SEVERITY_ERROR = 4,    /* syslog's, plus one */
};

/* What one thread writes to one log: an event of whole lines, then a line that has no end yet. */
struct writer {
    struct writer *next; /* the one that wrote after it */
    uint32_t number;
    uint8_t stream, path_length;
    char path[WIRE_LOG_PATH_MAX];                   /* of the log's file; empty: it is none */
    struct buffer text;                             /* the event's lines with their ends, and the line after them */
    size_t line_start;                              /* where that line starts; 0: there is no event */
    struct log_event_record event;                  /* of the event's first line; whatever, when there is none */
    struct log_event_record line;                   /* of the line */
    enum log_join join;                             /* what the event is */
    uint64_t call_ns;                               /* of the latest call */
    uint64_t event_call_ns;                         /* of the call that wrote the end of the event */
    struct log_lines_place event_place, line_place; /* of their last pieces */
    uint64_t begun_ns, touched_ns;                  /* the event was begun, the text was added to: when */
};

struct log_lines {
    log_lines_emit *emit;
    void *arg;
    struct writer *writers; /* the latest last: what waits goes on in this order */
    unsigned writer_count;
};

struct log_lines *log_lines_new(log_lines_emit *emit, void *arg)
{
    struct log_lines *lines = calloc(1, sizeof(*lines));

    if (lines)
        *lines = (struct log_lines){.emit = emit, .arg = arg};
    return lines;
}

/* events */

static bool has_line(const struct writer *writer)
{
    return writer->text.length > writer->line_start;
}

static struct slice line_of(const struct writer *writer)
{
    if (!has_line(writer))
        return (struct slice){"", 0};

    const char *bytes = (const char *)writer->text.bytes + writer->line_start;
    size_t length = writer->text.length - writer->line_start;

    length -= length > 0 && bytes[length - 1] == '\n';
    length -= length > 0 && bytes[length - 1] == '\r';
    return (struct slice){bytes, length};
}

static bool has_event(const struct writer *writer)
{
    return writer->line_start > 0;
}

/* The event's text without the end of its last line, and without empty lines at its end: they are between it and what
 * comes after it. */
static struct slice text_of(const struct writer *writer)
{
    const char *bytes = (const char *)writer->text.bytes;
    size_t length = writer->line_start;

    while (length > 0 && (bytes[length - 1] == '\n' || bytes[length - 1] == '\r'))
        length--;
    if (writer->event.flags & LOG_EVENT_CUT)
        length = utf8_whole(bytes, length);
    return (struct slice){bytes, length};
}

static uint8_t severity_of(const struct writer *writer, struct slice text)
{
    const char *end = memchr(text.bytes, '\n', text.length);
    struct slice line = {text.bytes, end ? (size_t)(end - text.bytes) : text.length};
    uint8_t severity = writer->event.severity ? writer->event.severity : log_severity_of(line);

    return severity == 0 && log_join_is_trace(writer->join) ? SEVERITY_ERROR : severity;
}

/* The event is done: what is after it moves to the front. */
static void emit(struct log_lines *lines, struct writer *writer)
{
    struct log_event_record *event = &writer->event;
    struct slice text = text_of(writer);

    if (text.length > 0) {
        if (event->flags & LOG_EVENT_CUT)
            event->left_out += (uint32_t)(writer->line_start - text.length);
        if (!utf8_is_text(text.bytes, text.length))
            event->flags |= LOG_EVENT_BINARY;
        event->severity = severity_of(writer, text);
        event->header = (struct wire_record){.type = WIRE_RECORD_LOG, .pad = (uint32_t)text.length};
        event->path_length = writer->path_length;
        lines->emit(lines->arg, &writer->event_place, event, writer->path, text.bytes);
    }
    writer->text.length -= writer->line_start;
    memmove(writer->text.bytes, writer->text.bytes + writer->line_start, writer->text.length);
    writer->line_start = 0;
    if (writer->text.length == 0 && writer->text.capacity > TEXT_KEPT)
        buffer_deinit(&writer->text);
}

/* lines */

static bool is_same_request(const struct writer *writer)
{
    return memcmp(writer->event.trace_id, writer->line.trace_id, sizeof(writer->line.trace_id)) == 0 &&
           memcmp(writer->event.span_id, writer->line.span_id, sizeof(writer->line.span_id)) == 0;
}

/* Does the line belong to the event before it? */
static bool belongs(struct writer *writer)
{
    return has_event(writer) && !(writer->line.flags & LOG_EVENT_GAP) && is_same_request(writer) &&
           log_join_takes(&writer->join, line_of(writer), writer->line.mono_ns == writer->event_call_ns);
}

/* The line is at its end. */
static void end_line(struct log_lines *lines, struct writer *writer, uint64_t now_ns)
{
    if (belongs(writer)) {
        writer->event.flags |= writer->line.flags;
        writer->event.left_out += writer->line.left_out;
    } else {
        if (has_event(writer))
            emit(lines, writer);
        writer->event = writer->line;
        writer->join = log_join_begin(line_of(writer));
        writer->begun_ns = now_ns;
    }
    writer->line_start = writer->text.length;
    writer->event_place = writer->line_place;
    writer->event_call_ns = writer->call_ns;
}

/* Whatever there is, is all there will be. */
static void finish(struct log_lines *lines, struct writer *writer)
{
    if (has_line(writer)) {
        writer->line.flags |= LOG_EVENT_NO_END;
        end_line(lines, writer, writer->touched_ns);
    }
    if (has_event(writer))
        emit(lines, writer);
}

static void begin_line(struct writer *writer, const struct wire_log *log, uint16_t flags)
{
    struct log_event_record *line = &writer->line;

    *line = (struct log_event_record){
        .mono_ns = log->mono_ns, .stream = log->stream, .severity = log->severity, .flags = flags};
    memcpy(line->trace_id, log->trace_id, sizeof(line->trace_id));
    memcpy(line->span_id, log->span_id, sizeof(line->span_id));
}

static void leave_out(struct writer *writer, size_t length)
{
    writer->line.flags |= LOG_EVENT_CUT;
    writer->line.left_out += (uint32_t)length;
}

/* As far as there is room: an event that is in the way is done. */
static void append(struct log_lines *lines, struct writer *writer, struct slice part)
{
    size_t room;

    if (part.length > LOG_EVENT_TEXT_MAX - writer->text.length && has_event(writer))
        emit(lines, writer);
    room = LOG_EVENT_TEXT_MAX - writer->text.length;
    if (part.length > room) {
        leave_out(writer, part.length - room);
        part.length = room;
    }
    if (buffer_append(&writer->text, part.bytes, part.length) < 0)
        leave_out(writer, part.length);
}

/* writers */

/* Or the one that has been silent for longest, when there are too many. */
static struct writer *new_writer(struct log_lines *lines)
{
    struct writer *writer = lines->writers;

    if (lines->writer_count < WRITERS_MAX) {
        writer = calloc(1, sizeof(*writer));
        lines->writer_count += writer != NULL;
        return writer;
    }
    lines->writers = writer->next;
    finish(lines, writer);
    return writer;
}

static void add_last(struct log_lines *lines, struct writer *writer)
{
    struct writer **at = &lines->writers;

    while (*at)
        at = &(*at)->next;
    writer->next = NULL;
    *at = writer;
}

/* Where the pointer to it stands in the list, or would. */
static struct writer **seek_writer(struct log_lines *lines, unsigned stream, uint32_t number)
{
    struct writer **at = &lines->writers;

    while (*at && ((*at)->stream != stream || (*at)->number != number))
        at = &(*at)->next;
    return at;
}

/* Who goes on with this piece: its thread, or where that has no line open, whose buffer threads share. */
static struct writer **seek_line(struct log_lines *lines, const struct wire_log *log)
{
    struct writer **own = seek_writer(lines, log->stream, log->writer), **shared;

    if (log->writer == 0 || log->flags & WIRE_LOG_WHOLE || (*own && has_line(*own)))
        return own;
    shared = seek_writer(lines, log->stream, 0);
    return *shared && has_line(*shared) ? shared : own;
}

/* The writer of a piece, which is the latest from now on. */
static struct writer *find_writer(struct log_lines *lines, const struct wire_log *log)
{
    struct writer **at = seek_line(lines, log), *writer = *at;

    if (writer) {
        *at = writer->next;
    } else {
        writer = new_writer(lines);
        if (!writer)
            return NULL;
        writer->stream = log->stream;
        writer->number = log->writer;
    }
    memcpy(writer->path, log + 1, log->path_length);
    writer->path_length = log->path_length;
    add_last(lines, writer);
    return writer;
}

/* Another thread writes to this log. What stands there of single lines goes before; a traceback may be under way. */
static void let_others_go(struct log_lines *lines, const struct writer *writer, bool is_gap)
{
    for (struct writer *other = lines->writers; other != writer; other = other->next) {
        if (other->stream != writer->stream)
            continue;
        if (is_gap)
            finish(lines, other);
        else if (has_event(other) && !has_line(other) && other->join == LOG_JOIN_PLAIN)
            emit(lines, other);
    }
}

void log_lines_free(struct log_lines *lines)
{
    if (!lines)
        return;
    while (lines->writers) {
        struct writer *writer = lines->writers;

        lines->writers = writer->next;
        finish(lines, writer);
        buffer_deinit(&writer->text);
        free(writer);
    }
    free(lines);
}

/* pieces */

/* The next part of a piece: a line and its end, or what there is of one. A message is one line, whatever is in it. */
static struct slice next_part(const struct wire_log *log, struct slice rest)
{
    const char *end = log->flags & WIRE_LOG_WHOLE ? NULL : memchr(rest.bytes, '\n', rest.length);

    return (struct slice){rest.bytes, end ? (size_t)(end + 1 - rest.bytes) : rest.length};
}

static void take_parts(struct log_lines *lines, struct writer *writer, const struct wire_log *log, struct slice rest)
{
    uint16_t flags = log->lost_lines > 0 ? LOG_EVENT_GAP : 0;

    while (rest.length > 0) {
        struct slice part = next_part(log, rest);

        if (!has_line(writer))
            begin_line(writer, log, flags);
        flags = 0;
        append(lines, writer, part);
        if (part.bytes[part.length - 1] == '\n' && !(log->flags & WIRE_LOG_WHOLE))
            end_line(lines, writer, writer->touched_ns);
        rest = (struct slice){rest.bytes + part.length, rest.length - part.length};
    }
}

/* The call's bytes end here: so does a message, and a line whose end was not taken. */
static void end_call(struct log_lines *lines, struct writer *writer, const struct wire_log *log)
{
    if (log->left_out == 0 && !(log->flags & WIRE_LOG_WHOLE && has_line(writer)))
        return;
    if (!has_line(writer))
        begin_line(writer, log, 0);
    if (log->left_out > 0)
        leave_out(writer, log->left_out);
    end_line(lines, writer, writer->touched_ns);
    if (has_event(writer))
        emit(lines, writer);
}

bool log_lines_take(struct log_lines *lines, const struct log_lines_place *place, const void *piece, size_t length,
                    uint64_t now_ns)
{
    const struct wire_log *log = piece;
    struct writer *writer;

    if (length < sizeof(*log) || log->path_length > length - sizeof(*log) || log->path_length > WIRE_LOG_PATH_MAX ||
        log->stream == WIRE_LOG_NONE)
        return false;
    writer = find_writer(lines, log);
    if (!writer)
        return false;
    let_others_go(lines, writer, log->lost_lines > 0);
    if (log->lost_lines > 0)
        finish(lines, writer);
    writer->line_place = *place;
    writer->touched_ns = now_ns;
    writer->call_ns = log->mono_ns;
    take_parts(lines, writer, log,
               (struct slice){(const char *)(log + 1) + log->path_length, length - sizeof(*log) - log->path_length});
    if (!(log->flags & WIRE_LOG_CONTINUES))
        end_call(lines, writer, log);
    return true;
}

bool log_lines_look(struct log_lines *lines, uint64_t now_ns)
{
    bool waits = false;

    for (struct writer *writer = lines->writers; writer; writer = writer->next) {
        uint64_t quiet_ns = now_ns - writer->touched_ns;

        if (has_line(writer) && quiet_ns >= part_ns)
            finish(lines, writer);
        else if (has_event(writer) &&
                 ((quiet_ns >= whole_ns && !has_line(writer)) || now_ns - writer->begun_ns >= part_ns))
            emit(lines, writer);
        waits |= writer->text.length > 0;
    }
    return waits;
}
