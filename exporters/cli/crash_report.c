/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/crash_report.h"

#include "exporters/cli/cli.h"
#include "exporters/cli/memory.h"
#include "exporters/crash/stack_text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STACK_TEXT_MAX = 256 << 10, REGISTERS_PER_LINE = 3, RECENT_SHOWN = 10 };

static bool coloured; /* set once, by crash_report_print() */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* A line of texts that may be hostile. */
__attribute__((format(printf, 2, 3))) static void print_line(const char *colour, const char *format, ...)
{
    va_list arguments;
    char *line = NULL;

    va_start(arguments, format);
    if (vasprintf(&line, format, arguments) < 0)
        line = NULL;
    va_end(arguments);
    if (!line)
        return;
    cli_mask(line);
    printf("%s%s%s\n", coloured ? colour : "", line, coloured && *colour ? "\033[0m" : "");
    free(line);
}

static void print_heading(const char *text)
{
    printf("\n%s%s%s\n", coloured ? "\033[1m" : "", text, coloured ? "\033[0m" : "");
}

/* "  label     text", unless there is none. */
static void print_fact(const char *label, const char *text)
{
    if (*text)
        print_line("", "  %-10s %s", label, text);
}

/* head */

static void print_time(const json_t *report)
{
    json_int_t unix_ns = number_of(report, "time_unix_ns");
    time_t seconds = (time_t)(unix_ns / 1000000000);
    char text[64];
    struct tm local;

    localtime_r(&seconds, &local);
    (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &local);
    print_fact("time", text);
}

static void print_process(const json_t *report)
{
    const json_t *process = json_object_get(report, "process");
    char *text = memory_format("%s (process %" JSON_INTEGER_FORMAT ")", text_of(process, "executable"),
                               number_of(process, "pid"));

    print_fact("program", text);
    free(text);
}

static void print_exit(const json_t *report)
{
    const json_t *end = json_object_get(report, "exit");
    char *text;

    if (!end)
        return;
    if (json_object_get(end, "signal"))
        text = memory_format("signal %" JSON_INTEGER_FORMAT "%s", number_of(end, "signal"),
                             json_is_true(json_object_get(end, "core_dumped")) ? ", core dumped" : "");
    else
        text = memory_format("status %" JSON_INTEGER_FORMAT, number_of(end, "status"));
    print_fact("ended by", text);
    free(text);
}

static void print_handler(const json_t *report)
{
    const json_t *handler = json_object_get(report, "handler");
    char *text =
        handler ? memory_format("%s (%s) ran before", text_of(handler, "function"), text_of(handler, "module")) : NULL;

    if (text)
        print_fact("handler", text);
    free(text);
}

static void print_head(const json_t *report)
{
    const json_t *service = json_object_get(report, "service"), *exception = json_object_get(report, "exception");

    print_line("\033[1;31m", "%s", text_of(report, "title"));
    print_fact("uuid", text_of(report, "uuid"));
    print_time(report);
    print_fact("service", text_of(service, "name"));
    print_fact("version", text_of(service, "version"));
    print_fact("host", text_of(json_object_get(report, "host"), "name"));
    print_process(report);
    print_fact("cause", text_of(json_object_get(report, "signal"), "cause"));
    print_fact("said", text_of(report, "abort_message"));
    if (strncmp(text_of(exception, "class"), "SIG", 3) != 0)
        print_fact("exception", text_of(exception, "class"));
    print_handler(report);
    print_exit(report);
}

/* requests */

static void print_request(const json_t *request)
{
    print_line("", "  %s %s", text_of(request, "method"), text_of(request, "url"));
    print_fact("trace", text_of(request, "trace_id"));
    print_fact("span", text_of(request, "span_id"));
    print_fact("route", text_of(request, "route"));
    print_fact("client", text_of(request, "client_address"));
    print_fact("user", text_of(request, "user_id"));
}

static void print_recent(const json_t *recent)
{
    size_t count = json_array_size(recent);

    if (count == 0)
        return;
    print_heading("requests before");
    for (size_t i = count > RECENT_SHOWN ? count - RECENT_SHOWN : 0; i < count; i++) {
        const json_t *request = json_array_get(recent, i);

        print_line("", "  %3" JSON_INTEGER_FORMAT " %s %s", number_of(request, "status"), text_of(request, "method"),
                   text_of(request, "url"));
    }
}

static void print_requests(const json_t *report)
{
    const json_t *request = json_object_get(report, "request"), *open = json_object_get(report, "open_requests"),
                 *other;
    size_t i;

    if (request) {
        print_heading(json_is_false(json_object_get(request, "certain")) ? "request (the only one that was open)"
                                                                         : "request");
        print_request(request);
    } else if (json_array_size(open) > 0) {
        print_heading("open requests");
        json_array_foreach(open, i, other) print_line("", "  %s %s", text_of(other, "method"), text_of(other, "url"));
    }
    print_recent(json_object_get(report, "recent_requests"));
}

/* threads */

static void print_registers(json_t *registers)
{
    const char *name;
    json_t *value;
    size_t count = 0;

    json_object_foreach(registers, name, value)
    {
        char *text = memory_format("%-6s %-18s", name, json_string_value(value) ? json_string_value(value) : "");

        cli_mask(text);
        printf("%s%s", count % REGISTERS_PER_LINE ? "  " : count ? "\n    " : "    ", text);
        free(text);
        count++;
    }
    if (count)
        puts("");
}

/* The stack's text has a line feed after each frame: masked line by line. */
static void print_frames(const json_t *thread)
{
    char *text = stack_text_new(thread, "    ", STACK_TEXT_MAX), *rest = text, *line;

    while (text && (line = strsep(&rest, "\n")))
        if (*line)
            print_line("", "%s", line);
    free(text);
}

static void print_thread(const json_t *thread)
{
    bool crashed = json_is_true(json_object_get(thread, "crashed"));
    const char *name = text_of(thread, "name");

    print_line(crashed ? "\033[31m" : "", "  thread %" JSON_INTEGER_FORMAT "%s%s%s", number_of(thread, "id"),
               *name ? " " : "", name, crashed ? ", crashed" : "");
    print_frames(thread);
    if (crashed)
        print_registers(json_object_get(thread, "registers"));
}

static void print_threads(const json_t *threads)
{
    const json_t *thread;
    size_t i;

    if (json_array_size(threads) == 0)
        return;
    print_heading("threads");
    json_array_foreach(threads, i, thread) print_thread(thread);
}

static void print_incomplete(const json_t *list)
{
    const json_t *text;
    size_t i;

    if (json_array_size(list) == 0)
        return;
    print_heading("incomplete");
    json_array_foreach(list, i, text) print_line("", "  %s", json_string_value(text) ? json_string_value(text) : "");
}

void crash_report_print(const json_t *report)
{
    coloured = cli_has_colour(STDOUT_FILENO);
    print_head(report);
    print_requests(report);
    print_threads(json_object_get(report, "threads"));
    print_incomplete(json_object_get(report, "incomplete"));
}
