/* SPDX-License-Identifier: Apache-2.0 */
/* Rust: what a panic said and where, then its calls, the innermost first, if RUST_BACKTRACE asks for them. */
#include "exporters/traceback/cursor.h"
#include "exporters/traceback/error.h"

/* "FILE:LINE:COLUMN:" and the message behind it; up to Rust 1.72 "'MESSAGE', FILE:LINE:COLUMN". */
static bool read_panic(struct slice *rest, struct slice *ret_message, struct traceback_frame *frame)
{
    struct slice line, message;
    struct cursor_place place;

    if (!cursor_line(rest, &line))
        return false;
    if (cursor_skip(&line, "'")) {
        if (!cursor_until_last(&line, "', ", ret_message))
            return false;
    } else {
        if (!cursor_ends_with(line, ":") || !cursor_line(rest, &message))
            return false;
        line.length--;
        *ret_message = message;
    }
    if (!cursor_place(line, &place))
        return false;
    *frame = (struct traceback_frame){.file = place.file, .line = place.line, .column = place.column};
    return true;
}

/* Without the hash of a build: "::h20fe50dd58a8d615". */
static struct slice without_hash(struct slice function)
{
    struct slice rest = function, name;

    return cursor_until_last(&rest, "::h", &name) && rest.length == 16 ? name : function;
}

/* "12: FUNCTION", or with an address in front of it, and in a second line "at FILE:LINE:COLUMN". */
static bool read_call(struct slice *rest, struct traceback_frame *ret_frame)
{
    struct slice line, next, address;
    struct cursor_place place;
    uint32_t number;

    *ret_frame = (struct traceback_frame){0};
    if (!cursor_line(rest, &line) || cursor_skip_blanks(&line) == 0 ||
        !(cursor_number(&line, &number) || cursor_skip(&line, "0")) || !cursor_skip(&line, ": "))
        return false;
    if (cursor_skip_blanks(&line) > 0)
        (void)cursor_until(&line, " - ", &address);
    ret_frame->function = without_hash(line);
    next = *rest;
    if (!cursor_line(&next, &line) || cursor_skip_blanks(&line) == 0 || !cursor_skip(&line, "at "))
        return true;
    *rest = next;
    if (cursor_place(line, &place)) {
        ret_frame->file = place.file;
        ret_frame->line = place.line;
        ret_frame->column = place.column;
    }
    return true;
}

/* The calls that print the panic, up to the one that panicked. */
static bool is_machinery(struct slice function)
{
    static const char *const starts[] = {"core::", "std::",  "std[",  "core[",  "alloc::",          "__rustc",
                                         "<std[",  "<<std[", "<core", "<std::", "rust_begin_unwind"};

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        struct slice rest = function;

        if (cursor_skip(&rest, starts[i]))
            return true;
    }
    return false;
}

bool traceback_rust(struct traceback *traceback, struct slice text)
{
    static const struct slice class = {"panic", 5};
    struct traceback_frame thrown, frame;
    struct slice before, message, line;

    if (!cursor_until(&text, "panicked at ", &before) || !cursor_has(before, "thread ") ||
        !read_panic(&text, &message, &thrown))
        return false;
    traceback_add_error(traceback, class, message);
    while (cursor_line(&text, &line) && !cursor_has(line, "stack backtrace:"))
        continue;
    while (read_call(&text, &frame))
        if (traceback_frame_count(traceback) > 0 || !is_machinery(frame.function))
            traceback_add_frame(traceback, &frame);
    if (traceback_frame_count(traceback) == 0)
        traceback_add_frame(traceback, &thrown);
    return true;
}
