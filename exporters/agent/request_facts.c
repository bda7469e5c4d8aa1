/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/request_facts.h"

#include "exporters/agent/journal.h"
#include "exporters/agent/process.h"
#include "exporters/agent/recent.h"
#include "exporters/agent/source.h"
#include "exporters/agent/span.h"
#include "exporters/encode/address.h"
#include "exporters/encode/json_access.h"
#include "exporters/encode/json_text.h"
#include "exporters/encode/url.h"
#include "exporters/encode/utf8.h"
#include "preload/wire.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { OPEN_REQUESTS_MAX = 32, HEADER_NAME_MAX = 256 };

static void set_slice(json_t *object, const char *key, struct slice slice)
{
    json_set_text(object, key, slice.bytes, slice.length);
}

static void add_header(json_t *headers, struct slice header)
{
    const char *colon = memchr(header.bytes, ':', header.length), *end = header.bytes + header.length;
    char name[HEADER_NAME_MAX];

    if (!colon || colon == header.bytes || colon - header.bytes >= HEADER_NAME_MAX / UTF8_REPAIRED_MAX)
        return;
    (void)utf8_repair(header.bytes, (size_t)(colon - header.bytes), UINT32_MAX, name);
    for (colon++; colon < end && *colon == ' ';)
        colon++;
    json_set_text(headers, name, colon, (size_t)(end - colon));
}

static void add_headers(json_t *object, const struct span *span)
{
    json_t *headers = json_object();

    for (uint32_t i = 0; i < span->request_header_count; i++)
        add_header(headers, span->request_headers[i]);
    json_set_unless_empty(object, "headers", headers);
}

/* Whole where the server's name is known, else what follows it. */
static void add_url(json_t *object, const struct span *span)
{
    struct slice path = span->text[WIRE_TEXT_PATH], query = span->text[WIRE_TEXT_QUERY];
    char url[URL_SIZE];
    size_t length = span->text[WIRE_TEXT_SERVER_ADDRESS].length ? url_write(span, URL_WHOLE, url) : 0;

    if (length == 0)
        length = (size_t)snprintf(url, sizeof(url), "%.*s%s%.*s", (int)path.length, path.bytes ? path.bytes : "",
                                  query.length ? "?" : "", (int)query.length, query.bytes ? query.bytes : "");
    json_set_text(object, "url", url, length < sizeof(url) ? length : sizeof(url) - 1);
    set_slice(object, "path", path);
    set_slice(object, "query", query);
    (void)json_object_set_new(object, "scheme",
                              json_string(span->request->flags & WIRE_REQUEST_HTTPS ? "https" : "http"));
}

static void add_client(json_t *object, const struct span *span)
{
    char text[ADDRESS_SIZE];

    set_slice(object, "client_address", address_client(span, text));
}

static json_t *pack_request(const struct span *span)
{
    const struct wire_request *request = span->request;
    json_t *object = json_object();

    json_set_id(object, "trace_id", request->trace_id, sizeof(request->trace_id));
    json_set_id(object, "span_id", request->span_id, sizeof(request->span_id));
    json_set_id(object, "parent_span_id", request->parent_span_id, sizeof(request->parent_span_id));
    set_slice(object, "method", span->method_original.length ? span->method_original : span->method);
    add_url(object, span);
    set_slice(object, "route", span->route);
    set_slice(object, "server_address", span->text[WIRE_TEXT_SERVER_ADDRESS]);
    json_set_number(object, "server_port", request->server_port);
    add_client(object, span);
    set_slice(object, "user_agent", span->text[WIRE_TEXT_USER_AGENT]);
    set_slice(object, "user_id", span->text[WIRE_TEXT_USER]);
    add_headers(object, span);
    set_slice(object, "user_id", span->text[WIRE_TEXT_USER]);
    json_set_number(object, "started_unix_ns", span->start_unix_ns);
    return object;
}

/* The open request of a slot, if it is one that was served. NULL: none. */
static json_t *pack_slot(const struct process *process, const struct wire_slot *slot)
{
    _Alignas(struct wire_request) uint8_t bytes[sizeof(slot->request)];
    const struct wire_request *request = (const struct wire_request *)(const void *)bytes;
    struct span span;

    if (atomic_load(&slot->open) == WIRE_SLOT_CLOSED || atomic_load(&slot->open) == WIRE_SLOT_ENDING_BY_KIN)
        return NULL;
    memcpy(bytes, slot->request, sizeof(bytes));
    if (request->kind != WIRE_KIND_SERVER || request->end_ns != 0 || request->text_length > WIRE_SLOT_TEXT)
        return NULL;
    if (span_parse(process, bytes, sizeof(*request) + request->text_length, &span))
        return NULL;
    return pack_request(&span);
}

json_t *request_facts_list_open(const struct source *source, uint32_t lane)
{
    const struct process *process = source->lanes[lane].process;
    json_t *list = json_array();

    for (uint32_t slot = 0;
         process && source->map && slot < source->slot_count && json_array_size(list) < OPEN_REQUESTS_MAX; slot++) {
        uint64_t bits = atomic_load(&source_lane(source, lane)->slot_map[slot / 64]);
        json_t *request = bits >> slot % 64 & 1 ? pack_slot(process, source_slot(source, lane, slot)) : NULL;

        if (request)
            (void)json_array_append_new(list, request);
    }
    return list;
}

static bool is_none(const uint8_t span_id[8])
{
    static const uint8_t none[8];

    return memcmp(span_id, none, sizeof(none)) == 0;
}

static json_t *find_open(const struct source *source, uint32_t lane, const uint8_t span_id[8])
{
    const struct process *process = source->lanes[lane].process;
    json_t *request = NULL;

    for (uint32_t slot = 0; source->map && !request && slot < source->slot_count; slot++) {
        const struct wire_slot *at = source_slot(source, lane, slot);

        if (memcmp(((const struct wire_request *)(const void *)at->request)->span_id, span_id, 8) == 0)
            request = pack_slot(process, at);
    }
    return request;
}

/* A request that has ended, if it still waits for delivery or was delivered lately. */
static json_t *find_journaled(const struct source *source, const struct process *process, const uint8_t span_id[8])
{
    const struct journal *journal = source->outlets[SIGNAL_TRACES].journal;
    struct journal_entry entry;
    struct span span;

    for (uint64_t position = 0; journal && journal_read(journal, position, &entry); position = entry.next) {
        const struct wire_record *header = entry.record;
        const struct wire_request *request = (const struct wire_request *)(const void *)(header + 1);

        if (entry.length >= sizeof(*header) + sizeof(*request) && header->type == WIRE_RECORD_REQUEST &&
            memcmp(request->span_id, span_id, sizeof(request->span_id)) == 0 && request->kind == WIRE_KIND_SERVER &&
            span_parse(process, request, entry.length - sizeof(*header), &span) == 0)
            return pack_request(&span);
    }
    return NULL;
}

json_t *request_facts_find(const struct source *source, uint32_t lane, const uint8_t span_id[8])
{
    const struct process *process = source->lanes[lane].process;
    json_t *request;

    if (!process || is_none(span_id))
        return NULL;
    request = find_open(source, lane, span_id);
    if (!request)
        request = find_journaled(source, process, span_id);
    return request ? request : recent_find(process->recent, span_id, process->wall_offset_ns);
}
