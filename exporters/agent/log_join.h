/* SPDX-License-Identifier: Apache-2.0 */
/* Which lines of a log belong to the one before: indented ones, and what the tracebacks of Python, Java, Go, Ruby,
 * Node, PHP, Rust and the sanitizers consist of. Used by log_lines.c. */
#ifndef SPANSHIM_LOG_JOIN_H
#define SPANSHIM_LOG_JOIN_H

#include "preload/slice.h"

#include <stdbool.h>

/* What an event is, by its lines so far. */
enum log_join {
    LOG_JOIN_PLAIN,        /* a line */
    LOG_JOIN_BLOCK,        /* a line and indented ones */
    LOG_JOIN_RECORD,       /* of java.util.logging: its first line; all that its call writes belongs to it */
    LOG_JOIN_BAR,          /* "=====": a sanitizer's report may follow */
    LOG_JOIN_JAVA,         /* an exception and its frames */
    LOG_JOIN_THREAD,       /* "Exception in thread ...": Java's frames or Python's traceback follow */
    LOG_JOIN_PYTHON,       /* frames; the exception follows */
    LOG_JOIN_PYTHON_END,   /* the exception was there */
    LOG_JOIN_PYTHON_CHAIN, /* and says that another one follows */
    LOG_JOIN_GO,
    LOG_JOIN_RUBY,        /* an error's first line */
    LOG_JOIN_RUBY_FRAMES, /* and its frames; its cause follows */
    LOG_JOIN_MESSAGE,     /* an error's title; the rest of its message and its frames follow in the same call */
    LOG_JOIN_NODE,        /* the place and line of source of an error, which follows */
    LOG_JOIN_PHP,
    LOG_JOIN_RUST,      /* the panic's message follows */
    LOG_JOIN_RUST_END,  /* it was there */
    LOG_JOIN_SANITIZER, /* all of it up to its end */
    LOG_JOIN_CLOSED,    /* nothing can follow */
};

/* The event begins with this line, which has no end any more, nor have the others. behind: what its call wrote behind
 * it, as far as it is known. Context: pure. */
enum log_join log_join_begin(struct slice line, struct slice behind);

/* Does the line belong to the event? What it is then. is_same_call: it was written by the call that wrote the line
 * before. Context: pure. */
bool log_join_takes(enum log_join *join, struct slice line, bool is_same_call);

/* "Nov 22, 2026 1:57:30 AM org.shop.Price find": what java.util.logging writes above each message. Context: pure. */
bool log_join_is_record(struct slice line);

/* Does something follow for certain? An interpreter that looks for its source, or a symbolizer, may take long. Context:
 * pure. */
static inline bool log_join_awaits_more(enum log_join join)
{
    return join == LOG_JOIN_PYTHON || join == LOG_JOIN_PYTHON_CHAIN || join == LOG_JOIN_RUST ||
           join == LOG_JOIN_SANITIZER;
}

/* Is the event a traceback? Context: pure. */
static inline bool log_join_is_trace(enum log_join join)
{
    return join >= LOG_JOIN_JAVA;
}

#endif
