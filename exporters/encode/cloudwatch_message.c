/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/cloudwatch_message.h"

#include "exporters/agent/log_event.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/hex.h"
#include "exporters/encode/json_quote.h"
#include "exporters/encode/utf8.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METRIC "\"_aws\""

static const char json_start[] = "{\"message\":";

enum { TAIL_SIZE = 1280, QUOTES = 2 };

/* What follows the text. */
struct tail {
    char text[TAIL_SIZE];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct tail *tail, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tail->length += (size_t)vsnprintf(tail->text + tail->length, TAIL_SIZE - tail->length, format, arguments);
    va_end(arguments);
}

static bool write_id(const uint8_t *id, size_t length, char *out)
{
    static const uint8_t none[16];

    hex_write(id, length, out);
    return memcmp(id, none, length) != 0;
}

static const char *stream_name(const struct log_event_record *record)
{
    switch (record->stream) {
    case WIRE_LOG_NONE:
        return "none";
    case WIRE_LOG_STDOUT:
        return "stdout";
    case WIRE_LOG_STDERR:
        return "stderr";
    case WIRE_LOG_SYSLOG:
        return "syslog";
    case LOG_EVENT_STREAM_REQUEST:
        return "request";
    case LOG_EVENT_STREAM_CRASH:
        return "crash";
    default:
        return "file";
    }
}

/* Syslog's severities; NULL: it is not known. */
static const char *level_name(const struct log_event_record *record)
{
    static const char *const names[] = {NULL,      "EMERGENCY", "ALERT", "CRITICAL", "ERROR",
                                        "WARNING", "NOTICE",    "INFO",  "DEBUG"};

    return record->severity < sizeof(names) / sizeof(names[0]) ? names[record->severity] : NULL;
}

/* The log's file, as JSON. */
static void add_path(struct tail *tail, struct slice path)
{
    char repaired[WIRE_LOG_PATH_MAX * UTF8_REPAIRED_MAX + 1];
    size_t length = utf8_repair(path.bytes, path.length, UINT32_MAX, repaired);
    json_t *text = json_stringn_nocheck(repaired, length);
    char *quoted = text != NULL ? json_dumps(text, JSON_ENCODE_ANY) : NULL;

    if (quoted != NULL)
        add(tail, ",\"path\":%s", quoted);
    free(quoted);
    json_decref(text);
}

static void write_json_tail(const struct cloudwatch_message *message, size_t left_out, struct tail *tail)
{
    const struct log_event_record *record = message->event->record;
    const char *level = level_name(record);
    char id[33];

    bool has_trace = write_id(record->trace_id, sizeof(record->trace_id), id);

    if (has_trace)
        add(tail, ",\"trace_id\":\"%s\"", id);
    if (has_trace && message->has_xray)
        add(tail, ",\"xray_trace_id\":\"1-%.8s-%s\"", id, id + 8);
    if (write_id(record->span_id, sizeof(record->span_id), id))
        add(tail, ",\"span_id\":\"%s\"", id);
    if (level != NULL)
        add(tail, ",\"level\":\"%s\"", level);
    add(tail, ",\"iostream\":\"%s\"", stream_name(record));
    if (message->event->path.length > 0)
        add_path(tail, message->event->path);
    if (message->part > 0)
        add(tail, ",\"part\":%u", message->part);
    if (left_out > 0)
        add(tail, ",\"bytes_left_out\":%zu", left_out);
    add(tail, "}");
}

static void write_plain_tail(const struct cloudwatch_message *message, size_t left_out, struct tail *tail)
{
    const struct log_event_record *record = message->event->record;
    char id[33];
    bool has_trace = write_id(record->trace_id, sizeof(record->trace_id), id);

    if (left_out > 0)
        add(tail, " [%zu bytes left out]", left_out);
    if (has_trace)
        add(tail, " trace_id=%s", id);
    if (has_trace && message->has_xray)
        add(tail, " xray_trace_id=1-%.8s-%s", id, id + 8);
}

static void write_tail(const struct cloudwatch_message *message, size_t left_out, struct tail *tail)
{
    tail->length = 0;
    if (message->is_plain)
        write_plain_tail(message, left_out, tail);
    else
        write_json_tail(message, left_out, tail);
}

/* Whole characters that are `most` bytes or less. */
static size_t plain_fits(struct slice text, size_t most)
{
    if (text.length <= most)
        return text.length;
    while (most > 0 && ((unsigned char)text.bytes[most] & 0xc0) == 0x80)
        most--;
    return most;
}

/* How much of the text there is room for beside that tail. */
static size_t fits(const struct cloudwatch_message *message, struct slice text, const struct tail *tail)
{
    size_t around = tail->length + (message->is_plain ? 0 : sizeof(json_start) - 1 + QUOTES);
    size_t most = message->room > around ? message->room - around : 0;
    uint32_t character;

    size_t taken = message->is_plain ? plain_fits(text, most) : json_quote_fits(text.bytes, text.length, most);
    return taken > 0 ? taken : utf8_decode(text.bytes, text.length, &character);
}

int cloudwatch_message_append(struct buffer *buffer, const struct cloudwatch_message *message, struct slice text,
                              size_t *ret_taken)
{
    size_t left_out = message->event->record->left_out;
    struct tail tail;
    int r;

    write_tail(message, left_out, &tail);
    size_t taken = fits(message, text, &tail);
    if (taken < text.length && message->is_cut) {
        write_tail(message, left_out + text.length, &tail); /* has no fewer digits than what it will be */
        taken = fits(message, text, &tail);
        write_tail(message, left_out + text.length - taken, &tail);
    }
    if (message->is_plain) {
        r = buffer_append(buffer, text.bytes, taken);
    } else {
        r = buffer_append(buffer, json_start, sizeof(json_start) - 1);
        r = r < 0 ? r : json_quote_append(buffer, text.bytes, taken);
    }
    if (r == 0)
        r = buffer_append(buffer, tail.text, tail.length);
    if (r == 0)
        *ret_taken = taken;
    return r;
}

bool cloudwatch_message_is_metric(struct slice text)
{
    if (text.length == 0 || text.bytes[0] != '{' || memmem(text.bytes, text.length, METRIC, strlen(METRIC)) == NULL)
        return false;
    json_t *object = json_loadb(text.bytes, text.length, 0, NULL);
    bool is_metric = json_is_object(json_object_get(object, "_aws"));

    json_decref(object);
    return is_metric;
}
