/* SPDX-License-Identifier: Apache-2.0 */
/* Python: the oldest call first, what was thrown behind the calls, causes in front of what they caused. A program that
 * can't be read has no calls: the place, and the error. */
#include "exporters/traceback/cursor.h"
#include "exporters/traceback/error.h"

#include <string.h>

#define HEADER "Traceback (most recent call last):"
#define PLACE  "  File \""

/* The lines of an exception group begin with bars. */
static struct slice without_bars(struct slice line)
{
    struct slice rest = line;

    (void)cursor_skip_blanks(&rest);
    return cursor_skip(&rest, "| ") ? rest : line;
}

/* `File "FILE", line N, in FUNCTION` */
static bool read_frame(struct slice line, struct traceback_frame *ret_frame)
{
    struct traceback_frame frame = {0};

    if (!cursor_skip(&line, "File \"") || !cursor_until(&line, "\", line ", &frame.file) ||
        !cursor_number(&line, &frame.line))
        return false;
    if (cursor_skip(&line, ", in "))
        frame.function = line;
    *ret_frame = frame;
    return true;
}

/* "    ~~~~^^^^" points at a part of the line above. */
static bool is_pointer(struct slice line)
{
    size_t at = 0;

    while (at < line.length && (line.bytes[at] == '~' || line.bytes[at] == '^' || line.bytes[at] == ' '))
        at++;
    return at == line.length;
}

enum { CALLS_MAX = 256 };

struct calls {
    struct traceback_frame frames[CALLS_MAX]; /* the last ones */
    size_t count;
};

static void note(struct calls *calls, const struct traceback_frame *frame)
{
    calls->frames[calls->count++ % CALLS_MAX] = *frame;
}

/* The indented lines; the line behind them. False: there is none. */
static bool read_calls(struct slice *rest, struct calls *calls, struct slice *ret_line)
{
    while (cursor_line(rest, ret_line)) {
        struct slice line = *ret_line = without_bars(*ret_line);
        struct traceback_frame frame;
        size_t indent = cursor_skip_blanks(&line);

        if (indent == 0 && line.length > 0)
            return true;
        if (read_frame(line, &frame))
            note(calls, &frame);
        else if (calls->count > 0 && indent >= 4 && !calls->frames[(calls->count - 1) % CALLS_MAX].code.length &&
                 !is_pointer(line))
            calls->frames[(calls->count - 1) % CALLS_MAX].code = line;
    }
    return false;
}

/* A message goes on up to an empty line, or the next part of a group. */
static struct slice read_message(struct slice *rest, struct slice message)
{
    struct slice line, next = *rest;

    while (cursor_line(&next, &line)) {
        struct slice start = line;

        (void)cursor_skip_blanks(&start);
        if (start.length == 0 || start.bytes[0] == '+' || cursor_has(line, HEADER))
            break;
        message = cursor_join(message, line);
        *rest = next;
    }
    return message;
}

static bool read_error(struct traceback *traceback, struct slice *rest)
{
    struct calls calls;
    struct slice line, class;

    calls.count = 0;
    if (!read_calls(rest, &calls, &line))
        return false;
    if (!cursor_until(&line, ": ", &class)) {
        class = line;
        line = (struct slice){line.bytes + line.length, 0};
    }
    if (class.length == 0 || memchr(class.bytes, ' ', class.length) != NULL)
        return false;
    traceback_add_error(traceback, class, read_message(rest, line));
    for (size_t i = calls.count > CALLS_MAX ? calls.count - CALLS_MAX : 0; i < calls.count; i++)
        traceback_add_frame(traceback, &calls.frames[i % CALLS_MAX]);
    return true;
}

static bool is_syntax_error(struct slice text)
{
    static const char *const classes[] = {"SyntaxError: ", "IndentationError: ", "TabError: "};
    struct slice line;

    if (!cursor_skip(&text, PLACE))
        return false;
    while (cursor_line(&text, &line))
        if (text.length == 0 || text.bytes[0] != ' ')
            break;
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (cursor_skip(&text, classes[i]))
            return true;
    return false;
}

bool traceback_python(struct traceback *traceback, struct slice text)
{
    struct slice before;
    bool found = is_syntax_error(text) && read_error(traceback, &text);

    while (cursor_until(&text, HEADER, &before)) {
        (void)cursor_line(&text, &before);
        found |= read_error(traceback, &text);
    }
    traceback_reverse_errors(traceback);
    traceback_reverse_frames(traceback);
    return found;
}
