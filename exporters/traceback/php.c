/* SPDX-License-Identifier: Apache-2.0 */
/* PHP: the innermost call first, causes in front of what they caused. A line says where a function was called, not
 * where it was in the function: that is in the line above. */
#include "exporters/traceback/cursor.h"
#include "exporters/traceback/error.h"

/* "CLASS: MESSAGE in FILE:LINE", or without a message. */
static bool read_thrown(struct slice text, struct slice *ret_class, struct slice *ret_message,
                        struct traceback_frame *ret_frame)
{
    struct slice rest = text, thrown;
    struct cursor_place place;

    if (!cursor_until_last(&rest, " in ", &thrown) || !cursor_place(rest, &place))
        return false;
    if (!cursor_until(&thrown, ": ", ret_class)) {
        *ret_class = thrown;
        thrown.length = 0;
    }
    *ret_message = thrown;
    *ret_frame = (struct traceback_frame){.file = place.file, .line = place.line};
    return ret_class->length > 0 && !cursor_has(*ret_class, " ");
}

/* "#0 FILE(LINE): FUNCTION(..)", "#0 [internal function]: FUNCTION(..)", "#0 {main}": where the next outer call is, and
 * what it called. */
static bool read_call(struct slice line, struct slice *ret_function, struct traceback_frame *ret_frame)
{
    struct slice number, place, arguments;

    *ret_frame = (struct traceback_frame){0};
    if (!cursor_skip(&line, "#") || !cursor_until(&line, " ", &number))
        return false;
    if (!cursor_until(&line, ": ", &place)) {
        *ret_function = line;
        return true;
    }
    if (!cursor_until(&line, "(", ret_function))
        *ret_function = line;
    if (cursor_until_last(&place, "(", &ret_frame->file) && cursor_number(&place, &ret_frame->line))
        return true;
    ret_frame->file = (struct slice){0};
    arguments = place;
    return cursor_ends_with(arguments, "]");
}

/* The calls of one error, where it was thrown first. */
static void read_calls(struct traceback *traceback, struct slice *rest, struct traceback_frame frame)
{
    struct slice line, next = *rest;

    while (cursor_line(&next, &line)) {
        struct traceback_frame outer;

        if (!read_call(line, &frame.function, &outer))
            break;
        traceback_add_frame(traceback, &frame);
        frame = outer;
        *rest = next;
    }
}

/* A fatal error that is no exception: "PHP Fatal error:  MESSAGE in FILE on line N". */
static bool read_plain(struct traceback *traceback, struct slice text)
{
    struct traceback_frame frame = {0};
    struct slice before, class, message, line;

    if (!cursor_until(&text, "PHP ", &before) || !cursor_line(&text, &line) || !cursor_until(&line, ":  ", &class) ||
        !(cursor_ends_with(class, "Fatal error") || cursor_ends_with(class, "Parse error")) ||
        !cursor_until_last(&line, " in ", &message) || !cursor_until(&line, " on line ", &frame.file) ||
        !cursor_number(&line, &frame.line))
        return false;
    traceback_add_error(traceback, class, message);
    traceback_add_frame(traceback, &frame);
    return true;
}

bool traceback_php(struct traceback *traceback, struct slice text)
{
    struct slice rest = text, head, class, message, before;
    struct traceback_frame frame;

    while (cursor_until(&rest, "\nStack trace:\n", &head)) {
        if (!cursor_until_last(&head, "\nNext ", &before) && !cursor_until(&head, "Uncaught ", &before))
            (void)cursor_until_last(&head, "\n", &before);
        if (!read_thrown(head, &class, &message, &frame))
            continue;
        traceback_add_error(traceback, class, message);
        read_calls(traceback, &rest, frame);
    }
    traceback_reverse_errors(traceback);
    return json_array_size(traceback->errors) > 0 || read_plain(traceback, text);
}
