/* SPDX-License-Identifier: Apache-2.0 */
/* Perl: "MESSAGE at FILE line N.", the innermost call first where Carp has written it. An error and a warning of a
 * program's own look the same; Perl's own warnings are known by their words. */
#include "exporters/traceback/cursor.h"
#include "exporters/traceback/error.h"

static const char *const warnings[] = {"Use of ",          "Argument \"",    "Useless use ",  "Name \"",
                                       "Odd number of ",   "Deep recursion", "Scalar value ", "Possible ",
                                       "Wide character",   "Subroutine ",    "Applying ",     "substr outside ",
                                       "Unquoted string ", "\"my\" ",        "\"our\" ",      "isn't numeric",
                                       "print() on ",      "readline() on ", "Smartmatch ",   "Unsuccessful "};

/* "BEFORE at FILE line N", and what follows. */
static bool read_place(struct slice line, struct slice *ret_before, struct traceback_frame *frame)
{
    struct slice rest = line, end;

    if (!cursor_until(&rest, " line ", ret_before) || !cursor_number(&rest, &frame->line) ||
        !(rest.length == 0 || rest.bytes[0] == '.' || rest.bytes[0] == ','))
        return false;
    end = *ret_before;
    if (!cursor_until_last(&end, " at ", ret_before))
        return false;
    frame->file = end;
    return end.length > 0;
}

static bool is_perl(struct slice file)
{
    static const char *const endings[] = {".pl", ".pm", ".t", ".cgi", ".psgi", ".fcgi", "-e"};

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        if (cursor_ends_with(file, endings[i]))
            return true;
    return false;
}

static bool is_warning(struct slice message)
{
    for (size_t i = 0; i < sizeof(warnings) / sizeof(warnings[0]); i++) {
        struct slice rest = message;

        if (cursor_skip(&rest, warnings[i]))
            return true;
    }
    return false;
}

/* "\tFUNCTION(ARGUMENTS) called at FILE line N": the call's place, and what it called. */
static bool read_call(struct slice line, struct slice *ret_function, struct traceback_frame *frame)
{
    struct slice call, rest;

    if (cursor_skip_blanks(&line) == 0 || !read_place(line, &call, frame) || !cursor_ends_with(call, " called"))
        return false;
    rest = call;
    if (!cursor_until(&rest, "(", ret_function))
        *ret_function = (struct slice){call.bytes, call.length - 7};
    return true;
}

bool traceback_perl(struct traceback *traceback, struct slice text)
{
    static const struct slice class = {"die", 3};
    struct traceback_frame frame = {0}, outer = {0};
    struct slice line, message;

    if (!cursor_line(&text, &line) || !read_place(line, &message, &frame) || !is_perl(frame.file) ||
        is_warning(message))
        return false;
    traceback_add_error(traceback, class, message);
    while (cursor_line(&text, &line) && read_call(line, &frame.function, &outer)) {
        traceback_add_frame(traceback, &frame);
        frame = outer;
        outer = (struct traceback_frame){0};
    }
    traceback_add_frame(traceback, &frame);
    return true;
}
