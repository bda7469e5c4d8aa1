/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/submit.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/crash_facts.h"
#include "exporters/agent/crash_file.h"
#include "exporters/agent/destinations.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/users.h"
#include "exporters/crash/report.h"
#include "exporters/encode/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SETTINGS_MAX = 512, ATTEMPT_MS = 5000 };

/* The entries; they point into the text. */
struct entries {
    const char *level, *title, *message, *working_directory;
    const char *settings[SETTINGS_MAX];
    size_t setting_count;
};

/* While an attempt to send it is under way. */
struct submission {
    struct destinations *destinations;
    char uuid[CRASH_UUID_SIZE];
    submit_done *done;
    void *arg;
};

static void take_entry(struct entries *entries, const char *entry)
{
    switch (entry[0]) {
    case 'l':
        entries->level = entry + 1;
        break;
    case 't':
        entries->title = entry + 1;
        break;
    case 'm':
        entries->message = entry + 1;
        break;
    case 'w':
        entries->working_directory = entry + 1;
        break;
    case 'e':
        if (entries->setting_count < SETTINGS_MAX)
            entries->settings[entries->setting_count++] = entry + 1;
        break;
    default: /* of a newer command line */
        break;
    }
}

static bool read_entries(struct entries *entries, const char *text, size_t length)
{
    const char *end = text + length;

    if (length == 0 || end[-1] != '\0')
        return false;
    for (; text < end; text += strlen(text) + 1)
        take_entry(entries, text);
    return entries->message && entries->level;
}

static void set_text(json_t *report, const char *key, const char *text)
{
    char *repaired = text ? malloc(strlen(text) * UTF8_REPAIRED_MAX + 1) : NULL;

    if (!repaired)
        return;
    (void)utf8_repair(text, strlen(text), UINT32_MAX, repaired);
    (void)json_object_set_new(report, key, json_string(repaired));
    free(repaired);
}

static json_t *make_report(const struct entries *entries, const struct settings *settings, const char *uuid)
{
    const struct resource_facts facts = {.variables = entries->settings, .variable_count = entries->setting_count};
    struct resource *resource = resource_new(&facts, settings);
    json_t *process = json_object();
    json_t *report = resource ? json_pack("{s:i, s:s, s:s, s:I}", "version", REPORT_VERSION, "kind", "message", "uuid",
                                          uuid, "time_unix_ns", (json_int_t)clock_now_ns(CLOCK_REALTIME))
                              : NULL;

    if (report) {
        set_text(report, "level", entries->level);
        set_text(report, "title", entries->title);
        set_text(report, "message", entries->message);
        set_text(process, "cwd", entries->working_directory);
        (void)json_object_set(report, "process", process);
        crash_facts_add_service(report, resource, NULL);
    }
    json_decref(process);
    resource_free(resource);
    return report;
}

static json_t *make_answer(const struct submission *submission, const struct destinations_flushed *flushed)
{
    const char *result = flushed->failed == 0 ? "sent" : "kept";

    if (flushed->failed > 0 && destinations_is_delivered(submission->destinations))
        return json_pack("{s:s}", "error", flushed->error);
    return json_pack("{s:s, s:s, s:s}", "result", result, "uuid", submission->uuid, "reason", flushed->error);
}

static void on_flushed(void *arg, const struct destinations_flushed *flushed)
{
    struct submission *submission = arg;

    submission->done(submission->arg, make_answer(submission, flushed));
    destinations_unref(submission->destinations);
    free(submission);
}

/* 0, or -errno: then done is not called. */
static int submit(const struct entries *entries, struct settings *settings, submit_done *done, void *arg)
{
    struct submission *submission = calloc(1, sizeof(*submission));
    json_t *report = NULL;
    int r = -ENOMEM;

    if (submission) {
        *submission = (struct submission){.done = done, .arg = arg};
        crash_file_make_uuid(NULL, 0, submission->uuid);
        report = make_report(entries, settings, submission->uuid);
    }
    if (report) {
        submission->destinations = destinations_for(settings, SIGNAL_TRACES);
        r = submission->destinations ? 0 : errno ? -errno : -EDESTADDRREQ;
    }
    if (r == 0) {
        r = destinations_submit(submission->destinations, report, ATTEMPT_MS, on_flushed, submission);
        if (r < 0)
            destinations_unref(submission->destinations);
    }
    if (r < 0)
        free(submission);
    json_decref(report);
    return r;
}

static const char *reason_of(int r)
{
    switch (r) {
    case -ECANCELED:
        return "too many in a minute: see SPANSHIM_ROLLBAR_REPEATS, SPANSHIM_ROLLBAR_LIMIT";
    case -ENOBUFS:
        return "too much waits already: see SPANSHIM_QUEUE_BYTES";
    case -ENOTSUP:
        return "no destination can take it: see 'spanshim status'";
    default:
        return strerror(-r);
    }
}

void submit_take(uid_t uid, const char *text, size_t length, submit_done *done, void *arg)
{
    static struct entries entries; /* loop only; large */
    struct settings *settings = NULL;
    int r = -EBADMSG;

    entries = (struct entries){0};
    if (read_entries(&entries, text, length)) {
        settings = settings_new(entries.settings, entries.setting_count, entries.working_directory);
        r = settings ? 0 : -ENOMEM;
    }
    if (r == 0) {
        settings_give_to(settings, uid, users_is_trusted(uid), USERS_QUEUE_BYTES_MAX);
        r = submit(&entries, settings, done, arg);
    }
    settings_unref(settings);
    if (r < 0)
        done(arg, json_pack("{s:s}", "error", reason_of(r)));
}
