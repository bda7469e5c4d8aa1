/* SPDX-License-Identifier: Apache-2.0 */
/* Java and what runs on its machine: the innermost call first, causes behind what they caused. */
#include "exporters/traceback/cursor.h"
#include "exporters/traceback/error.h"

/* "at LOADER/MODULE/CLASS.METHOD(FILE:LINE)" */
static bool read_frame(struct slice line, struct traceback_frame *ret_frame)
{
    struct traceback_frame frame = {0};
    struct slice place, loader;
    struct cursor_place found;

    if (!cursor_skip(&line, "at ") || !cursor_until(&line, "(", &frame.function) || !cursor_until(&line, ")", &place))
        return false;
    (void)cursor_until_last(&frame.function, "/", &loader);
    if (cursor_place(place, &found)) {
        frame.file = found.file;
        frame.line = found.line;
    } else if (cursor_ends_with(place, ".java") || cursor_ends_with(place, ".kt")) {
        frame.file = place;
    }
    *ret_frame = frame;
    return true;
}

/* What was thrown, before its first call is there. */
struct title {
    struct slice class, message;
    bool is_known;
};

/* A line that is no call: the title, or more of its message. */
static void take_line(struct title *title, struct slice line)
{
    struct slice class, message;

    if (traceback_find_title(line, &class, &message) && (!title->is_known || cursor_has(class, ".")))
        *title = (struct title){class, message, true};
    else if (title->is_known)
        title->message = cursor_join(title->message, line);
}

bool traceback_java(struct traceback *traceback, struct slice text)
{
    struct title title = {0};
    struct slice line;
    bool is_open = false;        /* the last error's calls go on */
    bool is_passed_over = false; /* what was suppressed meanwhile, and its causes, which stand as far in */
    size_t depth = 0;

    while (cursor_line(&text, &line)) {
        struct traceback_frame frame;
        size_t indent = cursor_skip_blanks(&line);
        bool is_cause = cursor_skip(&line, "Caused by: ");

        if (is_cause && is_passed_over && indent >= depth)
            continue;
        if (read_frame(line, &frame) && !is_cause) {
            if (title.is_known && !is_open)
                traceback_add_error(traceback, title.class, title.message);
            is_open |= title.is_known;
            if (is_open && !is_passed_over)
                traceback_add_frame(traceback, &frame);
        } else if (cursor_skip(&line, "Suppressed: ")) {
            depth = is_passed_over && depth < indent ? depth : indent;
            is_passed_over = true;
        } else if (is_cause || !is_open) {
            if (is_cause)
                title.is_known = is_open = is_passed_over = false;
            take_line(&title, line);
        } else if (!is_passed_over && !cursor_skip(&line, "... ") && line.length > 0) {
            break;
        }
    }
    return traceback_frame_count(traceback) > 0;
}
