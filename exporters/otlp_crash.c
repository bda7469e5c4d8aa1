/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/otlp_crash.h"

#include "exporters/crash/report.h"
#include "exporters/crash/stack_text.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/hex.h"
#include "exporters/encode/json_access.h"
#include "exporters/encode/otlp_limits.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS_MAX = 10, STACK_MAX = 64 << 10, SEVERITY_FATAL = 21, ID_MAX = 16 };

struct pairs {
    const struct otlp_limits *limits; /* NULL: a resource has none */
    Otlp__KeyValue pairs[PAIRS_MAX];
    Otlp__AnyValue values[PAIRS_MAX];
    Otlp__KeyValue *list[PAIRS_MAX];
    char *cut[PAIRS_MAX]; /* texts that were too long */
    size_t count;
    uint32_t dropped_count;
};

/* NULL: there may be no more. */
static Otlp__AnyValue *add(struct pairs *pairs, const char *key)
{
    size_t n = pairs->count;

    if (pairs->limits != NULL && n >= pairs->limits->attribute_count) {
        pairs->dropped_count++;
        return NULL;
    }
    pairs->count++;
    otlp__key_value__init(&pairs->pairs[n]);
    otlp__any_value__init(&pairs->values[n]);
    pairs->pairs[n].key = (char *)(uintptr_t)key;
    pairs->pairs[n].value = &pairs->values[n];
    pairs->list[n] = &pairs->pairs[n];
    return &pairs->values[n];
}

/* NULL is left out. */
static void add_text(struct pairs *pairs, const char *key, const char *text)
{
    char **cut = &pairs->cut[pairs->count];
    Otlp__AnyValue *value = text != NULL ? add(pairs, key) : NULL;

    if (value == NULL)
        return;
    if (pairs->limits != NULL)
        text = otlp_limits_cut(pairs->limits, text, cut);
    value->value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    value->string_value = (char *)(uintptr_t)text;
}

static void free_texts(struct pairs *pairs)
{
    for (size_t i = 0; i < PAIRS_MAX; i++)
        free(pairs->cut[i]);
}

static void add_resource(struct pairs *pairs, const json_t *report)
{
    static const struct {
        const char *object, *key, *attribute;
    } rows[] = {{"service", "name", "service.name"},
                {"service", "version", "service.version"},
                {"service", "namespace", "service.namespace"},
                {"service", "instance_id", "service.instance.id"},
                {"service", "environment", "deployment.environment.name"},
                {"host", "name", "host.name"},
                {"process", "executable", "process.executable.path"}};
    const json_t *pid = json_object_get(json_object_get(report, "process"), "pid");

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        add_text(pairs, rows[i].attribute, json_text_of(json_object_get(report, rows[i].object), rows[i].key));
    Otlp__AnyValue *value = json_is_integer(pid) ? add(pairs, "process.pid") : NULL;
    if (value != NULL) {
        value->value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
        value->int_value = json_integer_value(pid);
    }
}

static void add_exception(struct pairs *pairs, const json_t *report, const char *stack)
{
    const json_t *exception = json_object_get(report, "exception");
    const char *type = json_text_of(exception, "class");
    const char *message = json_text_of(exception, "message");

    add_text(pairs, "exception.type", type ? type : json_text_of(json_object_get(report, "signal"), "name"));
    add_text(pairs, "exception.message", message ? message : json_text_of(report, "title"));
    add_text(pairs, "exception.stacktrace", stack != NULL && stack[0] != '\0' ? stack : NULL);
    add_text(pairs, "app.crash.id", json_text_of(report, "uuid"));
}

/* None where the digits are not an id of so many bytes. */
static ProtobufCBinaryData read_id(const char *digits, size_t size, uint8_t id[ID_MAX])
{
    return hex_read(digits, size, id) ? (ProtobufCBinaryData){.len = size, .data = id} : (ProtobufCBinaryData){0};
}

static int pack(const json_t *report, Otlp__LogRecord *record, struct buffer *out)
{
    struct pairs pairs = {0};
    Otlp__InstrumentationScope scope = OTLP__INSTRUMENTATION_SCOPE__INIT;
    Otlp__Resource resource = OTLP__RESOURCE__INIT;
    Otlp__ScopeLogs scope_logs = OTLP__SCOPE_LOGS__INIT;
    Otlp__ResourceLogs resource_logs = OTLP__RESOURCE_LOGS__INIT;
    Otlp__ExportLogsServiceRequest request = OTLP__EXPORT_LOGS_SERVICE_REQUEST__INIT;

    add_resource(&pairs, report);
    resource.attributes = pairs.list;
    resource.n_attributes = pairs.count;
    scope.name = (char *)"spanshim.crash";
    scope.version = (char *)SPANSHIM_VERSION;
    scope_logs.scope = &scope;
    scope_logs.log_records = &record;
    scope_logs.n_log_records = 1;
    resource_logs.resource = &resource;
    resource_logs.scope_logs = (Otlp__ScopeLogs *[]){&scope_logs};
    resource_logs.n_scope_logs = 1;
    request.resource_logs = (Otlp__ResourceLogs *[]){&resource_logs};
    request.n_resource_logs = 1;

    int r = buffer_reserve(out, otlp__export_logs_service_request__get_packed_size(&request));
    if (r == 0)
        out->length += otlp__export_logs_service_request__pack(&request, out->bytes + out->length);
    return r;
}

int otlp_crash_encode(const json_t *report, uint64_t now_unix_ns, const struct otlp_limits *limits, struct buffer *out)
{
    const json_t *request = json_object_get(report, "request");
    const char *title = json_text_of(report, "title");
    uint8_t trace_id[ID_MAX], span_id[ID_MAX];
    struct pairs pairs = {.limits = limits};
    Otlp__AnyValue body = OTLP__ANY_VALUE__INIT;
    Otlp__LogRecord record = OTLP__LOG_RECORD__INIT;

    if (!report_is_crash(report))
        return -ENOTSUP;
    /* The crashed thread stands first. */
    char *stack = stack_text_new(json_array_get(json_object_get(report, "threads"), 0), "", STACK_MAX);
    add_exception(&pairs, report, stack);
    body.value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    body.string_value = (char *)(uintptr_t)(title ? title : "");
    record.body = &body;
    record.event_name = (char *)"app.crash";
    record.severity_number = SEVERITY_FATAL;
    record.severity_text = (char *)"FATAL";
    record.time_unix_nano = (uint64_t)json_integer_value(json_object_get(report, "time_unix_ns"));
    record.observed_time_unix_nano = now_unix_ns;
    record.trace_id = read_id(json_text_of(request, "trace_id"), 16, trace_id);
    if (record.trace_id.len > 0)
        record.span_id = read_id(json_text_of(request, "span_id"), 8, span_id);
    record.attributes = pairs.list;
    record.n_attributes = pairs.count;
    record.dropped_attributes_count = pairs.dropped_count;
    int r = pack(report, &record, out);
    free_texts(&pairs);
    free(stack);
    return r;
}
