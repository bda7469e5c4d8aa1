/* SPDX-License-Identifier: Apache-2.0 */
/* Ruby: the innermost call first, causes behind what they caused. The interpreter puts the message behind the first
 * call, loggers put it in front of the calls. */
#include "exporters/traceback/cursor.h"
#include "exporters/traceback/error.h"
#include "exporters/traceback/ruby_title.h"

/* "FILE:LINE:in `FUNCTION'", and what follows. Since 3.4 both quotes are the same. */
static bool read_frame(struct slice line, struct traceback_frame *ret_frame, struct slice *ret_rest)
{
    struct traceback_frame frame = {0};
    struct slice place;
    struct cursor_place found;

    (void)ruby_title_skip_logger(&line);
    (void)ruby_title_skip_tags(&line);
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

/* What is read, line by line. */
struct reading {
    struct traceback *traceback;
    struct ruby_title title;  /* of the error that comes next */
    struct slice first, last; /* lines above its calls; first: of Ruby's Logger, if it is that one's */
    bool is_open;             /* the last error's calls go on */
};

/* A line that is no call; the text goes on up to `end`. */
static void take_line(struct reading *reading, struct slice line, const char *end)
{
    bool is_logged = ruby_title_skip_logger(&line);

    (void)ruby_title_skip_tags(&line);
    if (is_logged)
        reading->first = line;
    if (cursor_skip(&line, "Information for cause: ")) { /* Rails */
        reading->title = (struct ruby_title){0};
        reading->is_open = false;
    }
    if (reading->title.class.length == 0)
        (void)ruby_title_read((struct slice){line.bytes, (size_t)(end - line.bytes)}, &reading->title);
    reading->last = line;
}

/* What was printed above the first call. */
static bool take_title(struct reading *reading)
{
    struct ruby_title *title = &reading->title;

    if (reading->first.length > 0 && title->class.bytes != reading->first.bytes)
        (void)ruby_title_read_logged(reading->first, reading->last, title);
    reading->first.length = 0;
    if (title->class.length == 0)
        return false;
    traceback_add_error(reading->traceback, title->class, ruby_title_message(title, reading->last));
    return true;
}

static void take_call(struct reading *reading, const struct traceback_frame *frame, struct slice rest)
{
    struct slice class, message;

    if (read_thrown(rest, &class, &message)) {
        traceback_add_error(reading->traceback, class, message);
        reading->is_open = true;
    }
    if (!reading->is_open)
        reading->is_open = take_title(reading);
    if (reading->is_open)
        traceback_add_frame(reading->traceback, frame);
}

bool traceback_ruby(struct traceback *traceback, struct slice text)
{
    struct reading reading = {.traceback = traceback};
    const struct slice whole = text;
    struct slice line, rest;

    while (cursor_line(&text, &line)) {
        struct traceback_frame frame;

        if (read_frame(line, &frame, &rest))
            take_call(&reading, &frame, rest);
        else
            take_line(&reading, line, whole.bytes + whole.length);
    }
    if (traceback_frame_count(traceback) > 0)
        return true;
    if (!ruby_title_read_rack(whole, &reading.title))
        return false;
    traceback_add_error(traceback, reading.title.class, ruby_title_message(&reading.title, reading.title.message));
    return true;
}
