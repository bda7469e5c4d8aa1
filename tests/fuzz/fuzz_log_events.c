/* SPDX-License-Identifier: Apache-2.0 */
/* Events of logs as they are sent: to CloudWatch Logs within what it takes, by OTLP as protobuf and JSON. Input: a byte
 * of options, one for how long an event may be, then events, each with four bytes: whose it is and what is known of it,
 * the time since the one before, and the lengths of its path and its text, which follow. Whatever comes, no text is
 * lost. */
#include "exporters/agent/log_event.h"
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/cloudwatch_events.h"
#include "exporters/encode/cloudwatch_message.h"
#include "exporters/encode/otlp_json.h"
#include "exporters/encode/otlp_limits.h"
#include "exporters/encode/otlp_logs.h"
#include "exporters/encode/utf8.h"
#include "otlp.pb-c.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { EVENTS_MAX = 64, HEAD = 4, TEXT_MAX = 16 * 255, EVENT_LEAST = 2048 };

static const uint64_t step_ns = UINT64_C(3600) * 1000000000;
static const char limit_start[] = "spanshim: the limit"; /* no event of the input: it says that some are left out */
static struct process processes[2] = {{.pid = 1}, {.pid = 2}};

/* What the input says. */
struct batch {
    struct log_event events[EVENTS_MAX];
    const struct log_event *list[EVENTS_MAX];
    void *entries[EVENTS_MAX]; /* as they stand in a journal */
    size_t count;
    size_t text_length; /* of all texts, repaired; but for metrics, which go as they are */
};

static void add_text_length(struct batch *batch, struct slice text)
{
    char *repaired = malloc(text.length * UTF8_REPAIRED_MAX + 1);

    FUZZ_CHECK(repaired != NULL);
    size_t length = utf8_repair(text.bytes, text.length, UINT32_MAX, repaired);
    if (!cloudwatch_message_is_metric((struct slice){repaired, length}))
        batch->text_length += length;
    free(repaired);
}

/* One event out of a block of just its size. */
static void add_event(struct batch *batch, const uint8_t head[HEAD], struct slice path, struct slice text)
{
    size_t size = sizeof(struct log_event_record) + path.length + text.length;
    struct log_event_record *record = malloc(size);
    struct log_event *event = &batch->events[batch->count];
    uint64_t before_ns = batch->count > 0 ? event[-1].record->mono_ns : 0;

    FUZZ_CHECK(record != NULL);
    *record = (struct log_event_record){.header = {.type = WIRE_RECORD_LOG, .pad = (uint32_t)text.length},
                                        .mono_ns = before_ns + head[1] * step_ns,
                                        .trace_id = {head[0] & 1},
                                        .span_id = {head[0] >> 1 & 1},
                                        .stream = head[0] >> 4,
                                        .severity = head[0] % 11,
                                        .flags = head[0] >> 2 & 15,
                                        .left_out = head[1],
                                        .path_length = (uint32_t)path.length};
    memcpy(record + 1, path.bytes, path.length);
    memcpy((char *)(record + 1) + path.length, text.bytes, text.length);
    FUZZ_CHECK(log_event_parse(&processes[head[0] & 1], record, size, event) == 0);
    add_text_length(batch, text);
    batch->entries[batch->count] = record;
    batch->list[batch->count++] = event;
}

static void read_batch(struct batch *batch, const uint8_t *data, size_t size)
{
    while (size >= HEAD && batch->count < EVENTS_MAX) {
        const uint8_t *head = data;
        size_t path = head[2] % (WIRE_LOG_PATH_MAX + 1), text = head[3] * (size_t)16;

        data += HEAD;
        size -= HEAD;
        path = path < size ? path : size;
        text = text < size - path ? text : size - path;
        add_event(batch, head, (struct slice){(const char *)data, path},
                  (struct slice){(const char *)data + path, text});
        data += path + text;
        size -= path + text;
    }
}

/* Returns the length of the text in it. */
static size_t check_message(const json_t *event, const struct cloudwatch_options *options)
{
    const json_t *message = json_object_get(event, "message");
    size_t length = json_string_length(message);

    FUZZ_CHECK(length > 0 && length + CLOUDWATCH_EVENT_EXTRA <= options->event_max);
    if (options->is_plain || strncmp(json_string_value(message), limit_start, strlen(limit_start)) == 0)
        return 0;
    json_t *object = json_loadb(json_string_value(message), length, JSON_REJECT_DUPLICATES, NULL);
    FUZZ_CHECK(json_is_object(object));
    bool is_metric = json_object_get(object, "iostream") == NULL;
    size_t text = is_metric ? 0 : json_string_length(json_object_get(object, "message"));
    json_decref(object);
    return text;
}

