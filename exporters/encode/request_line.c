/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/request_line.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/span.h"
#include "exporters/agent/zone.h"
#include "exporters/encode/address.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/json_text.h"
#include "exporters/encode/reason_phrase.h"
#include "preload/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* An escaped byte takes four; beside the record's texts stand a time, an address, a status and its phrase. */
enum { LINE_MAX_LENGTH = 4 * WIRE_RECORD_MAX + 512 };

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* what a line says */

static struct slice method_of(const struct span *span)
{
    return span->method_original.length > 0 ? span->method_original : span->method;
}

static const char *scheme_of(const struct span *span)
{
    return span->request->flags & WIRE_REQUEST_HTTPS ? "https" : "http";
}

/* Whoever a proxy says it is, else the peer, which nginx calls so where it has no address. */
static struct slice client_of(const struct span *span, char text[ADDRESS_SIZE])
{
    static const struct slice local = {"unix:", 5};
    struct slice client = address_client(span, text);

    return client.length == 0 && span->request->peer.family == WIRE_FAMILY_UNIX ? local : client;
}

/* Of a captured header: the value. */
static struct slice header_of(const struct span *span, const char *name)
{
    size_t length = strlen(name);

    for (uint32_t i = 0; i < span->request_header_count; i++) {
        struct slice line = span->request_headers[i];

        if (line.length <= length || line.bytes[length] != ':' || strncasecmp(line.bytes, name, length) != 0)
            continue;
        for (length++; length < line.length && line.bytes[length] == ' ';)
            length++;
        return (struct slice){line.bytes + length, line.length - length};
    }
    return (struct slice){0};
}

/* lines of text */

/* A line on its way; `at` never passes `end`. */
struct line {
    char *at, *end;
};

static void put(struct line *line, const char *text)
{
    size_t length = strlen(text);

    if ((size_t)(line->end - line->at) >= length)
        line->at = mempcpy(line->at, text, length);
}

enum quoting { QUOTED, BARE /* a field of its own: no blank either */ };

static void put_escaped(struct line *line, struct slice text, enum quoting quoting)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.length && line->end - line->at >= 4; i++) {
        unsigned char byte = (unsigned char)text.bytes[i];

        if (byte > (quoting == BARE ? ' ' : ' ' - 1) && byte < 0x7f && byte != '"' && byte != '\\') {
            *line->at++ = (char)byte;
            continue;
        }
        *line->at++ = '\\';
        *line->at++ = 'x';
        *line->at++ = digits[byte >> 4];
        *line->at++ = digits[byte & 15];
    }
}

/* The text, or "-". */
static void put_field(struct line *line, struct slice text, enum quoting quoting)
{
    if (text.length > 0)
        put_escaped(line, text, quoting);
    else
        put(line, "-");
}

static void put_short_time(struct line *line, const struct tm *when)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "[%d-%s-%02d %02d:%02d] ", when->tm_year + 1900, months[when->tm_mon],
                   when->tm_mday, when->tm_hour, when->tm_min);
    put(line, text);
}

/* "404 Not Found"; without an answer what went wrong. */
static void put_status(struct line *line, const struct span *span)
{
    const char *phrase = reason_phrase(span->request->status);
    char text[16], code[8];

    if (span->request->status == 0) {
        put(line, "- ");
        put_field(line, span_error_type(span, code), BARE);
        return;
    }
    (void)snprintf(text, sizeof(text), "%u", span->request->status);
    put(line, text);
    put(line, phrase ? " " : "");
    put(line, phrase ? phrase : "");
}

static void write_short(struct line *line, const struct span *span)
{
    struct tm when = zone_local_time(span->process->zone, span->end_unix_ns);
    char address[ADDRESS_SIZE];

    put_short_time(line, &when);
    put_field(line, client_of(span, address), BARE);
    put(line, " ");
    put_field(line, method_of(span), BARE);
    put(line, " ");
    put(line, scheme_of(span));
    put(line, " ");
    put_escaped(line, span->text[WIRE_TEXT_PATH], BARE);
    put(line, "?");
    put_escaped(line, span->text[WIRE_TEXT_QUERY], BARE);
    put(line, " ");
    put_status(line, span);
}

static void put_common_time(struct line *line, const struct tm *when)
{
    long minutes = when->tm_gmtoff / 60, magnitude = minutes < 0 ? -minutes : minutes;
    char text[96];

    (void)snprintf(text, sizeof(text), " [%02d/%s/%d:%02d:%02d:%02d %c%02ld%02ld] ", when->tm_mday,
                   months[when->tm_mon], when->tm_year + 1900, when->tm_hour, when->tm_min, when->tm_sec,
                   minutes < 0 ? '-' : '+', magnitude / 60, magnitude % 60);
    put(line, text);
}

static const char *protocol_of(const struct wire_request *request)
{
    switch (request->version) {
    case 10:
        return " HTTP/1.0";
    case 11:
        return " HTTP/1.1";
    case 20:
        return " HTTP/2.0";
    case 30:
        return " HTTP/3.0";
    }
    return "";
}

static void put_request_line(struct line *line, const struct span *span)
{
    put(line, "\"");
    put_field(line, method_of(span), BARE);
    put(line, " ");
    put_field(line, span->text[WIRE_TEXT_PATH], BARE);
    if (span->text[WIRE_TEXT_QUERY].length > 0) {
        put(line, "?");
        put_escaped(line, span->text[WIRE_TEXT_QUERY], BARE);
    }
    put(line, protocol_of(span->request));
    put(line, "\"");
}

