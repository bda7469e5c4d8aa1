/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/crash_facts.h"

#include "exporters/agent/drain.h"
#include "exporters/agent/last_lines.h"
#include "exporters/agent/process.h"
#include "exporters/agent/recent.h"
#include "exporters/agent/request_facts.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"
#include "exporters/crash/report.h"
#include "exporters/encode/hex.h"
#include "exporters/encode/json_access.h"
#include "exporters/encode/json_text.h"
#include "preload/wire.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

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

void crash_facts_add_request(json_t *report, json_t *request, bool is_certain)
{
    json_t *user = json_object_get(request, "user_id");

    if (user)
        (void)json_object_set_new(report, "user", json_pack("{s:O}", "id", user));
    (void)json_object_set_new(request, "certain", json_boolean(is_certain));
    (void)json_object_set_new(report, "request", request);
}

static void add_requests(json_t *report, struct source *source, uint32_t lane, const struct wire_crash *crash)
{
    json_t *open = request_facts_list_open(source, lane), *request;
    bool is_certain;

    request = choose_request(open, crash, &is_certain);
    if (request)
        crash_facts_add_request(report, json_copy(request), is_certain);
    (void)json_object_set_new(report, "open_requests", open);
}

/* What led up to it. */
static void add_history(json_t *report, const struct process *process)
{
    if (!process)
        return;
    (void)json_object_set_new(report, "recent_requests", recent_list(process->recent, process->wall_offset_ns));
    json_set_unless_empty(report, "log_lines", last_lines_list(process->last_lines, process->wall_offset_ns));
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
        json_set_number(facts, "pid", (uint64_t)process->pid);
        (void)json_object_set_new(facts, "uid", json_integer((json_int_t)process->uid));
        if (process->is_start_known)
            json_set_number(facts, "started_unix_ns", process->started_unix_ns);
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
    (void)drain_look_at_logs(source, lane, UINT64_MAX); /* its last words wait no more */
    add_history(report, process);
}

void crash_facts_add_to_error(json_t *report, const struct source *source, uint32_t lane)
{
    const struct process *process = source->lanes[lane].process;

    (void)json_object_set_new(report, "version", json_integer(REPORT_VERSION));
    crash_facts_add_service(report, source->resource, process);
    add_process(report, source, process);
    add_history(report, process);
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
