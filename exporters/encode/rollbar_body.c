/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/rollbar_body.h"

#include "exporters/encode/json_access.h"
#include "exporters/encode/rollbar_item.h"
#include "exporters/encode/rollbar_scrub.h"

#include <stdbool.h>
#include <string.h>

#define NS_PER_MS INT64_C(1000000)

/* The last part of a path, without the kernel's mark of a file that is gone. */
static json_t *base_name(const char *path)
{
    const char *name = basename(path);
    const char *mark = strstr(name, " (deleted)");
    json_t *cut = json_sprintf("%.*s", (int)(mark != NULL ? (size_t)(mark - name) : strlen(name)), name);
    json_t *out = rollbar_scrub_name(json_string_value(cut), ROLLBAR_NO_LIMIT);

    json_decref(cut);
    return out;
}

static json_t *make_filename(const json_t *frame)
{
    const char *file = json_text_of(frame, "file");
    const char *module = json_text_of(frame, "module");

    if (file != NULL)
        return rollbar_scrub_name(file, ROLLBAR_NO_LIMIT);
    return module != NULL ? base_name(module) : json_string("[unknown]");
}

static json_t *make_frame(const json_t *frame)
{
    const char *function = json_text_of(frame, "function");
    json_int_t line = json_integer_value(json_object_get(frame, "line"));
    json_int_t column = json_integer_value(json_object_get(frame, "column"));
    json_t *out = json_object();

    json_set(out, "filename", make_filename(frame));
    if (line > 0)
        json_set(out, "lineno", json_integer(line));
    if (line > 0 && column > 0)
        json_set(out, "colno", json_integer(column));
    if (function == NULL || strncmp(function, "0x", 2) == 0)
        json_set(out, "method", json_string("??"));
    else
        json_set(out, "method", rollbar_scrub_name(function, ROLLBAR_NO_LIMIT));
    json_set(out, "code", rollbar_scrub_prose(json_text_of(frame, "code"), ROLLBAR_NO_LIMIT));
    return out;
}

/* The report has the innermost call first, Rollbar wants it last. There must be one. */
static json_t *make_frames(const json_t *frames)
{
    json_t *out = json_array();

    for (size_t i = json_array_size(frames); i > 0; i--)
        (void)json_array_append_new(out, make_frame(json_array_get(frames, i - 1)));
    if (json_array_size(out) == 0)
        (void)json_array_append_new(out, make_frame(NULL));
    return out;
}

static json_t *make_exception(const json_t *report)
{
    const json_t *exception = json_object_get(report, "exception");
    const json_t *signal = json_object_get(report, "signal");
    const char *class = json_text_of(exception, "class");
    const char *message = json_text_of(exception, "message");
    const char *more = json_text_of(report, "abort_message");
    json_t *out = json_object();

    if (class == NULL)
        class = json_text_of(signal, "name");
    if (message == NULL)
        message = json_text_of(signal, "cause");
    if (more == NULL)
        more = json_text_of(signal, "cause");
    json_set(out, "class", rollbar_scrub_name(class != NULL ? class : "crash", ROLLBAR_TEXT_MAX));
    json_set(out, "message", rollbar_scrub_prose(message, ROLLBAR_NO_LIMIT));
    if (message == NULL || (more != NULL && strcmp(more, message) != 0))
        json_set(out, "description", rollbar_scrub_prose(more, ROLLBAR_NO_LIMIT));
    return out;
}

static json_t *make_trace(const json_t *report)
{
    const json_t *thread = json_array_get(json_object_get(report, "threads"), 0);

    return json_pack("{s:o, s:o}", "frames", make_frames(json_object_get(thread, "frames")), "exception",
                     make_exception(report));
}

/* What was thrown last, then what it was thrown for. NULL: there is no more than that. */
static json_t *make_chain(const json_t *report)
{
    const json_t *causes = json_object_get(report, "causes"), *cause;
    json_t *out = json_array_size(causes) > 0 ? json_pack("[o]", make_trace(report)) : NULL;
    size_t i;

    json_array_foreach(causes, i, cause)
    {
        json_t *exception = json_pack("{s:O}", "exception", cause);

        (void)json_array_append_new(out,
                                    json_pack("{s:o, s:o}", "frames", make_frames(json_object_get(cause, "frames")),
                                              "exception", make_exception(exception)));
        json_decref(exception);
    }
    return out;
}

