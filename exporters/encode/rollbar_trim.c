/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/rollbar_trim.h"

#include "exporters/encode/rollbar_scrub.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_FRAMES = 10, TAIL_FRAMES = 50, MESSAGE_MAX = 255 };

static json_t *trace_of(const json_t *data, size_t n)
{
    const json_t *body = json_object_get(data, "body");
    json_t *trace = json_object_get(body, "trace");

    return trace != NULL && n == 0 ? trace : json_array_get(json_object_get(body, "trace_chain"), n);
}

/* The oldest calls stand first, and the end, where it crashed, matters most. */
static void keep_frames(json_t *data, size_t head, size_t tail)
{
    json_t *trace;

    for (size_t n = 0; (trace = trace_of(data, n)) != NULL; n++) {
        json_t *frames = json_object_get(trace, "frames");

        while (json_array_size(frames) > head + tail)
            (void)json_array_remove(frames, head);
    }
}

static void trim_frames(json_t *data)
{
    keep_frames(data, HEAD_FRAMES, TAIL_FRAMES);
}

static void cut_strings(json_t *value, size_t max);

/* The string itself, or what it holds. NULL: nothing is to be replaced. */
static json_t *cut_value(json_t *value, size_t max)
{
    if (json_is_string(value))
        return json_string_length(value) > max ? rollbar_scrub_name(json_string_value(value), max) : NULL;
    cut_strings(value, max);
    return NULL;
}

static void cut_strings(json_t *value, size_t max)
{
    const char *key;
    json_t *child;
    json_t *cut;
    size_t i;

    json_object_foreach(value, key, child)
    {
        cut = cut_value(child, max);
        if (cut != NULL)
            (void)json_object_set_new(value, key, cut);
    }
    json_array_foreach(value, i, child)
    {
        cut = cut_value(child, max);
        if (cut != NULL)
            (void)json_array_set_new(value, i, cut);
    }
}

static void cut_to_1024(json_t *data)
{
    cut_strings(data, 1024);
}

static void cut_to_512(json_t *data)
{
    cut_strings(data, 512);
}

static void cut_to_256(json_t *data)
{
    cut_strings(data, 256);
}

static void cut_message(json_t *object, const char *key)
{
    json_t *cut = cut_value(json_object_get(object, key), MESSAGE_MAX);

    if (cut != NULL)
        (void)json_object_set_new(object, key, cut);
}

static void keep_least_of_body(json_t *data)
{
    json_t *body = json_object_get(data, "body");
    json_t *trace;

    keep_frames(data, 1, 1);
    for (size_t n = 0; (trace = trace_of(data, n)) != NULL; n++) {
        cut_message(json_object_get(trace, "exception"), "message");
        (void)json_object_del(json_object_get(trace, "exception"), "description");
    }
    cut_message(json_object_get(body, "message"), "body");
    (void)json_object_del(body, "telemetry");
}

static void drop_request(json_t *data)
{
    (void)json_object_del(data, "request");
}

static void drop_custom(json_t *data)
{
    (void)json_object_del(data, "custom");
}

static bool is_required(const char *key)
{
    static const char *const required[] = {"environment", "body",  "level", "timestamp", "platform",
                                           "language",    "title", "uuid",  "notifier",  "fingerprint"};

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
        if (strcmp(key, required[i]) == 0)
            return true;
    return false;
}

static void drop_others(json_t *data)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(data, next, key, value)
    {
        if (!is_required(key))
            (void)json_object_del(data, key);
    }
}

static const struct {
    const char *name;
    void (*take)(json_t *data);
} steps[] = {
    {"frames", trim_frames},     {"strings_1024", cut_to_1024}, {"strings_512", cut_to_512},
    {"strings_256", cut_to_256}, {"body", keep_least_of_body},  {"request", drop_request},
    {"custom", drop_custom},     {"others", drop_others},
};
enum { STEP_COUNT = sizeof(steps) / sizeof(steps[0]) };

/* An object within one; made where it isn't there. */
static json_t *object_in(json_t *object, const char *key)
{
    if (json_object_get(object, key) == NULL)
        (void)json_object_set_new(object, key, json_object());
    return json_object_get(object, key);
}

static void note(json_t *data, const char *step)
{
    json_t *diagnostic = object_in(object_in(data, "notifier"), "diagnostic");

    if (json_object_get(diagnostic, "truncation") == NULL)
        (void)json_object_set_new(diagnostic, "truncation", json_array());
    (void)json_array_append_new(json_object_get(diagnostic, "truncation"), json_string(step));
}

char *rollbar_trim(json_t *item, size_t limit, size_t *ret_length)
{
    json_t *data = json_object_get(item, "data");
    char *text = json_dumps(item, JSON_COMPACT);

    for (size_t i = 0; text != NULL && strlen(text) > limit; i++) {
        free(text);
        if (i == STEP_COUNT)
            return NULL;
        steps[i].take(data);
        note(data, steps[i].name);
        text = json_dumps(item, JSON_COMPACT);
    }
    if (text != NULL)
        *ret_length = strlen(text);
    return text;
}