static void put_result(struct line *line, const struct wire_request *request)
{
    char status[16] = "-", bytes[32] = "-", text[64];

    if (request->status != 0)
        (void)snprintf(status, sizeof(status), "%u", request->status);
    if (request->flags & WIRE_REQUEST_RESPONSE_BODY_SEEN)
        (void)snprintf(bytes, sizeof(bytes), "%" PRIu64, request->response_body_size);
    (void)snprintf(text, sizeof(text), " %s %s ", status, bytes);
    put(line, text);
}

static void put_quoted(struct line *line, struct slice text)
{
    put(line, "\"");
    put_field(line, text, QUOTED);
    put(line, "\"");
}

static void write_combined(struct line *line, const struct span *span)
{
    struct tm when = zone_local_time(span->process->zone, span->end_unix_ns);
    char address[ADDRESS_SIZE];

    put_field(line, client_of(span, address), BARE);
    put(line, " - ");
    put_field(line, span->text[WIRE_TEXT_USER], BARE);
    put_common_time(line, &when);
    put_request_line(line, span);
    put_result(line, span->request);
    put_quoted(line, header_of(span, "referer"));
    put(line, " ");
    put_quoted(line, span->text[WIRE_TEXT_USER_AGENT]);
}

/* JSON */

static void set_slice(json_t *object, const char *key, struct slice text)
{
    json_set_text(object, key, text.bytes, text.length);
}

static void set_constant(json_t *object, const char *key, const char *text)
{
    (void)json_object_set_new(object, key, json_string(text));
}

static void set_number(json_t *object, const char *key, uint64_t number)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)number));
}

static void set_time(json_t *object, uint64_t unix_ns)
{
    time_t seconds = (time_t)(unix_ns / NS_PER_S);
    struct tm utc = {0};
    char text[96];

    (void)gmtime_r(&seconds, &utc);
    (void)snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                   utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int)(unix_ns % NS_PER_S / 1000));
    set_constant(object, "time", text);
}

static void add_request(json_t *object, const struct span *span)
{
    char address[ADDRESS_SIZE];

    set_slice(object, "client", client_of(span, address));
    set_slice(object, "user", span->text[WIRE_TEXT_USER]);
    set_slice(object, "method", method_of(span));
    set_constant(object, "scheme", scheme_of(span));
    set_slice(object, "host", span->text[WIRE_TEXT_SERVER_ADDRESS]);
    set_slice(object, "path", span->text[WIRE_TEXT_PATH]);
    set_slice(object, "query", span->text[WIRE_TEXT_QUERY]);
    set_slice(object, "route", span->route);
    set_slice(object, "referer", header_of(span, "referer"));
    set_slice(object, "user_agent", span->text[WIRE_TEXT_USER_AGENT]);
}

static void add_outcome(json_t *object, const struct span *span)
{
    const struct wire_request *request = span->request;
    char code[8];

    if (request->status != 0)
        set_number(object, "status", request->status);
    set_slice(object, "error", span_error_type(span, code));
    if (request->flags & WIRE_REQUEST_RESPONSE_BODY_SEEN)
        set_number(object, "bytes", request->response_body_size);
    (void)json_object_set_new(object, "duration", json_real((double)(span->end_unix_ns - span->start_unix_ns) / 1e9));
}

static void add_trace(json_t *object, const struct span *span)
{
    const struct wire_request *request = span->request;

    json_set_id(object, "trace_id", request->trace_id, sizeof(request->trace_id));
    json_set_id(object, "span_id", request->span_id, sizeof(request->span_id));
    json_set_id(object, "parent_span_id", request->parent_span_id, sizeof(request->parent_span_id));
    (void)json_object_set_new(object, "sampled", json_boolean(request->flags & WIRE_REQUEST_SAMPLED));
    (void)json_object_set_new(object, "xray_sampled", json_boolean(request->flags & WIRE_REQUEST_XRAY_SAMPLED));
}

static int append_part(const char *bytes, size_t length, void *buffer)
{
    return buffer_append(buffer, bytes, length);
}

static int append_json(struct buffer *buffer, const struct span *span)
{
    const struct resource *resource = span->process->resource;
    size_t length = buffer->length;
    json_t *object = json_object();

    set_time(object, span->end_unix_ns);
    if (resource)
        set_constant(object, "service", resource->service_name);
    add_request(object, span);
    add_outcome(object, span);
    add_trace(object, span);
    int r = object && json_dump_callback(object, append_part, buffer, JSON_COMPACT | JSON_REAL_PRECISION(9)) == 0
                ? 0
                : -ENOMEM;
    json_decref(object);
    if (r < 0)
        buffer->length = length;
    return r;
}

int request_line_append(struct buffer *buffer, const struct span *span, enum request_line_format format)
{
    if (format == REQUEST_LINE_JSON)
        return append_json(buffer, span);

    int r = buffer_reserve(buffer, LINE_MAX_LENGTH);
    if (r < 0)
        return r;
    char *start = (char *)buffer->bytes + buffer->length;
    struct line line = {.at = start, .end = start + LINE_MAX_LENGTH};
    if (format == REQUEST_LINE_COMBINED)
        write_combined(&line, span);
    else
        write_short(&line, span);
    buffer->length += (size_t)(line.at - start);
    return 0;
}
