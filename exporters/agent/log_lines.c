/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_lines.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/log_join.h"
#include "exporters/agent/log_severity.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/utf8.h"

#include <stdlib.h>
#include <string.h>

/* A whole line waits so long for lines that belong to it, one without an end for the rest; and no event for longer. */
static const uint64_t whole_ns = 100 * NS_PER_MS, part_ns = 2000 * NS_PER_MS;

enum {
    WRITERS_MAX = 64,
    WAITING_MAX = 1 << 20, /* bytes of all of a process's lines that wait */
    TEXT_KEPT = 16 * 1024, /* a longer text's memory is given back when the event is done */
    SEVERITY_ERROR = 4,    /* syslog's, plus one */
    SAVED_EXTRA = 80,      /* bytes that the save of a writer may need beside it */
};

/* The number of the buffer that threads share; while one of them writes it out, that thread's without the last bit. */
enum { SHARED = 0 };

/* What one thread writes to one log: an event of whole lines, then a line that has no end yet. */
struct writer {
    struct writer *next; /* the one that wrote after it */
    uint32_t number;     /* of the thread, odd, or SHARED */
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
    bool is_one_of_several;                         /* another event began, or ended, in the call that began this one */
    bool is_one_of_traces;                          /* another event began in it, or a traceback ended */
};