static json_t *make_message(const json_t *report)
{
    const char *text = json_text_of(report, "message");

    if (text == NULL)
        text = json_text_of(report, "title");
    return rollbar_scrub_prose(text != NULL ? text : "no message", ROLLBAR_NO_LIMIT);
}

static const char *level_of(json_int_t status, bool is_error)
{
    if (status >= 500)
        return "critical";
    return status >= 400 || is_error ? "error" : "info";
}

/* A recent request. */
static json_t *make_event(const json_t *request)
{
    json_int_t status = json_integer_value(json_object_get(request, "status"));
    json_int_t start = json_integer_value(json_object_get(request, "started_unix_ns")) / NS_PER_MS;
    json_int_t end = json_integer_value(json_object_get(request, "ended_unix_ns")) / NS_PER_MS;
    bool is_error = json_text_of(request, "error") != NULL;
    json_t *body = json_pack("{s:s}", "subtype", "http");

    json_set(body, "method", rollbar_scrub_name(json_text_of(request, "method"), ROLLBAR_TEXT_MAX));
    json_set(body, "url", rollbar_scrub_url(json_text_of(request, "url")));
    if (status > 0)
        json_set(body, "status_code", json_integer(status));
    json_set(body, "start_time_ms", json_integer(start));
    if (end >= start)
        json_set(body, "end_time_ms", json_integer(end));
    return json_pack("{s:s, s:s, s:s, s:I, s:o}", "level", level_of(status, is_error), "type", "network", "source",
                     "server", "timestamp_ms", start, "body", body);
}

/* Of syslog's severities. */
static const char *level_of_severity(const json_t *severity)
{
    static const char *const levels[] = {"critical", "critical", "critical", "error",
                                         "warning",  "info",     "info",     "debug"};
    json_int_t n = json_integer_value(severity);

    return json_is_integer(severity) && n >= 0 && n < 8 ? levels[n] : "info";
}

/* An event of its log. */
static json_t *make_line(const json_t *line)
{
    json_t *text = rollbar_scrub_prose(json_text_of(line, "text"), ROLLBAR_NO_LIMIT);

    return json_pack("{s:s, s:s, s:s, s:I, s:{s:o}}", "level", level_of_severity(json_object_get(line, "severity")),
                     "type", "log", "source", "server", "timestamp_ms",
                     json_integer_value(json_object_get(line, "time_unix_ns")) / NS_PER_MS, "body", "message",
                     text != NULL ? text : json_string(""));
}

static json_int_t time_of(const json_t *list, size_t n, const char *key)
{
    return json_integer_value(json_object_get(json_array_get(list, n), key));
}

/* What led up to it, in the order of time: the requests as they began, and the log. */
static json_t *make_telemetry(const json_t *report)
{
    const json_t *requests = json_object_get(report, "recent_requests"), *lines = json_object_get(report, "log_lines");
    size_t request = 0, line = 0, count = json_array_size(requests) + json_array_size(lines);
    json_t *out = count > 0 ? json_array() : NULL;

    for (size_t i = 0; i < count; i++) {
        bool is_request = line == json_array_size(lines) ||
                          (request < json_array_size(requests) &&
                           time_of(requests, request, "started_unix_ns") <= time_of(lines, line, "time_unix_ns"));
        json_t *event =
            is_request ? make_event(json_array_get(requests, request)) : make_line(json_array_get(lines, line));

        request += is_request;
        line += !is_request;
        if (i + ROLLBAR_TELEMETRY_MAX >= count)
            (void)json_array_append_new(out, event);
        else
            json_decref(event);
    }
    return out;
}

json_t *rollbar_body(const json_t *report)
{
    const char *kind = json_text_of(report, "kind");
    bool has_calls = kind == NULL || strcmp(kind, "crash") == 0 || strcmp(kind, "error") == 0;
    json_t *body = json_object(), *chain = make_chain(report);

    if (chain != NULL)
        json_set(body, "trace_chain", chain);
    else if (has_calls)
        json_set(body, "trace", make_trace(report));
    else
        json_set(body, "message", json_pack("{s:o}", "body", make_message(report)));
    json_set(body, "telemetry", make_telemetry(report));
    return body;
}
