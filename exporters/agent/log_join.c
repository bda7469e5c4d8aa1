/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_join.h"

#include "exporters/agent/log_severity.h"
#include "exporters/traceback/ruby_title.h"

#include <string.h>

enum {
    LOOK_MAX = 1024,        /* bytes of a line that are searched: what tells a traceback stands near its start */
    MESSAGE_LINES_MAX = 64, /* of an error's message, before its calls */
};

static const char python_header[] = "Traceback (most recent call last):";

static bool starts(struct slice line, const char *text)
{
    size_t length = strlen(text);

    return line.length >= length && memcmp(line.bytes, text, length) == 0;
}

static bool ends(struct slice line, const char *text)
{
    size_t length = strlen(text);

    return line.length >= length && memcmp(line.bytes + line.length - length, text, length) == 0;
}

static bool contains(struct slice line, const char *text)
{
    size_t length = line.length < LOOK_MAX ? line.length : LOOK_MAX;

    return memmem(line.bytes, length, text, strlen(text)) != NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* How many bytes from `at` on are digits. */
static size_t digits(struct slice line, size_t at)
{
    size_t start = at;

    while (at < line.length && is_digit(line.bytes[at]))
        at++;
    return at - start;
}

static bool is_indented(struct slice line)
{
    return line.length > 0 && (line.bytes[0] == ' ' || line.bytes[0] == '\t');
}

/* The end of what was printed over several lines: "}", "],", "})". */
static bool is_closing(struct slice line)
{
    return line.length > 0 && line.length <= 4 && memchr("]})", line.bytes[0], 3) != NULL &&
           memchr("]}),;", line.bytes[line.length - 1], 5) != NULL;
}

/* what kinds of lines look like */

/* `  File "app.py", line 3`: where Python found what it can't read as a program; the error follows. In other
 * tracebacks such a line goes on. */
static bool is_python_place(struct slice line)
{
    return starts(line, "  File \"") && contains(line, "\", line ") && is_digit(line.bytes[line.length - 1]);
}

/* "app.rb:3:in `call'": a frame of Ruby, or with a message behind it the first line of an error. */
static bool is_ruby_place(struct slice line)
{
    const char *in = memmem(line.bytes, line.length < LOOK_MAX ? line.length : LOOK_MAX, ":in ", 4);

    return in && in > line.bytes && is_digit(in[-1]) && in + 4 < line.bytes + line.length &&
           (in[4] == '`' || in[4] == '\'');
}

/* Do an error's calls follow, and not another message, or another error's title, before them? */
static bool ruby_calls_follow(struct slice behind, bool is_logged)
{
    struct slice line;

    for (int count = 0; count < MESSAGE_LINES_MAX && slice_next(&behind, '\n', &line); count++) {
        if (is_ruby_place(line))
            return true;
        if (ruby_title_skip_logger(&line) || (!is_logged && ruby_title_is(line)))
            return false;
    }
    return false;
}

/* Is it the first line of what was thrown in a Ruby program, the message of which may have more lines? */
static bool is_ruby_title(struct slice line, struct slice behind)
{
    bool is_logged = ruby_title_skip_logger(&line), has_tags = ruby_title_skip_tags(&line);

    if (contains(line, "Rack app (") && contains(line, "): #<"))
        return true;
    return (is_logged || ruby_title_is(line) || (has_tags && slice_trim(line).length == 0)) &&
           ruby_calls_follow(behind, is_logged || has_tags);
}

/* "/srv/app.js:12", "[eval]:1": where Node shows the source of an error that nobody caught. */
static bool is_node_place(struct slice line)
{
    static const char *const suffixes[] = {".js", ".mjs", ".cjs", ".ts"};
    size_t end = line.length;

    while (end > 0 && is_digit(line.bytes[end - 1]))
        end--;
    if (end == line.length || end < 2 || line.bytes[end - 1] != ':' || memchr(line.bytes, ' ', end))
        return false;
    struct slice path = {line.bytes, end - 1};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (ends(path, suffixes[i]))
            return true;
    return starts(line, "node:") || starts(line, "[eval]");
}

/* "    at f (/srv/app.js:12:3)" */
static bool is_node_call(struct slice line)
{
    return starts(line, "    at ");
}

/* "failed: TypeError: message", with calls behind the rest of the message. */
static bool is_node_title(struct slice line, struct slice behind)
{
    if (!contains(line, "Error: ") && !contains(line, "Error ["))
        return false;
    for (int count = 0; count < MESSAGE_LINES_MAX && slice_next(&behind, '\n', &line); count++) {
        if (is_node_call(line))
            return true;
        if (contains(line, "Error: "))
            return false;
    }
    return false;
}

/* "java.lang.IllegalStateException: message" */
static bool is_java_exception(struct slice line)
{
    size_t length = 0, dots = 0;

    while (length < line.length && line.bytes[length] != ':' && line.bytes[length] != ' ')
        dots += line.bytes[length++] == '.';
    struct slice name = {line.bytes, length};
    return dots > 0 && (length == line.length || line.bytes[length] == ':') &&
           (ends(name, "Exception") || ends(name, "Error") || ends(name, "Throwable"));
}

bool log_join_is_record(struct slice line)
{
    return line.length > 22 && line.bytes[3] == ' ' && digits(line, 4) == 2 && line.bytes[6] == ',' &&
           digits(line, 8) == 4 && (contains(line, " AM ") || contains(line, " PM "));
}

static bool is_bar(struct slice line)
{
    return line.length >= 18 && line.bytes[0] == '=' && memcmp(line.bytes, line.bytes + 1, line.length - 1) == 0;
}

/* "==123==ERROR: ...", and ThreadSanitizer's first line. */
static bool is_sanitizer(struct slice line)
{
    size_t count = starts(line, "==") ? digits(line, 2) : 0;
    struct slice rest = {line.bytes + 2 + count, count > 0 ? line.length - 2 - count : 0};

    return starts(rest, "==ERROR: ") || starts(line, "WARNING: ThreadSanitizer: ");
}

static bool is_go_start(struct slice line)
{
    return starts(line, "panic: ") || starts(line, "fatal error: ") || starts(line, "goroutine ") ||
           contains(line, ": panic serving ");
}

static bool is_go_line(struct slice line)
{
    return is_go_start(line) || ends(line, ")") || starts(line, "created by ") || starts(line, "[signal ") ||
           starts(line, "exit status ") || starts(line, "runtime stack:") || starts(line, "...");
}

/* "main.rs:2:5:" is followed by the message; early versions have it in the line. */
static enum log_join rust_start(struct slice line)
{
    return ends(line, ":") ? LOG_JOIN_RUST : LOG_JOIN_RUST_END;
}

/* events */

/* What a line makes of the event that it stands in. */
static enum log_join kind_of(struct slice line)
{
    if (line.length == 0)
        return LOG_JOIN_PLAIN;
    if (ends(line, python_header)) /* of a group of exceptions all lines are indented */
        return is_indented(line) ? LOG_JOIN_PYTHON_END : LOG_JOIN_PYTHON;
    if (is_python_place(line))
        return LOG_JOIN_PYTHON;
    if (starts(line, "Exception in thread ") || starts(line, "Exception ignored in"))
        return LOG_JOIN_THREAD;
    if (starts(line, "thread '") && contains(line, " panicked at "))
        return rust_start(line);
    if (starts(line, "Stack trace:") || starts(line, "Fatal error: Uncaught ") || contains(line, "PHP Fatal error: "))
        return LOG_JOIN_PHP;
    if (is_sanitizer(line))
        return LOG_JOIN_SANITIZER;
    if (log_join_is_record(line))
        return LOG_JOIN_RECORD;
    if (is_bar(line))
        return LOG_JOIN_BAR;
    if (is_go_start(line))
        return LOG_JOIN_GO;
    if (is_node_place(line))
        return LOG_JOIN_NODE;
    if (is_java_exception(line))
        return LOG_JOIN_JAVA;
    return is_ruby_place(line) ? LOG_JOIN_RUBY : LOG_JOIN_PLAIN;
}

enum log_join log_join_begin(struct slice line, struct slice behind)
{
    enum log_join kind = kind_of(line);

    return kind == LOG_JOIN_PLAIN && (is_ruby_title(line, behind) || is_node_title(line, behind)) ? LOG_JOIN_MESSAGE
                                                                                                  : kind;
}

static bool is_chained(struct slice line)
{
    return starts(line, "During handling of the above exception, another") ||
           starts(line, "The above exception was the direct cause");
}

/* A traceback begun by the same call as the line before: that line is what a logger has written above it. */
static bool takes_trace(enum log_join *join, struct slice line)
{
    enum log_join kind = starts(line, "#<") ? LOG_JOIN_RUBY : kind_of(line);

    if (kind != LOG_JOIN_PYTHON && kind != LOG_JOIN_JAVA && kind != LOG_JOIN_RUBY && kind != LOG_JOIN_PHP &&
        (kind != LOG_JOIN_GO || !starts(line, "goroutine ")))
        return false;
    *join = kind;
    return true;
}

/* Lines without a blank before them, that only events of this kind take. */
static bool takes_own(enum log_join *join, struct slice line)
{
    switch (*join) {
    case LOG_JOIN_THREAD:
    case LOG_JOIN_PYTHON_CHAIN:
        if (line.length == 0)
            return *join == LOG_JOIN_PYTHON_CHAIN;
        if (!starts(line, python_header))
            return false;
        *join = LOG_JOIN_PYTHON;
        return true;
    case LOG_JOIN_PYTHON:
        if (line.length > 0)
            *join = LOG_JOIN_PYTHON_END;
        return true;
    case LOG_JOIN_PYTHON_END:
        if (is_chained(line))
            *join = LOG_JOIN_PYTHON_CHAIN;
        return line.length == 0 || *join == LOG_JOIN_PYTHON_CHAIN;
    case LOG_JOIN_GO:
        return line.length == 0 || is_go_line(line);
    case LOG_JOIN_RUBY:
        return line.length == 0 || (is_ruby_place(line) && ends(line, "'"));
    case LOG_JOIN_RUBY_FRAMES:
        return is_ruby_place(line);
    case LOG_JOIN_NODE:
        if (starts(line, "Node.js v"))
            *join = LOG_JOIN_CLOSED;
        return true;
    case LOG_JOIN_PHP:
        return line.length == 0 || starts(line, "Stack trace:") || starts(line, "Next ") ||
               (line.bytes[0] == '#' && digits(line, 1) > 0);
    case LOG_JOIN_RUST:
        *join = LOG_JOIN_RUST_END;
        return true;
    case LOG_JOIN_RUST_END:
        return starts(line, "note: ") || starts(line, "stack backtrace:");
    case LOG_JOIN_BAR:
        if (!is_sanitizer(line))
            return false;
        *join = LOG_JOIN_SANITIZER;
        return true;
    case LOG_JOIN_SANITIZER:
        if (ends(line, "==ABORTING") || is_bar(line))
            *join = LOG_JOIN_CLOSED;
        return true;
    case LOG_JOIN_PLAIN:
    case LOG_JOIN_BLOCK:
    case LOG_JOIN_RECORD:
    case LOG_JOIN_JAVA:
    case LOG_JOIN_MESSAGE:
    case LOG_JOIN_CLOSED:
        break;
    }
    return false;
}

static bool is_ruby(enum log_join join)
{
    return join == LOG_JOIN_RUBY || join == LOG_JOIN_RUBY_FRAMES;
}

/* Does it look as lines do that begin an event of their own? */
static bool is_beginning(enum log_join join, struct slice line)
{
    return line.length == 0 || line.bytes[0] == '{' || log_severity_of(line) != 0 ||
           (is_ruby(join) && ruby_title_is(line));
}

/* The rest of a message, up to the first call. */
static bool takes_message(enum log_join *join, struct slice line, bool is_same_call)
{
    if (is_same_call && is_ruby_place(line))
        *join = LOG_JOIN_RUBY_FRAMES;
    else if (is_same_call && is_node_call(line))
        *join = LOG_JOIN_JAVA;
    return is_same_call;
}

/* All do, but Python's exception groups and syntax errors begin with a blank, too. */
static bool takes_indented(enum log_join *join, struct slice line, bool is_same_call)
{
    if ((ends(line, python_header) || is_python_place(line)) && *join == LOG_JOIN_PLAIN && !is_same_call)
        return false;
    if (*join == LOG_JOIN_PLAIN)
        *join = LOG_JOIN_BLOCK;
    if (*join == LOG_JOIN_RUBY)
        *join = LOG_JOIN_RUBY_FRAMES;
    return true;
}

bool log_join_takes(enum log_join *join, struct slice line, bool is_same_call)
{
    if (*join == LOG_JOIN_CLOSED)
        return false;
    if (*join == LOG_JOIN_MESSAGE)
        return takes_message(join, line, is_same_call);
    if (*join == LOG_JOIN_RECORD && is_same_call)
        return !log_join_is_record(line);
    if (is_indented(line))
        return takes_indented(join, line, is_same_call);
    if (takes_own(join, line))
        return true;
    if (starts(line, "Caused by: ")) {
        *join = LOG_JOIN_JAVA;
        return true;
    }
    if (*join >= LOG_JOIN_BLOCK && is_closing(line))
        return true;
    if (!is_same_call)
        return false;
    return takes_trace(join, line) || (log_join_is_trace(*join) && !is_beginning(*join, line));
}
