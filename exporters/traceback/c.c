/* SPDX-License-Identifier: Apache-2.0 */
/* The sanitizers of gcc and clang: what is wrong, then the calls, the innermost first. What else they say of the memory
 * is left to the log. */
#include "exporters/traceback/cursor.h"
#include "exporters/traceback/error.h"

/* "#0 0x55aa in FUNCTION FILE:LINE:COLUMN", or "(MODULE+0x10)" in the file's place */
static bool read_call(struct slice line, struct traceback_frame *ret_frame)
{
    struct slice before, place;
    struct cursor_place found;

    *ret_frame = (struct traceback_frame){0};
    if (cursor_skip_blanks(&line) == 0 || !cursor_skip(&line, "#") || !cursor_until(&line, " ", &before) ||
        !cursor_skip(&line, "0x") || !cursor_until(&line, " ", &before))
        return false;
    (void)cursor_skip_blanks(&line);
    place = line;
    if (cursor_skip(&line, "in ")) {
        place = line;
        if (!cursor_until_last(&place, " ", &ret_frame->function))
            ret_frame->function = line;
    }
    if (cursor_skip(&place, "(")) {
        if (!cursor_until(&place, "+0x", &ret_frame->module))
            ret_frame->module = (struct slice){0};
    } else if (cursor_place(place, &found)) {
        ret_frame->file = found.file;
        ret_frame->line = found.line;
        ret_frame->column = found.column;
    }
    return true;
}

/* The first calls that follow. */
static void read_calls(struct traceback *traceback, struct slice rest)
{
    struct traceback_frame frame;
    struct slice line;

    while (cursor_line(&rest, &line)) {
        if (read_call(line, &frame))
            traceback_add_frame(traceback, &frame);
        else if (traceback_frame_count(traceback) > 0)
            return;
    }
}

/* "==7031==ERROR: AddressSanitizer: heap-use-after-free on address ..", "READ of size 4 at 0x.." */
static bool read_report(struct traceback *traceback, struct slice text)
{
    struct slice before, line, class, message = {0}, next, first;

    if (!cursor_until(&text, "Sanitizer: ", &before) || !cursor_line(&text, &line) ||
        !(cursor_has(before, "ERROR: ") || cursor_has(before, "WARNING: ")))
        return false;
    class = line;
    if (cursor_until(&line, " on ", &before) || cursor_until(&line, " (", &before))
        class = before;
    next = text;
    if (cursor_line(&next, &first) &&
        (cursor_until(&first, " at 0x", &message) || cursor_until(&first, " of ", &message)))
        (void)cursor_skip_blanks(&message);
    traceback_add_error(traceback, class, message);
    read_calls(traceback, text);
    return true;
}

/* "FILE:LINE:COLUMN: runtime error: MESSAGE" */
static bool read_undefined(struct traceback *traceback, struct slice text)
{
    static const struct slice class = {"runtime error", 13};
    struct slice line, place, before;
    struct cursor_place found;

    do {
        if (!cursor_line(&text, &line))
            return false;
    } while (!cursor_until(&line, ": runtime error: ", &place));
    (void)cursor_until_last(&place, " ", &before);
    if (!cursor_place(place, &found))
        return false;
    traceback_add_error(traceback, class, line);
    read_calls(traceback, text);
    if (traceback_frame_count(traceback) == 0)
        traceback_add_frame(traceback,
                            &(struct traceback_frame){.file = found.file, .line = found.line, .column = found.column});
    return true;
}

bool traceback_c(struct traceback *traceback, struct slice text)
{
    return read_report(traceback, text) || read_undefined(traceback, text);
}
