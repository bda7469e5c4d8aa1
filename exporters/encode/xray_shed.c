/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/xray_shed.h"

#include "exporters/encode/buffer.h"
#include "exporters/encode/json_access.h"
#include "exporters/encode/xray_text.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
    FRAMES_KEPT = 10,
    /* Of a time: ten digits of seconds, six behind the point. */
    FLAGS = JSON_COMPACT | JSON_REAL_PRECISION(16),
};

struct writer {
    struct buffer *out;
    int result;
};

static int append(const char *bytes, size_t length, void *arg)
{
    struct writer *writer = arg;

    writer->result = buffer_append(writer->out, bytes, length);
    return writer->result;
}

/* jansson itself fails only for want of memory: there are no numbers that JSON can't have, and no loops. */
static int write_line(const json_t *document, struct buffer *payload)
{
    struct writer writer = {.out = payload};

    if (json_dump_callback(document, append, &writer, FLAGS) < 0)
        return writer.result < 0 ? writer.result : -ENOMEM;
    return buffer_append(payload, "\n", 1);
}

/* The newest embedded subsegment becomes a document of its own. False: there is none. */
static bool set_apart(json_t *document, json_t *alone)
{
    json_t *subsegments = json_object_get(document, "subsegments");
    size_t count = json_array_size(subsegments);

    if (count == 0 || json_array_append(alone, json_array_get(subsegments, count - 1)) < 0)
        return false;
    (void)json_array_remove(subsegments, count - 1);
    if (count == 1)
        (void)json_object_del(document, "subsegments");
    return true;
}

static bool drop_metadata(json_t *document)
{
    return json_object_del(document, "metadata") == 0;
}

/* Documents have one at most. */
static json_t *exception_of(const json_t *document)
{
    return json_array_get(json_object_get(json_object_get(document, "cause"), "exceptions"), 0);
}

static bool keep_frames(json_t *document, size_t kept)
{
    json_t *exception = exception_of(document), *stack = json_object_get(exception, "stack");
    size_t count = json_array_size(stack);
    json_int_t truncated = json_integer_value(json_object_get(exception, "truncated"));

    if (count <= kept)
        return false;
    while (json_array_size(stack) > kept)
        (void)json_array_remove(stack, kept);
    json_set(exception, "truncated", json_integer(truncated + (json_int_t)(count - kept)));
    if (kept == 0)
        (void)json_object_del(exception, "stack");
    return true;
}

static bool keep_ten_frames(json_t *document)
{
    return keep_frames(document, FRAMES_KEPT);
}

static bool drop_stack(json_t *document)
{
    return keep_frames(document, 0);
}

static bool cut_message(json_t *document)
{
    json_t *exception = exception_of(document), *message = json_object_get(exception, "message");
    struct slice text = {json_string_value(message), json_string_length(message)};
    json_t *cut = xray_text(text, XRAY_STRING_MAX);
    bool is_shorter = json_string_length(cut) < text.length;

    if (is_shorter)
        json_set(exception, "message", json_incref(cut));
    json_decref(cut);
    return is_shorter;
}

static bool drop_annotations(json_t *document)
{
    return json_object_del(document, "annotations") == 0;
}

/* Only these members stay. False: there are no others. */
static bool keep(json_t *object, const char *const *kept)
{
    size_t size = json_object_size(object);
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(object, next, key, value)
    {
        const char *const *found = kept;

        while (*found != NULL && strcmp(*found, key) != 0)
            found++;
        if (*found == NULL)
            (void)json_object_del(object, key);
    }
    return json_object_size(object) < size;
}

/* The same of an object within one, which goes when it is empty then: the schema has no empty ones. */
static bool keep_in(json_t *object, const char *key, const char *const *kept)
{
    json_t *inner = json_object_get(object, key);
    bool is_shorter = keep(inner, kept);

    if (json_object_size(inner) == 0)
        (void)json_object_del(object, key);
    return is_shorter;
}

static bool keep_least_of_request(json_t *document)
{
    static const char *const kept[] = {"method", "url", NULL};

    return keep_in(json_object_get(document, "http"), "request", kept);
}

static bool drop_others(json_t *document)
{
    static const char *const kept[] = {"name",      "id",         "trace_id", "parent_id",   "type",
                                       "namespace", "start_time", "end_time", "in_progress", "error",
                                       "throttle",  "fault",      "http",     "metadata",    NULL};
    static const char *const kept_of_http[] = {"response", NULL};
    bool is_shorter = keep(document, kept);

    return keep_in(document, "http", kept_of_http) || is_shorter;
}

static const struct {
    const char *name;
    bool (*take)(json_t *document); /* false: there was nothing to be shed */
} steps[] = {
    {"metadata", drop_metadata}, {"stack_10", keep_ten_frames},     {"stack", drop_stack},
    {"message", cut_message},    {"annotations", drop_annotations}, {"request", keep_least_of_request},
    {"others", drop_others},
};
enum { STEP_COUNT = sizeof(steps) / sizeof(steps[0]) };

static json_t *object_in(json_t *object, const char *key)
{
    if (json_object_get(object, key) == NULL)
        json_set(object, key, json_object());
    return json_object_get(object, key);
}

static void note(json_t *document, json_t *taken, const char *step)
{
    (void)json_array_append_new(taken, json_string(step));
    (void)json_object_set(object_in(object_in(document, "metadata"), "default"), "spanshim.shed", taken);
}

/* One more thing goes. 0, or -EMSGSIZE: nothing is left that could. */
static int shed_more(json_t *document, json_t *alone, size_t *step, json_t *taken)
{
    if (set_apart(document, alone))
        return 0;
    while (*step < STEP_COUNT) {
        size_t i = (*step)++;

        if (steps[i].take(document)) {
            note(document, taken, steps[i].name);
            return 0;
        }
    }
    return -EMSGSIZE;
}

int xray_shed_write(json_t *document, size_t max, struct buffer *payload, json_t *alone)
{
    size_t start = payload->length, step = 0;
    json_t *taken = json_array();
    int r = write_line(document, payload);

    while (r == 0 && payload->length - start > max + 1) {
        payload->length = start;
        r = shed_more(document, alone, &step, taken);
        if (r == 0)
            r = write_line(document, payload);
    }
    if (r < 0)
        payload->length = start;
    json_decref(taken);
    return r;
}