struct log_lines {
    log_lines_emit *emit;
    void *arg;
    struct writer *writers; /* the latest last: what waits goes on in this order */
    unsigned writer_count;
    size_t waiting; /* bytes that a save of what waits takes */
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

static bool is_end(char c)
{
    return c == '\n' || c == '\r';
}

/* The event's text without the end of its last line, and without empty or blank lines at its end: they are between it
 * and what comes after it. */
static struct slice text_of(const struct writer *writer)
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

static uint8_t severity_of(const struct writer *writer, struct slice text)
{
    struct slice line = first_line(text);

    if (log_join_is_record(line) && line.length < text.length) /* the next one tells */
        line = first_line((struct slice){text.bytes + line.length + 1, text.length - line.length - 1});

    uint8_t severity = writer->event.severity ? writer->event.severity : log_severity_of(line);

    return severity == 0 && log_join_is_trace(writer->join) ? SEVERITY_ERROR : severity;
}

static bool is_shared(uint32_t number)
{
    return !(number & 1);
}

/* A call that writes several events may write out what was collected for several requests, and the thread's is the last
 * one only. To standard error it does so with much at once; a traceback is mostly printed by itself, but for what
 * stands above it. Records of java.util.logging are written out one by one, or by whoever comes first. */
static bool is_collected(const struct writer *writer)
{
    if (log_join_is_trace(writer->join))
        return writer->is_one_of_traces;
    return writer->is_one_of_several &&
           (is_shared(writer->number) || writer->stream != WIRE_LOG_STDERR || writer->join == LOG_JOIN_RECORD);
}

static void forget_request(struct log_event_record *event)
{
    memset(event->trace_id, 0, sizeof(event->trace_id));
    memset(event->span_id, 0, sizeof(event->span_id));
}

/* How much a writer adds to what waits: what a save of it takes. */
static size_t waiting_of(const struct writer *writer)
{
    return writer->text.length > 0 ? sizeof(*writer) + SAVED_EXTRA + writer->text.length : 0;
}

/* The event is done: what is after it moves to the front. */
static void emit(struct log_lines *lines, struct writer *writer)
{
    struct log_event_record *event = &writer->event;
    struct slice text = text_of(writer);

    if (text.length > 0) {
        if (is_collected(writer))
            forget_request(event);
        if (event->flags & LOG_EVENT_CUT)
            event->left_out += (uint32_t)(writer->line_start - text.length);
        if (!utf8_is_text(text.bytes, text.length))
            event->flags |= LOG_EVENT_BINARY;
        event->severity = severity_of(writer, text);
        event->header = (struct wire_record){.type = WIRE_RECORD_LOG, .pad = (uint32_t)text.length};
        event->path_length = writer->path_length;
        lines->emit(lines->arg, &writer->event_place, event, writer->path, text.bytes);
    }
    lines->waiting -= waiting_of(writer);
    writer->text.length -= writer->line_start;
    memmove(writer->text.bytes, writer->text.bytes + writer->line_start, writer->text.length);
    writer->line_start = 0;
    lines->waiting += waiting_of(writer);
    if (writer->text.length == 0 && writer->text.capacity > TEXT_KEPT)
        buffer_deinit(&writer->text);
}

/* lines */

static bool has_request(const struct log_event_record *event)
{
    static const uint8_t none[sizeof(event->trace_id)];

    return memcmp(event->trace_id, none, sizeof(none)) != 0;
}

/* Or can't it be told, amid a traceback? A program that prints it call by call may end the request meanwhile. */
static bool is_same_request(const struct writer *writer)
{
    const struct log_event_record *event = &writer->event, *line = &writer->line;

    return (memcmp(event->trace_id, line->trace_id, sizeof(line->trace_id)) == 0 &&
            memcmp(event->span_id, line->span_id, sizeof(line->span_id)) == 0) ||
           (log_join_awaits_more(writer->join) && (!has_request(event) || !has_request(line)));
}

/* Has the call that ended the event begun the line as well? Empty lines are nothing. */
static bool is_of_same_call(const struct writer *writer)
{
    return has_event(writer) && writer->line.mono_ns == writer->event_call_ns && text_of(writer).length > 0 &&
           line_of(writer).length > 0;
}

/* Does the line belong to the event before it? */
static bool belongs(struct writer *writer)
{
    return has_event(writer) && !(writer->line.flags & LOG_EVENT_GAP) && is_same_request(writer) &&
           log_join_takes(&writer->join, line_of(writer), writer->line.mono_ns == writer->event_call_ns);
}

/* The line is at its end. behind: what its call wrote behind it, as far as it is at hand. */
static void end_line(struct log_lines *lines, struct writer *writer, struct slice behind)
{
    if (belongs(writer)) {
        writer->event.flags |= writer->line.flags;
        writer->event.left_out += writer->line.left_out;
    } else {
        bool is_one_of_several = is_of_same_call(writer);
        bool is_behind_trace = is_one_of_several && log_join_is_trace(writer->join);

        if (has_event(writer)) {
            bool is_followed = is_one_of_several && writer->event.mono_ns == writer->event_call_ns;

            writer->is_one_of_several |= is_followed;
            writer->is_one_of_traces |= is_followed;
            emit(lines, writer);
        }
        writer->event = writer->line;
        writer->is_one_of_several = is_one_of_several;
        writer->is_one_of_traces = is_behind_trace;
        writer->join = log_join_begin(line_of(writer), behind);
        writer->begun_ns = writer->touched_ns;
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
        end_line(lines, writer, (struct slice){"", 0});
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
    lines->waiting -= waiting_of(writer);
    if (buffer_append(&writer->text, part.bytes, part.length) < 0)
        leave_out(writer, part.length);
    lines->waiting += waiting_of(writer);
}

/* What waits together is bounded, too: who has been silent for longest is not waited for. */
static void make_room(struct log_lines *lines, const struct writer *writer)
{
    for (struct writer *other = lines->writers; other && lines->waiting > WAITING_MAX; other = other->next)
        if (other != writer)
            finish(lines, other);
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

static uint32_t number_of(const struct wire_log *log)
{
    return log->flags & WIRE_LOG_SHARED ? log->writer & ~1u : log->writer;
}

static bool is_open(struct writer *const *at)
{
    return *at && has_line(*at);
}

/* Who goes on with this piece: its thread, or where that has no line open, the buffer that threads share. With a piece
 * of that buffer: the buffer, or where that has no line open, the thread. */
static struct writer **seek_line(struct log_lines *lines, const struct wire_log *log)
{
    uint32_t number = number_of(log);
    struct writer **own = seek_writer(lines, log->stream, number), **shared, **thread;

    if (log->flags & WIRE_LOG_WHOLE || (is_shared(number) && *own) || is_open(own))
        return own;
    shared = seek_writer(lines, log->stream, SHARED);
    if (is_open(shared))
        return shared;
    thread = seek_writer(lines, log->stream, log->writer | 1);
    if (is_open(thread))
        return thread;
    return is_shared(number) && *shared ? shared : own;
}

/* The writer of a piece, which is the latest from now on. */
static struct writer *find_writer(struct log_lines *lines, const struct wire_log *log)
{
    struct writer **at = seek_line(lines, log), *writer = *at;
    uint32_t number = number_of(log);

    if (writer) {
        *at = writer->next;
    } else {
        writer = new_writer(lines);
        if (!writer)
            return NULL;
        writer->stream = log->stream;
        writer->number = number;
    }
    if (is_shared(number))
        writer->number = number;
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

static void free_writer(struct writer *writer)
{
    buffer_deinit(&writer->text);
    free(writer);
}

/* Of which nothing waits. */
static void remove_writer(struct log_lines *lines, struct writer **at)
{
    struct writer *writer = *at;

    *at = writer->next;
    free_writer(writer);
    lines->writer_count--;
}

/* The buffer is written out. Several may have been at once: what the last one has left is gone on with. */
static void give_back(struct log_lines *lines, struct writer *writer)
{
    struct writer **other = seek_writer(lines, writer->stream, SHARED);

    if (*other && *other != writer) {
        finish(lines, *other);
        remove_writer(lines, other);
    }
    writer->number = SHARED;
}

void log_lines_free(struct log_lines *lines)
{
    if (!lines)
        return;
    while (lines->writers) {
        struct writer *writer = lines->writers;

        lines->writers = writer->next;
        free_writer(writer);
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
        rest = (struct slice){rest.bytes + part.length, rest.length - part.length};
        if (part.bytes[part.length - 1] == '\n' && !(log->flags & WIRE_LOG_WHOLE))
            end_line(lines, writer, rest);
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
    end_line(lines, writer, (struct slice){"", 0});
    if (has_event(writer))
        emit(lines, writer);
}

/* What PHP-FPM's workers write to standard error behind each request, for their master to know: no text. */
static bool is_fpm_mark(struct slice text)
{
    static const char mark[] = "\0fscf";

    return text.length == sizeof(mark) && memcmp(text.bytes, mark, sizeof(mark)) == 0;
}

bool log_lines_take(struct log_lines *lines, const struct log_lines_place *place, const void *piece, size_t length,
                    uint64_t now_ns)
{
    const struct wire_log *log = piece;
    struct writer *writer;
    struct slice text;

    if (length < sizeof(*log) || log->path_length > length - sizeof(*log) || log->path_length > WIRE_LOG_PATH_MAX ||
        log->stream == WIRE_LOG_NONE)
        return false;
    text = (struct slice){(const char *)(log + 1) + log->path_length, length - sizeof(*log) - log->path_length};
    if (log->stream == WIRE_LOG_STDERR && is_fpm_mark(text))
        return true;
    writer = find_writer(lines, log);
    if (!writer)
        return false;
    let_others_go(lines, writer, log->lost_lines > 0);
    if (log->lost_lines > 0)
        finish(lines, writer);
    writer->line_place = *place;
    writer->touched_ns = now_ns;
    writer->call_ns = log->mono_ns;
    take_parts(lines, writer, log, text);
    if (!(log->flags & WIRE_LOG_CONTINUES)) {
        end_call(lines, writer, log);
        if (is_shared(writer->number))
            give_back(lines, writer);
    }
    make_room(lines, writer);
    return true;
}

/* Has the event waited for long enough? */
static bool is_due(const struct writer *writer, uint64_t now_ns)
{
    bool is_whole = !has_line(writer) && !log_join_awaits_more(writer->join);

    return has_event(writer) &&
           ((is_whole && now_ns - writer->touched_ns >= whole_ns) || now_ns - writer->begun_ns >= part_ns);
}

/* Has its last line waited for its end for long enough? */
static bool is_line_due(const struct writer *writer, uint64_t now_ns)
{
    return has_line(writer) && now_ns - writer->touched_ns >= part_ns;
}

void log_lines_look(struct log_lines *lines, uint64_t now_ns)
{
    for (struct writer *writer = lines->writers; writer; writer = writer->next) {
        if (is_line_due(writer, now_ns))
            finish(lines, writer);
        else if (is_due(writer, now_ns))
            emit(lines, writer);
    }
}

bool log_lines_is_due(const struct log_lines *lines, uint64_t now_ns)
{
    const struct writer *writer = lines->waiting > 0 ? lines->writers : NULL;

    while (writer && !is_line_due(writer, now_ns) && !is_due(writer, now_ns))
        writer = writer->next;
    return writer != NULL;
}

/* what waits, saved */

size_t log_lines_waiting(const struct log_lines *lines)
{
    return lines->waiting;
}

/* Writers of which nothing waits are not saved. They are dropped here, too: the next worker goes on without them, and
 * both must do the same. */
static void forget_idle(struct log_lines *lines)
{
    for (struct writer **at = &lines->writers; *at;) {
        if ((*at)->text.length > 0)
            at = &(*at)->next;
        else
            remove_writer(lines, at);
    }
}

void log_lines_save(struct log_lines *lines, log_lines_keep *keep, void *arg)
{
    static struct buffer saved; /* loop only */

    forget_idle(lines);
    for (const struct writer *writer = lines->writers; writer; writer = writer->next) {
        saved.length = 0;
        if (buffer_append(&saved, writer, sizeof(*writer)) == 0 &&
            buffer_append(&saved, writer->text.bytes, writer->text.length) == 0)
            keep(arg, saved.bytes, saved.length);
    }
}

bool log_lines_load(struct log_lines *lines, const void *bytes, size_t length)
{
    struct writer *writer = malloc(sizeof(*writer));
    size_t text_length = length < sizeof(*writer) ? 0 : length - sizeof(*writer);

    if (writer && text_length > 0) {
        memcpy(writer, bytes, sizeof(*writer));
        writer->text = (struct buffer){0}; /* its pointer was valid in the worker before */
    }
    if (!writer || text_length == 0 || writer->line_start > text_length || writer->path_length > WIRE_LOG_PATH_MAX ||
        buffer_append(&writer->text, (const char *)bytes + sizeof(*writer), text_length) < 0) {
        free(writer);
        return false;
    }
    lines->writer_count++;
    lines->waiting += waiting_of(writer);
    add_last(lines, writer);
    return true;
}
