/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/traceback_report.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/crash_facts.h"
#include "exporters/agent/crash_file.h"
#include "exporters/agent/destinations.h"
#include "exporters/agent/log_event.h"
#include "exporters/agent/process.h"
#include "exporters/agent/request_facts.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"
#include "exporters/agent/users.h"
#include "exporters/encode/json_access.h"
#include "exporters/encode/json_text.h"
#include "exporters/encode/utf8.h"
#include "exporters/traceback/traceback.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { TITLE_MAX = 255, TEXT_MAX = 16 << 10 };
static const uint64_t patience_ns = NS_PER_S / 2;

/* A report that waits for its request, which is known by its id. */
struct put_off {
    struct put_off *next;
    json_t *report;
    uint8_t trace_id[16];
    uint8_t span_id[8]; /* zero: none */
    uint64_t since_ns;  /* 0: it was not looked for yet */
};

/* False: there were too many in this second. */
static bool may_report(struct source *source)
{
    uint64_t second = clock_now_ns(CLOCK_MONOTONIC) / NS_PER_S;

    if (second != source->error_second)
        source->error_count = 0;
    source->error_second = second;
    if (source->error_count < TRACEBACK_REPORTS_PER_SECOND) {
        source->error_count++;
        users_find(source->uid)->errors.found_count++;
        return true;
    }
    users_find(source->uid)->errors.limited_count++;
    return false;
}

/* "CLASS: the message's first line" */
static json_t *make_title(const json_t *error)
{
    const char *class = json_text_of(error, "class"), *message = json_text_of(error, "message");
    json_t *whole = json_sprintf("%s%s%.*s", class ? class : "Error", message ? ": " : "",
                                 message ? (int)strcspn(message, "\n") : 0, message ? message : "");
    const char *text = json_string_value(whole);
    char cut[TITLE_MAX * UTF8_REPAIRED_MAX + 1] = "";
    json_t *title;

    if (text)
        (void)utf8_repair(text, strlen(text), TITLE_MAX, cut);
    title = json_string(cut);
    json_decref(whole);
    return title;
}

static void set_error(json_t *report, const json_t *error)
{
    json_t *exception = json_object(), *thread = json_object();

    for (const char *const *key = (const char *const[]){"class", "message", NULL}; *key; key++)
        json_set(exception, *key, json_incref(json_object_get(error, *key)));
    for (const char *const *key = (const char *const[]){"frames", "frames_left_out", NULL}; *key; key++)
        json_set(thread, *key, json_incref(json_object_get(error, *key)));
    json_set(report, "exception", exception);
    json_set(report, "threads", json_pack("[o]", thread));
    json_set(report, "title", make_title(error));
}

/* What is printed, as a report. `found` is traceback_read()'s. */
static json_t *make_report(const json_t *found, uint64_t unix_ns)
{
    json_t *errors = json_object_get(found, "errors"), *causes = json_copy(errors);
    char uuid[CRASH_UUID_SIZE];
    json_t *report;

    crash_file_make_uuid(NULL, 0, uuid);
    report = json_pack("{s:s, s:s, s:s, s:I}", "kind", "error", "level", "error", "uuid", uuid, "time_unix_ns",
                       (json_int_t)unix_ns);
    set_error(report, json_array_get(errors, 0));
    (void)json_array_remove(causes, 0);
    json_set_unless_empty(report, "causes", causes);
    json_set(report, "language", json_incref(json_object_get(found, "language")));
    json_set(report, "framework", json_incref(json_object_get(found, "framework")));
    return report;
}

static void note_exception(const json_t *report, struct process *process, const uint8_t span_id[8], struct slice text)
{
    size_t length = text.length < TEXT_MAX ? text.length : TEXT_MAX;
    char *repaired = malloc(length * UTF8_REPAIRED_MAX + 1);

    if (!repaired)
        return;
    (void)utf8_repair(text.bytes, length, UINT32_MAX, repaired);
    crash_file_note_error(report, process, span_id, repaired);
    free(repaired);
}

/* Its request may have ended, with a record that is in the ring behind the error's: it is looked for later. */
static void put_off(struct source_lane *state, json_t *report, const struct log_event_record *event)
{
    struct put_off *error = calloc(1, sizeof(*error)), **last = &state->errors;

    if (!error) {
        json_decref(report);
        return;
    }
    error->report = report;
    memcpy(error->trace_id, event->trace_id, sizeof(error->trace_id));
    memcpy(error->span_id, event->span_id, sizeof(error->span_id));
    while (*last)
        last = &(*last)->next;
    *last = error;
}

static void see_event(struct source *source, uint32_t lane, const struct log_event_record *event, struct slice text)
{
    struct source_lane *state = &source->lanes[lane];
    json_t *found = traceback_read(text), *report;

    if (found && may_report(source)) {
        report = make_report(found, event->mono_ns + (uint64_t)source->wall_offset_ns);
        crash_facts_add_to_error(report, source, lane);
        if (state->process)
            note_exception(report, state->process, event->span_id, text);
        put_off(state, report, event);
    }
    json_decref(found);
}

/* Of a request that left no record (no sampler keeps it, say) the ids are known. */
static json_t *pack_ids(const struct put_off *error)
{
    json_t *request = json_object();

    json_set_id(request, "trace_id", error->trace_id, sizeof(error->trace_id));
    json_set_id(request, "span_id", error->span_id, sizeof(error->span_id));
    return request;
}

/* False: its request isn't known yet. */
static bool send_error(struct source *source, uint32_t lane, struct put_off *error, uint64_t now_ns)
{
    static const uint8_t none[sizeof(error->span_id)];
    bool has_request = memcmp(error->span_id, none, sizeof(none)) != 0;
    json_t *request = request_facts_find(source, lane, error->span_id);

    if (!request && has_request && now_ns - error->since_ns < patience_ns)
        return false;
    if (!request && has_request)
        request = pack_ids(error);
    if (request)
        crash_facts_add_request(error->report, request, true);
    destinations_report(source->outlets[SIGNAL_TRACES].destinations, error->report);
    return true;
}

static void free_error(struct put_off *error)
{
    json_decref(error->report);
    free(error);
}

/* They wait together, not one after another. */
static void begin_waiting(struct source_lane *state, uint64_t now_ns)
{
    for (struct put_off *error = state->errors; error; error = error->next)
        if (error->since_ns == 0)
            error->since_ns = now_ns;
}

bool traceback_report_send(struct source *source, uint32_t lane, uint64_t now_ns)
{
    struct source_lane *state = &source->lanes[lane];

    begin_waiting(state, now_ns);
    while (state->errors && send_error(source, lane, state->errors, now_ns)) {
        struct put_off *error = state->errors;

        state->errors = error->next;
        free_error(error);
    }
    return state->errors != NULL;
}

void traceback_report_end(struct source *source, uint32_t lane)
{
    for (struct put_off *error = source->lanes[lane].errors; error; error = error->next)
        error->since_ns = 1; /* long ago */
    (void)traceback_report_send(source, lane, UINT64_MAX);
}

void traceback_report_start(struct source *source)
{
    bool is_wanted = source->settings->tracebacks && source->settings->rollbar_access_token &&
                     source->outlets[SIGNAL_TRACES].destinations;

    source->see_event = is_wanted ? see_event : NULL;
}
