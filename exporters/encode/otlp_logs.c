/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/otlp_logs.h"

#include "exporters/agent/log_event.h"
#include "exporters/encode/otlp_envelope.h"
#include "exporters/encode/otlp_limits.h"
#include "exporters/encode/utf8.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    ATTRIBUTES_MAX = 7,                          /* a stream, two of a file (a program may claim both), four oddities */
    RECORD_OVERHEAD = 128 + ATTRIBUTES_MAX * 64, /* of its own fields and attributes, the long texts aside */
};

struct otlp_logs {
    struct otlp_envelope envelope;
    struct otlp_scope scope;
    const struct otlp_limits *limits;
    struct buffer body; /* of a record, repaired; so are the texts */
    struct buffer texts[ATTRIBUTES_MAX];
    Otlp__KeyValue pairs[ATTRIBUTES_MAX];
    Otlp__AnyValue values[ATTRIBUTES_MAX];
    Otlp__KeyValue *list[ATTRIBUTES_MAX];
};

/* A batch that is being encoded. */
struct encoding {
    struct otlp_logs *logs;
    const struct log_event *const *events;
};

struct otlp_logs *otlp_logs_new(const struct otlp_limits *limits)
{
    struct otlp_logs *logs = calloc(1, sizeof(*logs));

    if (logs == NULL)
        return NULL;
    logs->limits = limits;
    otlp_scope_init(&logs->scope, "spanshim.logs");
    otlp_envelope_init(&logs->envelope);
    for (size_t i = 0; i < ATTRIBUTES_MAX; i++) {
        otlp__key_value__init(&logs->pairs[i]);
        otlp__any_value__init(&logs->values[i]);
        logs->pairs[i].value = &logs->values[i];
        logs->list[i] = &logs->pairs[i];
    }
    return logs;
}

void otlp_logs_free(struct otlp_logs *logs)
{
    if (logs == NULL)
        return;
    otlp_envelope_deinit(&logs->envelope);
    buffer_deinit(&logs->body);
    for (size_t i = 0; i < ATTRIBUTES_MAX; i++)
        buffer_deinit(&logs->texts[i]);
    free(logs);
}

/* A text as valid UTF-8, ended by a NUL. */
static int repair(struct slice text, uint32_t max_characters, struct buffer *out)
{
    out->length = 0;
    int r = buffer_reserve(out, text.length * UTF8_REPAIRED_MAX + 1);
    if (r == 0)
        out->length = utf8_repair(text.bytes, text.length, max_characters, (char *)out->bytes);
    return r;
}

/* NULL: there may be no more. */
static Otlp__AnyValue *add(struct otlp_logs *logs, const char *key, Otlp__LogRecord *message)
{
    size_t n = message->n_attributes;

    if (n >= logs->limits->attribute_count) {
        message->dropped_attributes_count++;
        return NULL;
    }
    message->n_attributes++;
    logs->pairs[n].key = (char *)(uintptr_t)key;
    return &logs->values[n];
}

static int add_text(struct otlp_logs *logs, const char *key, struct slice text, Otlp__LogRecord *message)
{
    struct buffer *repaired = &logs->texts[message->n_attributes];
    Otlp__AnyValue *value = add(logs, key, message);
    int r = value != NULL ? repair(text, logs->limits->attribute_length, repaired) : 0;

    if (value == NULL || r < 0)
        return r;
    value->value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    value->string_value = (char *)repaired->bytes;
    return 0;
}

static void add_number(struct otlp_logs *logs, const char *key, int64_t number, Otlp__LogRecord *message)
{
    Otlp__AnyValue *value = add(logs, key, message);

    if (value == NULL)
        return;
    value->value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
    value->int_value = number;
}

static void add_true(struct otlp_logs *logs, const char *key, Otlp__LogRecord *message)
{
    Otlp__AnyValue *value = add(logs, key, message);

    if (value == NULL)
        return;
    value->value_case = OTLP__ANY_VALUE__VALUE_BOOL_VALUE;
    value->bool_value = 1;
}

static struct slice file_name(struct slice path)
{
    const char *slash = memrchr(path.bytes, '/', path.length);
    size_t skipped = slash != NULL ? (size_t)(slash + 1 - path.bytes) : 0;

    return (struct slice){path.bytes + skipped, path.length - skipped};
}