static size_t check_call(const char *body, size_t length, size_t count, const struct cloudwatch_options *options)
{
    json_t *call = json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL);
    const json_t *events = json_object_get(call, "logEvents"), *event;
    json_int_t first = 0, last = 0;
    size_t n, text = 0, bytes = 0;

    FUZZ_CHECK(json_array_size(events) == count && count > 0 && count <= CLOUDWATCH_CALL_EVENTS_MAX);
    FUZZ_CHECK(json_string_length(json_object_get(call, "logStreamName")) > 0);
    json_array_foreach(events, n, event)
    {
        json_int_t ms = json_integer_value(json_object_get(event, "timestamp"));

        first = n == 0 ? ms : first;
        FUZZ_CHECK(n == 0 || ms >= last);
        last = ms;
        bytes += json_string_length(json_object_get(event, "message")) + CLOUDWATCH_EVENT_EXTRA;
        text += check_message(event, options);
    }
    FUZZ_CHECK(last - first <= CLOUDWATCH_CALL_SPAN_MS && bytes <= CLOUDWATCH_CALL_BYTES_MAX);
    json_decref(call);
    return text;
}

static void check_cloudwatch(const struct batch *batch, const struct cloudwatch_options *options, uint64_t room_bytes)
{
    struct cloudwatch_room room = {.bytes = room_bytes};
    struct buffer payload = {0};
    size_t text = 0, length;

    FUZZ_CHECK(cloudwatch_events_append(batch->list, batch->count, options, &room, &payload) == 0);
    for (size_t at = 0; at < payload.length; at += length + 1) {
        const char *line = (const char *)payload.bytes + at;
        const char *line_end = memchr(line, '\n', payload.length - at);
        char *body;
        size_t count = strtoull(line, &body, 10);

        FUZZ_CHECK(line_end != NULL && body > line && body <= line_end);
        length = (size_t)(line_end - line);
        if (body < line_end)
            text += check_call(body, (size_t)(line_end - body), count, options);
    }
    if (room_bytes == UINT64_MAX && !options->is_plain && !options->is_cut)
        FUZZ_CHECK(text == batch->text_length);
    buffer_deinit(&payload);
}

static void check_otlp(const struct batch *batch, const struct otlp_limits *limits)
{
    struct otlp_logs *logs = otlp_logs_new(limits);
    struct buffer json = {0};
    const uint8_t *bytes;
    size_t length, found = 0;

    FUZZ_CHECK(logs != NULL && otlp_logs_encode(logs, batch->list, batch->count, &bytes, &length) == 0);
    Otlp__ExportLogsServiceRequest *request = otlp__export_logs_service_request__unpack(NULL, length, bytes);
    FUZZ_CHECK(request != NULL);
    for (size_t i = 0; i < request->n_resource_logs; i++)
        for (size_t k = 0; k < request->resource_logs[i]->n_scope_logs; k++)
            found += request->resource_logs[i]->scope_logs[k]->n_log_records;
    FUZZ_CHECK(found == batch->count);
    FUZZ_CHECK(otlp_json_append(&json, &otlp__export_logs_service_request__descriptor, bytes, length) == 0);
    json_t *object = json_loadb((const char *)json.bytes, json.length, JSON_REJECT_DUPLICATES, NULL);
    FUZZ_CHECK(json_is_object(object));
    json_decref(object);
    buffer_deinit(&json);
    otlp__export_logs_service_request__free_unpacked(request, NULL);
    otlp_logs_free(logs);
}

static void describe_processes(void)
{
    struct settings *settings = settings_new(NULL, 0, NULL);
    struct resource *resource = resource_new(&(struct resource_facts){.executable = "/x"}, settings);

    FUZZ_CHECK(resource != NULL);
    processes[0].resource = processes[1].resource = resource;
    settings_unref(settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch batch = {0};

    if (processes[0].resource == NULL)
        describe_processes();
    if (size < 2)
        return 0;
    const struct cloudwatch_options options = {.group = "g",
                                               .stream = data[0] & 8 ? "{pid}" : "{pid}-{strftime:%d}",
                                               .is_plain = data[0] & 1,
                                               .is_cut = data[0] >> 1 & 1,
                                               .has_xray = data[0] >> 2 & 1,
                                               .event_max = EVENT_LEAST + data[1] * (size_t)16};
    const struct otlp_limits limits = {.attribute_count = data[0] % 16, .attribute_length = data[1]};
    read_batch(&batch, data + 2, size - 2);
    check_cloudwatch(&batch, &options, UINT64_MAX);
    check_cloudwatch(&batch, &options, data[1] * (uint64_t)64);
    if (batch.count > 0)
        check_otlp(&batch, &limits);
    for (size_t i = 0; i < batch.count; i++)
        free(batch.entries[i]);
    return 0;
}
