/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/rollbar_custom.h"

#include "exporters/encode/json_access.h"
#include "exporters/encode/rollbar_scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As the report has it; NULL where it has nothing. */
static json_t *copy(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);

    if (value == NULL || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0))
        return NULL;
    return json_deep_copy(value);
}

/* "#3 0x55.. parse_header+0x12 (nginx+0x4a12) src/http.c:312, guessed" */
static void print_frame(FILE *out, size_t number, const json_t *frame)
{
    const char *address = json_text_of(frame, "address");
    const char *function = json_text_of(frame, "function");
    const char *function_offset = json_text_of(frame, "function_offset");
    const char *module = json_text_of(frame, "module");
    const char *offset = json_text_of(frame, "offset");
    const char *file = json_text_of(frame, "file");
    const char *found_by = json_text_of(frame, "found_by");
    json_int_t line = json_integer_value(json_object_get(frame, "line"));

    (void)fprintf(out, "#%zu %s %s", number, address != NULL ? address : "?", function != NULL ? function : "??");
    if (function != NULL && function_offset != NULL)
        (void)fprintf(out, "+%s", function_offset);
    if (module != NULL)
        (void)fprintf(out, " (%s%s%s)", basename(module), offset != NULL ? "+" : "", offset != NULL ? offset : "");
    if (file != NULL)
        (void)fprintf(out, " %s", file);
    if (file != NULL && line > 0)
        (void)fprintf(out, ":%" JSON_INTEGER_FORMAT, line);
    if (json_is_true(json_object_get(frame, "inlined")))
        (void)fputs(", inlined", out);
    if (found_by != NULL && strcmp(found_by, "scan") == 0)
        (void)fputs(", guessed", out);
    (void)fputc('\n', out);
}

static void print_thread(FILE *out, const json_t *thread)
{
    const json_t *frames = json_object_get(thread, "frames");
    json_int_t left_out = json_integer_value(json_object_get(thread, "frames_left_out"));
    const char *name = json_text_of(thread, "name");
    const char *state = json_text_of(thread, "state");

    (void)fprintf(out, "thread %" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(thread, "id")));
    if (name != NULL)
        (void)fprintf(out, " \"%s\"", name);
    if (json_is_true(json_object_get(thread, "crashed")))
        (void)fputs(", crashed", out);
    else if (state != NULL)
        (void)fprintf(out, ", %s", state);
    (void)fputc('\n', out);
    for (size_t i = 0; i < json_array_size(frames); i++)
        print_frame(out, i, json_array_get(frames, i));
    if (left_out > 0)
        (void)fprintf(out, "%" JSON_INTEGER_FORMAT " frames are left out\n", left_out);
}

static json_t *make_thread(const json_t *thread)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (out == NULL)
        return NULL;
    print_thread(out, thread);
    json_t *string = fclose(out) == 0 ? rollbar_scrub_name(text, ROLLBAR_NO_LIMIT) : NULL;
    free(text);
    return string;
}

static json_t *make_threads(const json_t *report)
{
    const json_t *threads = json_object_get(report, "threads");
    json_t *out = json_array_size(threads) > 0 ? json_array() : NULL;

    for (size_t i = 0; i < json_array_size(threads); i++)
        (void)json_array_append_new(out, make_thread(json_array_get(threads, i)));
    return out;
}

static json_t *make_request(const json_t *request)
{
    json_t *out = json_object();

    json_set(out, "method", copy(request, "method"));
    json_set(out, "url",
             rollbar_scrub_url(json_text_of(request, json_text_of(request, "url") != NULL ? "url" : "path")));
    json_set(out, "trace_id", copy(request, "trace_id"));
    json_set(out, "span_id", copy(request, "span_id"));
    return out;
}

/* All that were under way. */
static json_t *make_open_requests(const json_t *report)
{
    const json_t *requests = json_object_get(report, "open_requests");
    json_t *out = json_array_size(requests) > 0 ? json_array() : NULL;

    for (size_t i = 0; i < json_array_size(requests); i++)
        (void)json_array_append_new(out, make_request(json_array_get(requests, i)));
    return out;
}

json_t *rollbar_custom(const json_t *report, uint64_t suppressed)
{
    static const char *const copied[] = {"signal", "handler", "exit", "modules", "service", "held_ns", "incomplete"};
    const json_t *request = json_object_get(report, "request");
    const json_t *process = json_object_get(report, "process");
    json_t *out = json_object();

    if (suppressed > 0)
        json_set(out, "suppressed", json_integer((json_int_t)suppressed));
    json_set(out, "trace_id", copy(request, "trace_id"));
    json_set(out, "span_id", copy(request, "span_id"));
    json_set(out, "request_is_certain", copy(request, "certain"));
    json_set(out, "executable", copy(process, "executable"));
    json_set(out, "build_id", copy(process, "build_id"));
    json_set(out, "interpreter", copy(process, "interpreter"));
    json_set(out, "abort_message", rollbar_scrub_prose(json_text_of(report, "abort_message"), ROLLBAR_NO_LIMIT));
    json_set(out, "registers", copy(json_array_get(json_object_get(report, "threads"), 0), "registers"));
    if (json_object_get(report, "language") == NULL) /* else the trace says all */
        json_set(out, "threads", make_threads(report));
    json_set(out, "open_requests", make_open_requests(report));
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++)
        json_set(out, copied[i], copy(report, copied[i]));
    return out;
}