/* Where it was written to. */
static int add_source(struct otlp_logs *logs, const struct log_event *event, Otlp__LogRecord *message)
{
    static const struct {
        uint8_t stream;
        const char *key, *name;
    } streams[] = {{WIRE_LOG_STDOUT, "log.iostream", "stdout"},
                   {WIRE_LOG_STDERR, "log.iostream", "stderr"},
                   {WIRE_LOG_SYSLOG, "spanshim.log.source", "syslog"},
                   {LOG_EVENT_STREAM_REQUEST, "spanshim.log.source", "request"}};
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(streams) / sizeof(streams[0]); i++)
        if (event->record->stream == streams[i].stream)
            r = add_text(logs, streams[i].key, (struct slice){streams[i].name, strlen(streams[i].name)}, message);
    if (r == 0 && event->path.length > 0)
        r = add_text(logs, "log.file.path", event->path, message);
    if (r == 0 && event->path.length > 0)
        r = add_text(logs, "log.file.name", file_name(event->path), message);
    return r;
}

/* What is not whole about it. */
static void add_oddities(struct otlp_logs *logs, const struct log_event *event, Otlp__LogRecord *message)
{
    const struct log_event_record *record = event->record;

    if ((record->flags & LOG_EVENT_CUT) != 0)
        add_number(logs, "spanshim.log.left_out", record->left_out, message);
    if ((record->flags & LOG_EVENT_GAP) != 0)
        add_true(logs, "spanshim.log.gap", message);
    if ((record->flags & LOG_EVENT_NO_END) != 0)
        add_true(logs, "spanshim.log.no_end", message);
    if ((record->flags & LOG_EVENT_BINARY) != 0)
        add_true(logs, "spanshim.log.binary", message);
}

/* syslog's levels as the specification maps them. */
static void set_severity(const struct log_event *event, Otlp__LogRecord *message)
{
    static const struct {
        uint8_t number;
        const char *text;
    } levels[] = {{0, ""},      {21, "FATAL"}, {19, "ERROR3"}, {18, "ERROR2"}, {17, "ERROR"},
                  {13, "WARN"}, {10, "INFO2"}, {9, "INFO"},    {5, "DEBUG"}};
    uint8_t severity = event->record->severity;

    if (severity >= sizeof(levels) / sizeof(levels[0]))
        return;
    message->severity_number = levels[severity].number;
    message->severity_text = (char *)(uintptr_t)levels[severity].text;
}

static bool is_set(const uint8_t *id, size_t length)
{
    static const uint8_t zero[16];

    return memcmp(id, zero, length) != 0;
}

static void set_ids(const struct log_event_record *record, Otlp__LogRecord *message)
{
    if (!is_set(record->trace_id, sizeof(record->trace_id)))
        return;
    message->trace_id = (ProtobufCBinaryData){sizeof(record->trace_id), (uint8_t *)(uintptr_t)record->trace_id};
    if (is_set(record->span_id, sizeof(record->span_id)))
        message->span_id = (ProtobufCBinaryData){sizeof(record->span_id), (uint8_t *)(uintptr_t)record->span_id};
}

/* The shim saw it as it was written: it was observed when it happened. */
static int write_record(void *arg, size_t n)
{
    const struct encoding *encoding = arg;
    struct otlp_logs *logs = encoding->logs;
    const struct log_event *event = encoding->events[n];
    Otlp__AnyValue body = OTLP__ANY_VALUE__INIT;
    Otlp__LogRecord message = OTLP__LOG_RECORD__INIT;
    int r = repair(event->text, UINT32_MAX, &logs->body);

    if (r == 0)
        r = add_source(logs, event, &message);
    if (r < 0)
        return r;
    body.value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    body.string_value = (char *)logs->body.bytes;
    message.body = &body;
    message.time_unix_nano = message.observed_time_unix_nano = event->unix_ns;
    message.attributes = logs->list;
    set_severity(event, &message);
    set_ids(event->record, &message);
    add_oddities(logs, event, &message);
    return otlp_envelope_add(&logs->envelope, &message.base,
                             logs->body.length + 2 * UTF8_REPAIRED_MAX * event->path.length + RECORD_OVERHEAD);
}

static const struct process *process_of(const void *arg, size_t n)
{
    const struct encoding *encoding = arg;

    return encoding->events[n]->process;
}

static const struct otlp_scope *scope_of(const void *arg, size_t n)
{
    const struct encoding *encoding = arg;

    (void)n;
    return &encoding->logs->scope;
}

int otlp_logs_encode(struct otlp_logs *logs, const struct log_event *const *events, size_t event_count,
                     const uint8_t **ret_bytes, size_t *ret_length)
{
    struct encoding encoding = {.logs = logs, .events = events};
    const struct otlp_items items = {
        .count = event_count, .process_of = process_of, .scope_of = scope_of, .write = write_record, .arg = &encoding};

    return otlp_envelope_encode(&logs->envelope, &items, ret_bytes, ret_length);
}
