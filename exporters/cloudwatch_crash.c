/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cloudwatch_crash.h"

#include "exporters/agent/log_event.h"
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/service_name.h"
#include "exporters/crash/report.h"
#include "exporters/crash/stack_text.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/cloudwatch_events.h"
#include "exporters/encode/hex.h"
#include "exporters/encode/json_access.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_MAX = 64 << 10, NAME_SIZE = 256, SEVERITY_CRITICAL = 3 /* syslog's, plus one */ };

static char *borrow(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* The title, the calls, and where to find more; a new text. NULL: no memory. */
static char *make_text(const json_t *report)
{
    const char *title = json_text_of(report, "title"), *uuid = json_text_of(report, "uuid");
    /* The crashed thread stands first. */
    char *stack = stack_text_new(json_array_get(json_object_get(report, "threads"), 0), "    ", STACK_MAX);
    char *text = NULL;

    if (stack != NULL &&
        asprintf(&text, "%s\n%scrash report %s", title ? title : "crash", stack, uuid ? uuid : "-") < 0)
        text = NULL;
    free(stack);
    return text;
}

static void read_ids(const json_t *report, struct log_event_record *record)
{
    const json_t *request = json_object_get(report, "request");

    if (hex_read(json_text_of(request, "trace_id"), sizeof(record->trace_id), record->trace_id) &&
        hex_read(json_text_of(request, "span_id"), sizeof(record->span_id), record->span_id))
        return;
    memset(record->trace_id, 0, sizeof(record->trace_id));
    memset(record->span_id, 0, sizeof(record->span_id));
}

/* Its process has gone: what names the stream is in the report, and so the crash is where its lines are. */
int cloudwatch_crash_append(const json_t *report, const struct cloudwatch_options *options,
                            struct cloudwatch_room *room, struct buffer *payload)
{
    const json_t *facts = json_object_get(report, "process");
    const char *executable = json_text_of(facts, "executable");
    char program[NAME_SIZE] = "";
    struct settings_pair names[] = {
        {borrow("host.name"), borrow(json_text_of(json_object_get(report, "host"), "name"))},
        {borrow("process.executable.name"), executable ? program : NULL}};
    struct resource resource = {.service_name = borrow(json_text_of(json_object_get(report, "service"), "name")),
                                .attributes = names,
                                .attribute_count = sizeof(names) / sizeof(names[0])};
    struct process process = {.resource = &resource, .pid = (pid_t)json_integer_value(json_object_get(facts, "pid"))};
    struct log_event_record record = {.stream = LOG_EVENT_STREAM_CRASH, .severity = SEVERITY_CRITICAL};

    if (!report_is_crash(report))
        return -ENOTSUP;
    char *text = make_text(report);
    if (text == NULL)
        return -ENOMEM;
    if (executable != NULL)
        service_name_of_executable(executable, program, sizeof(program));
    read_ids(report, &record);
    const struct log_event event = {.process = &process,
                                    .unix_ns = (uint64_t)json_integer_value(json_object_get(report, "time_unix_ns")),
                                    .record = &record,
                                    .text = {text, strlen(text)}};
    int r = cloudwatch_events_append(&(const struct log_event *){&event}, 1, options, room, payload);
    free(text);
    return r;
}
