/* SPDX-License-Identifier: Apache-2.0 */
/* What one thread writes to one log: an event of whole lines, then a line that has no end yet. This says what belongs
 * together and what has waited for long enough; log_lines.c, which has the writers of a process, does what follows. */
#ifndef SPANSHIM_LOG_WRITER_H
#define SPANSHIM_LOG_WRITER_H

#include "exporters/agent/log_event.h"
#include "exporters/agent/log_join.h"
#include "exporters/agent/log_lines.h"
#include "exporters/encode/buffer.h"
#include "preload/slice.h"
#include "preload/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number of the buffer that threads share; while one of them writes it out, that thread's without the last bit. */
enum { LOG_WRITER_SHARED = 0 };

struct log_writer {
    struct log_writer *next; /* the one that wrote after it */
    uint32_t number;         /* of the thread, odd, or LOG_WRITER_SHARED */
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

/* Is it the number of a buffer that threads share? Context: pure. */
static inline bool log_writer_is_shared(uint32_t number)
{
    return !(number & 1);
}

/* The line that has no end yet: is there one, and its text without an end; empty: there is none. Borrowed from the
 * writer, as all texts here. Context: pure. */
static inline bool log_writer_has_line(const struct log_writer *writer)
{
    return writer->text.length > writer->line_start;
}

struct slice log_writer_line(const struct log_writer *writer);

/* Is there an event before it? Context: pure. */
static inline bool log_writer_has_event(const struct log_writer *writer)
{
    return writer->line_start > 0;
}

/* The event's text without the end of its last line, and without empty or blank lines at its end: they are between it
 * and what comes after it. Context: pure. */
struct slice log_writer_event_text(const struct log_writer *writer);

/* The event is at its end, and this is its text: fill what is known only now. Context: loop. */
void log_writer_complete_event(struct log_writer *writer, struct slice text);

/* Does the line belong to the event before it? Notes what it makes of the event. Context: pure. */
bool log_writer_line_belongs(struct log_writer *writer);

/* Has the call that ended the event begun the line as well? Empty lines are nothing. Context: pure. */
bool log_writer_line_is_of_same_call(const struct log_writer *writer);

/* Has the event waited for long enough? Context: pure. */
bool log_writer_event_is_due(const struct log_writer *writer, uint64_t now_ns);

/* Has its last line waited for its end for long enough? Context: pure. */
bool log_writer_line_is_due(const struct log_writer *writer, uint64_t now_ns);

#endif
