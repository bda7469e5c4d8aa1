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

static void drop_metadata(json_t *document)
{
    (void)json_object_del(document, "metadata");
}

/* Documents have one at most. */
static json_t *exception_of(const json_t *document)
{
    return json_array_get(json_object_get(json_object_get(document, "cause"), "exceptions"), 0);
}

static void keep_frames(json_t *document, size_t kept)
{
    json_t *exception = exception_of(document), *stack = json_object_get(exception, "stack");
    size_t count = json_array_size(stack);
    json_int_t truncated = json_integer_value(json_object_get(exception, "truncated"));

    if (count <= kept)
        return;
    while (json_array_size(stack) > kept)
        (void)json_array_remove(stack, kept);
    json_set(exception, "truncated", json_integer(truncated + (json_int_t)(count - kept)));
    if (kept == 0)
        (void)json_object_del(exception, "stack");
}

static void keep_ten_frames(json_t *document)
{
    keep_frames(document, FRAMES_KEPT);
}

static void drop_stack(json_t *document)
{
    keep_frames(document, 0);
}

static void cut_message(json_t *document)
{
    json_t *exception = exception_of(document);
    const char *message = json_text_of(exception, "message");

    if (message != NULL)
        json_set(exception, "message", xray_text((struct slice){message, strlen(message)}, XRAY_STRING_MAX));
}

static void drop_annotations(json_t *document)
{
    (void)json_object_del(document, "annotations");
}

/* Only these members stay. */
static void keep(json_t *object, const char *const *kept)
{
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
}

static void keep_least_of_request(json_t *document)
{
    static const char *const kept[] = {"method", "url", NULL};

    keep(json_object_get(json_object_get(document, "http"), "request"), kept);
}

static void drop_others(json_t *document)
{
    static const char *const kept[] = {"name",      "id",         "trace_id", "parent_id",   "type",
                                       "namespace", "start_time", "end_time", "error",       "throttle",
                                       "fault",     "http",       "metadata", "in_progress", NULL};
    static const char *const kept_of_http[] = {"response", NULL};

    keep(document, kept);
    keep(json_object_get(document, "http"), kept_of_http);
}

static const struct {
    const char *name;
    void (*take)(json_t *document);
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

int xray_shed_write(json_t *document, size_t max, struct buffer *payload, json_t *alone)
{
    size_t start = payload->length, step = 0;
    json_t *taken = json_array();
    int r = write_line(document, payload);

    while (r == 0 && payload->length - start > max + 1) {
        payload->length = start;
        if (!set_apart(document, alone)) {
            if (step == STEP_COUNT) {
                r = -EMSGSIZE;
                break;
            }
            steps[step].take(document);
            note(document, taken, steps[step++].name);
        }
        r = write_line(document, payload);
    }
    if (r < 0)
        payload->length = start;
    json_decref(taken);
    return r;
}
