/* SPDX-License-Identifier: Apache-2.0 */
/* Node (V8): the innermost call first, a cause behind what it caused. Other errors among its members are left out. */
#include "exporters/traceback/cursor.h"
#include "exporters/traceback/error.h"

/* "at FUNCTION (FILE:LINE:COLUMN)" or "at FILE:LINE:COLUMN" */
static bool read_frame(struct slice line, struct traceback_frame *ret_frame)
{
    struct traceback_frame frame = {0};
    struct cursor_place place;

    if (!cursor_skip(&line, "at "))
        return false;
    if (cursor_ends_with(line, " {")) /* the error's members follow */
        line.length -= 2;
    if (cursor_ends_with(line, ")") && cursor_until_last(&line, " (", &frame.function))
        line.length--;
    (void)cursor_skip(&frame.function, "async ");
    (void)cursor_skip(&line, "file://");
    if (!cursor_place(line, &place) || place.column == 0)
        return false;
    frame.file = place.file;
    frame.line = place.line;
    frame.column = place.column;
    *ret_frame = frame;
    return true;
}

struct title {
    struct slice class, message;
    bool is_known;
};

static void take_line(struct title *title, struct slice line)
{
    struct slice class, message;

    (void)cursor_skip(&line, "Uncaught ");
    if (traceback_find_title(line, &class, &message))
        *title = (struct title){class, message, true};
    else if (title->is_known)
        title->message = cursor_join(title->message, line);
}

bool traceback_javascript(struct traceback *traceback, struct slice text)
{
    struct title title = {0};
    struct slice line;
    bool is_open = false;     /* the last error was added */
    bool has_members = false; /* its calls are done with */

    while (cursor_line(&text, &line)) {
        struct traceback_frame frame;

        (void)cursor_skip_blanks(&line);
        bool is_last = cursor_ends_with(line, " {");
        if (read_frame(line, &frame)) {
            if (title.is_known && !is_open)
                traceback_add_error(traceback, title.class, title.message);
            is_open |= title.is_known;
            if (is_open && !has_members)
                traceback_add_frame(traceback, &frame);
            has_members |= is_open && is_last;
        } else if (cursor_skip(&line, "[cause]: ") || !is_open) {
            if (is_open)
                title.is_known = is_open = has_members = false;
            take_line(&title, line);
        }
    }
    return traceback_frame_count(traceback) > 0;
}
