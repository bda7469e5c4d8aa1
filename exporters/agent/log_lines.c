/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_lines.h"

#include "exporters/agent/log_join.h"
#include "exporters/agent/log_writer.h"
#include "exporters/encode/buffer.h"

#include <stdlib.h>
#include <string.h>

enum {
    WRITERS_MAX = 64,
    WAITING_MAX = 1 << 20, /* bytes of all of a process's lines that wait */
    TEXT_KEPT = 16 * 1024, /* a longer text's memory is given back when the event is done */
    SAVED_EXTRA = 80,      /* bytes that the save of a writer may need beside it */
};

struct log_lines {
    log_lines_emit *emit;
    void *arg;
    struct log_writer *writers; /* the latest last: what waits goes on in this order */
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

/* How much a writer adds to what waits: what a save of it takes. */
static size_t waiting_of(const struct log_writer *writer)
{
    return writer->text.length > 0 ? sizeof(*writer) + SAVED_EXTRA + writer->text.length : 0;
}

/* The event is done: what is after it moves to the front. */
static void emit(struct log_lines *lines, struct log_writer *writer)
{
    struct slice text = log_writer_event_text(writer);

    if (text.length > 0) {
        log_writer_complete_event(writer, text);
        lines->emit(lines->arg, &writer->event_place, &writer->event, writer->path, text.bytes);
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

/* The line is at its end. behind: what its call wrote behind it, as far as it is at hand. */
static void end_line(struct log_lines *lines, struct log_writer *writer, struct slice behind)
{
    if (log_writer_line_belongs(writer)) {
        writer->event.flags |= writer->line.flags;
        writer->event.left_out += writer->line.left_out;
    } else {
        bool is_one_of_several = log_writer_line_is_of_same_call(writer);
        bool is_behind_trace = is_one_of_several && log_join_is_trace(writer->join);

        if (log_writer_has_event(writer)) {
            bool is_followed = is_one_of_several && writer->event.mono_ns == writer->event_call_ns;

            writer->is_one_of_several |= is_followed;
            writer->is_one_of_traces |= is_followed;
            emit(lines, writer);
        }
        writer->event = writer->line;
        writer->is_one_of_several = is_one_of_several;
        writer->is_one_of_traces = is_behind_trace;
        writer->join = log_join_begin(log_writer_line(writer), behind);
        writer->begun_ns = writer->touched_ns;
    }
    writer->line_start = writer->text.length;
    writer->event_place = writer->line_place;
    writer->event_call_ns = writer->call_ns;
}

/* Whatever there is, is all there will be. */
static void finish(struct log_lines *lines, struct log_writer *writer)
{
    if (log_writer_has_line(writer)) {
        writer->line.flags |= LOG_EVENT_NO_END;
        end_line(lines, writer, (struct slice){"", 0});
    }
    if (log_writer_has_event(writer))
        emit(lines, writer);
}

static void begin_line(struct log_writer *writer, const struct wire_log *log, uint16_t flags)
{
    struct log_event_record *line = &writer->line;

    *line = (struct log_event_record){
        .mono_ns = log->mono_ns, .stream = log->stream, .severity = log->severity, .flags = flags};
    memcpy(line->trace_id, log->trace_id, sizeof(line->trace_id));
    memcpy(line->span_id, log->span_id, sizeof(line->span_id));
}

static void leave_out(struct log_writer *writer, size_t length)
{
    writer->line.flags |= LOG_EVENT_CUT;
    writer->line.left_out += (uint32_t)length;
}

/* As far as there is room: an event that is in the way is done. */
static void append(struct log_lines *lines, struct log_writer *writer, struct slice part)
{
    size_t room;

    if (part.length > LOG_EVENT_TEXT_MAX - writer->text.length && log_writer_has_event(writer))
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
static void make_room(struct log_lines *lines, const struct log_writer *writer)
{
    for (struct log_writer *other = lines->writers; other && lines->waiting > WAITING_MAX; other = other->next)
        if (other != writer)
            finish(lines, other);
}

/* writers */

/* Or the one that has been silent for longest, when there are too many. */
static struct log_writer *new_writer(struct log_lines *lines)
{
    struct log_writer *writer = lines->writers;

    if (lines->writer_count < WRITERS_MAX) {
        writer = calloc(1, sizeof(*writer));
        lines->writer_count += writer != NULL;
        return writer;
    }
    lines->writers = writer->next;
    finish(lines, writer);
    return writer;
}

static void add_last(struct log_lines *lines, struct log_writer *writer)
{
    struct log_writer **at = &lines->writers;

    while (*at)
        at = &(*at)->next;
    writer->next = NULL;
    *at = writer;
}

/* Where the pointer to it stands in the list, or would. */
static struct log_writer **seek_writer(struct log_lines *lines, unsigned stream, uint32_t number)
{
    struct log_writer **at = &lines->writers;

    while (*at && ((*at)->stream != stream || (*at)->number != number))
        at = &(*at)->next;
    return at;
}

static uint32_t number_of(const struct wire_log *log)
{
    return log->flags & WIRE_LOG_SHARED ? log->writer & ~1u : log->writer;
}

static bool is_open(struct log_writer *const *at)
{
    return *at && log_writer_has_line(*at);
}

/* Who goes on with this piece: its thread, or where that has no line open, the buffer that threads share. With a piece
 * of that buffer: the buffer, or where that has no line open, the thread. */
static struct log_writer **seek_line(struct log_lines *lines, const struct wire_log *log)
{
    uint32_t number = number_of(log);
    struct log_writer **own = seek_writer(lines, log->stream, number), **shared, **thread;

    if (log->flags & WIRE_LOG_WHOLE || (log_writer_is_shared(number) && *own) || is_open(own))
        return own;
    shared = seek_writer(lines, log->stream, LOG_WRITER_SHARED);
    if (is_open(shared))
        return shared;
    thread = seek_writer(lines, log->stream, log->writer | 1);
    if (is_open(thread))
        return thread;
    return log_writer_is_shared(number) && *shared ? shared : own;
}

/* The writer of a piece, which is the latest from now on. */
static struct log_writer *find_writer(struct log_lines *lines, const struct wire_log *log)
{
    struct log_writer **at = seek_line(lines, log), *writer = *at;
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
    if (log_writer_is_shared(number))
        writer->number = number;
    memcpy(writer->path, log + 1, log->path_length);
    writer->path_length = log->path_length;
    add_last(lines, writer);
    return writer;
}

/* Another thread writes to this log. What stands there of single lines goes before; a traceback may be under way. */
static void let_others_go(struct log_lines *lines, const struct log_writer *writer, bool is_gap)
{
    for (struct log_writer *other = lines->writers; other != writer; other = other->next) {
        if (other->stream != writer->stream)
            continue;
        if (is_gap)
            finish(lines, other);
        else if (log_writer_has_event(other) && !log_writer_has_line(other) && other->join == LOG_JOIN_PLAIN)
            emit(lines, other);
    }
}

static void free_writer(struct log_writer *writer)
{
    buffer_deinit(&writer->text);
    free(writer);
}

/* Of which nothing waits. */
static void remove_writer(struct log_lines *lines, struct log_writer **at)
{
    struct log_writer *writer = *at;

    *at = writer->next;
    free_writer(writer);
    lines->writer_count--;
}

/* The buffer is written out. Several may have been at once: what the last one has left is gone on with. */
static void give_back(struct log_lines *lines, struct log_writer *writer)
{
    struct log_writer **other = seek_writer(lines, writer->stream, LOG_WRITER_SHARED);

    if (*other && *other != writer) {
        finish(lines, *other);
        remove_writer(lines, other);
    }
    writer->number = LOG_WRITER_SHARED;
}

void log_lines_free(struct log_lines *lines)
{
    if (!lines)
        return;
    while (lines->writers) {
        struct log_writer *writer = lines->writers;

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

static void take_parts(struct log_lines *lines, struct log_writer *writer, const struct wire_log *log,
                       struct slice rest)
{
    uint16_t flags = log->lost_lines > 0 ? LOG_EVENT_GAP : 0;

    while (rest.length > 0) {
        struct slice part = next_part(log, rest);

        if (!log_writer_has_line(writer))
            begin_line(writer, log, flags);
        flags = 0;
        append(lines, writer, part);
        rest = (struct slice){rest.bytes + part.length, rest.length - part.length};
        if (part.bytes[part.length - 1] == '\n' && !(log->flags & WIRE_LOG_WHOLE))
            end_line(lines, writer, rest);
    }
}

/* The call's bytes end here: so does a message, and a line whose end was not taken. */
static void end_call(struct log_lines *lines, struct log_writer *writer, const struct wire_log *log)
{
    if (log->left_out == 0 && !(log->flags & WIRE_LOG_WHOLE && log_writer_has_line(writer)))
        return;
    if (!log_writer_has_line(writer))
        begin_line(writer, log, 0);
    if (log->left_out > 0)
        leave_out(writer, log->left_out);
    end_line(lines, writer, (struct slice){"", 0});
    if (log_writer_has_event(writer))
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
    struct log_writer *writer;
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
        if (log_writer_is_shared(writer->number))
            give_back(lines, writer);
    }
    make_room(lines, writer);
    return true;
}

void log_lines_look(struct log_lines *lines, uint64_t now_ns)
{
    for (struct log_writer *writer = lines->writers; writer; writer = writer->next) {
        if (log_writer_line_is_due(writer, now_ns))
            finish(lines, writer);
        else if (log_writer_event_is_due(writer, now_ns))
            emit(lines, writer);
    }
}

bool log_lines_is_due(const struct log_lines *lines, uint64_t now_ns)
{
    const struct log_writer *writer = lines->waiting > 0 ? lines->writers : NULL;

    while (writer && !log_writer_line_is_due(writer, now_ns) && !log_writer_event_is_due(writer, now_ns))
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
    for (struct log_writer **at = &lines->writers; *at;) {
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
    for (const struct log_writer *writer = lines->writers; writer; writer = writer->next) {
        saved.length = 0;
        if (buffer_append(&saved, writer, sizeof(*writer)) == 0 &&
            buffer_append(&saved, writer->text.bytes, writer->text.length) == 0)
            keep(arg, saved.bytes, saved.length);
    }
}

bool log_lines_load(struct log_lines *lines, const void *bytes, size_t length)
{
    struct log_writer *writer = malloc(sizeof(*writer));
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
