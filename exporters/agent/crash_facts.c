/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/crash_facts.h"

#include "exporters/agent/process.h"
#include "exporters/agent/recent.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"
#include "exporters/agent/span.h"
#include "exporters/crash/report.h"
#include "exporters/encode/address.h"
#include "exporters/encode/hex.h"
#include "exporters/encode/json_text.h"
#include "exporters/encode/url.h"
#include "exporters/encode/utf8.h"
#include "preload/wire.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { OPEN_REQUESTS_MAX = 32, HEADER_NAME_MAX = 256 };

/* texts */

static void set_slice(json_t *object, const char *key, struct slice slice)
{
    json_set_text(object, key, slice.bytes, slice.length);
}

static void set_number(json_t *object, const char *key, uint64_t number)
{
    if (number)
        (void)json_object_set_new(object, key, json_integer((json_int_t)number));
}

void crash_facts_incomplete(json_t *report, const char *text)
{
    json_t *list = json_object_get(report, "incomplete");

    if (!list) {
        list = json_array();
        (void)json_object_set_new(report, "incomplete", list);
    }
    (void)json_array_append_new(list, json_string(text));
}

/* requests */

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
    if (json_object_size(headers) > 0)
        (void)json_object_set(object, "headers", headers);
    json_decref(headers);
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
    set_number(object, "server_port", request->server_port);
    add_client(object, span);
    set_slice(object, "user_agent", span->text[WIRE_TEXT_USER_AGENT]);
    set_slice(object, "user_id", span->text[WIRE_TEXT_USER]);
    add_headers(object, span);
    set_slice(object, "user_id", span->text[WIRE_TEXT_USER]);
    set_number(object, "started_unix_ns", span->start_unix_ns);
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

static json_t *list_open(const struct source *source, uint32_t lane)
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

/* The one that the thread worked on, else the only one there is. */
static json_t *choose_request(const json_t *open, const struct wire_crash *crash, bool *ret_certain)
{
    char wanted[17] = "";
    json_t *request;
    size_t i;

    if (crash)
        hex_write(crash->span_id, sizeof(crash->span_id), wanted);
    json_array_foreach(open, i, request)
    {
        const char *id = json_string_value(json_object_get(request, "span_id"));

        *ret_certain = true;
        if (id && strcmp(id, wanted) == 0)
            return request;
    }
    *ret_certain = false;
    return json_array_size(open) == 1 ? json_array_get(open, 0) : NULL;
}

static void add_requests(json_t *report, struct source *source, uint32_t lane, const struct wire_crash *crash)
{
    const struct process *process = source->lanes[lane].process;
    json_t *open = list_open(source, lane), *request;
    bool is_certain;

    request = choose_request(open, crash, &is_certain);
    if (request) {
        json_t *user = json_object_get(request, "user_id");

        if (user)
            (void)json_object_set_new(report, "user", json_pack("{s:O}", "id", user));
        request = json_copy(request);
        (void)json_object_set_new(request, "certain", json_boolean(is_certain));
        (void)json_object_set_new(report, "request", request);
    }
    (void)json_object_set_new(report, "open_requests", open);
    if (process)
        (void)json_object_set_new(report, "recent_requests", recent_list(process->recent, process->wall_offset_ns));
}

/* who and where */

static void format_instance(const uint8_t id[16], char out[37])
{
    char digits[33];

    hex_write(id, 16, digits);
    (void)snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12, digits + 16, digits + 20);
}

static void add_service(json_t *report, const struct resource *resource, const struct process *process)
{
    static const struct {
        const char *key, *attribute;
    } rows[] = {{"name", "service.name"},
                {"version", "service.version"},
                {"namespace", "service.namespace"},
                {"environment", "deployment.environment.name"},
                {"instance_id", "service.instance.id"}};
    json_t *service = json_object();
    char id[37];

    if (process) {
        format_instance(process->instance_id, id);
        (void)json_object_set_new(service, "instance_id", json_string(id));
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *value = resource_find(resource, rows[i].attribute);

        if (value)
            (void)json_object_set_new(service, rows[i].key, json_string(value));
    }
    (void)json_object_set_new(report, "service", service);
}

static void add_host(json_t *report, const struct resource *resource)
{
    const char *name = resource_find(resource, "host.name");
    json_t *host = json_object();
    char own[256] = "";

    if (!name && gethostname(own, sizeof(own) - 1) == 0)
        name = own;
    if (name)
        json_set_text(host, "name", name, strlen(name));
    (void)json_object_set_new(report, "host", host);
}

/* What the reader found stays, but for the arguments: they may hold secrets. */
static void add_process(json_t *report, const struct source *source, const struct process *process)
{
    json_t *known = json_object_get(report, "process"), *facts = json_object();

    if (process) {
        set_number(facts, "pid", (uint64_t)process->pid);
        (void)json_object_set_new(facts, "uid", json_integer((json_int_t)process->uid));
        if (process->is_start_known)
            set_number(facts, "started_unix_ns", process->started_unix_ns);
    }
    json_set_text(facts, "executable", source->executable, strlen(source->executable));
    if (known)
        (void)json_object_update(facts, known);
    if (!source->settings || !source->settings->command_args)
        (void)json_object_del(facts, "argv");
    (void)json_object_set_new(report, "process", facts);
}

void crash_facts_add_service(json_t *report, const struct resource *resource, const struct process *process)
{
    add_service(report, resource, process);
    add_host(report, resource);
}

void crash_facts_add(json_t *report, struct source *source, uint32_t lane, const struct wire_crash *crash)
{
    const struct process *process = source->lanes[lane].process;

    (void)json_object_set_new(report, "version", json_integer(REPORT_VERSION));
    (void)json_object_set_new(report, "level", json_string("critical"));
    crash_facts_add_service(report, source->resource, process);
    add_process(report, source, process);
    add_requests(report, source, lane, crash);
}

/* without a reader */

static json_t *pack_hex(uint64_t number)
{
    return json_sprintf("0x%llx", (unsigned long long)number);
}

json_t *crash_facts_alone(const struct wire_crash *crash)
{
    siginfo_t info;
    const char *short_name;
    char name[16];
    json_t *report;

    memcpy(&info, crash->siginfo, sizeof(info));
    short_name = sigabbrev_np(info.si_signo);
    if (short_name)
        (void)snprintf(name, sizeof(name), "SIG%s", short_name);
    else
        (void)snprintf(name, sizeof(name), "signal %u", (unsigned)info.si_signo % 1000);
    report = json_pack("{s:s, s:{s:i, s:s, s:o}, s:{s:s}, s:[{s:i, s:b, s:[{s:o, s:s}]}]}", "title", name, "signal",
                       "number", info.si_signo, "name", name, "address", pack_hex((uint64_t)(uintptr_t)info.si_addr),
                       "exception", "class", name, "threads", "id", (int)crash->tid, "crashed", 1, "frames", "address",
                       pack_hex(crash->registers[REG_RIP]), "found_by", "context");
    if (report && crash->text_length > 0)
        json_set_text(report, "abort_message", crash->text, strnlen(crash->text, sizeof(crash->text)));
    return report;
}
