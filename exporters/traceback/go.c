/* SPDX-License-Identifier: Apache-2.0 */
/* Go: what a panic said, then what one said that came of it, then the goroutine that panicked, its innermost call
 * first. */
#include "exporters/traceback/cursor.h"
#include "exporters/traceback/error.h"

/* "runtime error: index out of range" tells its class itself. */
static void add_panic(struct traceback *traceback, const char *class, struct slice message)
{
    struct slice rest = message;

    if (cursor_skip(&rest, "runtime error: "))
        traceback_add_error(traceback, (struct slice){"runtime error", 13}, rest);
    else
        traceback_add_error(traceback, (struct slice){class, strlen(class)}, message);
}

/* What a deferred function has caught, or has, before it panicked itself: "MESSAGE [recovered]". */
static struct slice without_mark(struct slice message)
{
    struct slice rest = message, before;

    return cursor_ends_with(message, "]") && cursor_until_last(&rest, " [recovered", &before) ? before : message;
}

/* "panic: MESSAGE", "fatal error: MESSAGE", "http: panic serving 127.0.0.1:40000: MESSAGE" */
static bool read_message(struct traceback *traceback, struct slice head)
{
    struct slice line, before;
    bool found = false;

    while (cursor_line(&head, &line)) {
        if (found)
            (void)cursor_skip_blanks(&line);
        if (cursor_skip(&line, "panic: "))
            add_panic(traceback, "panic", without_mark(line));
        else if (!found && cursor_skip(&line, "fatal error: "))
            add_panic(traceback, "fatal error", line);
        else if (!found && cursor_until(&line, "panic serving ", &before) && cursor_until(&line, ": ", &before))
            add_panic(traceback, "panic", without_mark(line));
        else
            continue;
        found = true;
    }
    return found;
}

/* "\tFILE:LINE +0x65" */
static bool read_place(struct slice line, struct traceback_frame *frame)
{
    struct slice offset = line, before;
    struct cursor_place place;

    if (cursor_skip_blanks(&line) == 0)
        return false;
    offset = line;
    if (cursor_until_last(&offset, " +0x", &before))
        line = before;
    if (!cursor_place(line, &place))
        return false;
    frame->file = place.file;
    frame->line = place.line;
    return true;
}

/* "main.(*shop).price(0x1, ...)": the last brackets are the arguments. */
static struct slice function_of(struct slice line)
{
    struct slice rest = line, before;

    (void)cursor_skip(&line, "created by ");
    rest = line;
    return cursor_ends_with(line, ")") && cursor_until_last(&rest, "(", &before) ? before : line;
}

static void read_calls(struct traceback *traceback, struct slice rest)
{
    struct slice line, place;

    while (cursor_line(&rest, &line) && line.length > 0 && cursor_line(&rest, &place)) {
        struct traceback_frame frame = {.function = function_of(line)};

        if (!read_place(place, &frame))
            return;
        traceback_add_frame(traceback, &frame);
    }
}

/* The runtime's own calls stand in front of the one that panicked. */
static struct slice behind_panic(struct slice calls)
{
    struct slice rest = calls, before, line;

    if (cursor_until(&rest, "\npanic(", &before) && !cursor_has(before, "\n\n") && cursor_line(&rest, &line) &&
        cursor_line(&rest, &line))
        return rest;
    return calls;
}

bool traceback_go(struct traceback *traceback, struct slice text)
{
    struct slice head, line;

    if (!cursor_until(&text, "goroutine ", &head) || !cursor_line(&text, &line) || !cursor_ends_with(line, "]:"))
        return false;
    if (!read_message(traceback, head))
        return false;
    read_calls(traceback, behind_panic(text));
    if (traceback_frame_count(traceback) == 0)
        return false;
    traceback_reverse_errors(traceback);
    return true;
}
