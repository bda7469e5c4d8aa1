/* SPDX-License-Identifier: Apache-2.0 */
/* Ruby: the innermost call first, causes behind what they caused. The interpreter puts the message behind the first
 * call, loggers put it in front of the calls. */
#include "exporters/traceback/cursor.h"
#include "exporters/traceback/error.h"

/* "FILE:LINE:in `FUNCTION'", and what follows. Since 3.4 both quotes are the same. */
static bool read_frame(struct slice line, struct traceback_frame *ret_frame, struct slice *ret_rest)
{
    struct traceback_frame frame = {0};
    struct slice place;
    struct cursor_place found;

    (void)cursor_skip_blanks(&line);
    (void)cursor_skip(&line, "from ");
    if (!cursor_until(&line, ":in ", &place) || !cursor_place(place, &found) || found.column > 0 ||
        !(cursor_skip(&line, "`") || cursor_skip(&line, "'")) || !cursor_until(&line, "'", &frame.function))
        return false;
    frame.file = found.file;
    frame.line = found.line;
    *ret_frame = frame;
    *ret_rest = line;
    return true;
}

/* ": MESSAGE (CLASS)" */
static bool read_thrown(struct slice rest, struct slice *ret_class, struct slice *ret_message)
{
    if (!cursor_skip(&rest, ": ") || !cursor_ends_with(rest, ")") || !cursor_until_last(&rest, " (", ret_message))
        return false;
    *ret_class = (struct slice){rest.bytes, rest.length - 1};
    return true;
}

/* Puma says what a Rack application has thrown, and not where: "Rack app ("GET /a" - (::1)): #<KeyError: no b>". */
static bool read_rack(struct traceback *traceback, struct slice text)
{
    struct slice line, before, class, message;

    if (!cursor_until(&text, "Rack app (", &before) || !cursor_line(&text, &line) ||
        !cursor_until(&line, "): ", &before) || !cursor_ends_with(line, ">") ||
        !traceback_find_title(line, &class, &message))
        return false;
    traceback_add_error(traceback, class, message);
    return true;
}

bool traceback_ruby(struct traceback *traceback, struct slice text)
{
    const struct slice whole = text;
    struct slice line, class = {0}, message = {0}, rest;
    bool is_open = false; /* the last error's calls go on */

    while (cursor_line(&text, &line)) {
        struct traceback_frame frame;

        if (!read_frame(line, &frame, &rest)) {
            if (class.length == 0)
                (void)traceback_find_title(line, &class, &message);
            continue;
        }
        if (read_thrown(rest, &class, &message) || (!is_open && class.length > 0)) {
            traceback_add_error(traceback, class, message);
            is_open = true;
        }
        if (is_open)
            traceback_add_frame(traceback, &frame);
    }
    return traceback_frame_count(traceback) > 0 || read_rack(traceback, whole);
}
