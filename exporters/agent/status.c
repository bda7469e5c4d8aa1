/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/status.h"

#include "exporters/agent/destinations.h"
#include "exporters/agent/intake.h"
#include "exporters/agent/lanes.h"
#include "exporters/agent/link.h"
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"
#include "exporters/agent/users.h"
#include "exporters/agent/xray_sampling.h"
#include "exporters/encode/json_access.h"
#include "preload/wire.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Numbers of one ring, or of many. */
struct numbers {
    struct source_counts counts;
    uint64_t counted[WIRE_COUNT_COUNT];
    uint64_t dropped[WIRE_DROP_COUNT];
    uint64_t withheld[WIRE_WITHHOLD_COUNT];
};

static void add_crashes(struct crash_counts *to, const struct crash_counts *crashes)
{
    to->taken_count += crashes->taken_count;
    to->failed_count += crashes->failed_count;
    to->death_count += crashes->death_count;
    to->held_ns += crashes->held_ns;
    if (crashes->held_max_ns > to->held_max_ns)
        to->held_max_ns = crashes->held_max_ns;
}

static json_t *pack_crashes(const struct crash_counts *crashes)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "read", (json_int_t)crashes->taken_count, "not_read",
                     (json_int_t)crashes->failed_count, "deaths", (json_int_t)crashes->death_count, "held_ns",
                     (json_int_t)crashes->held_ns, "held_max_ns", (json_int_t)crashes->held_max_ns);
}

static const char *const counted_names[WIRE_COUNT_COUNT] = {
    [WIRE_COUNT_REQUESTS] = "requests",       [WIRE_COUNT_UNSAMPLED] = "unsampled",
    [WIRE_COUNT_CONNECTIONS] = "connections", [WIRE_COUNT_PASSIVE] = "passive",
    [WIRE_COUNT_IGNORED] = "ignored",         [WIRE_COUNT_CLIENT_REQUESTS] = "client_requests",
    [WIRE_COUNT_INJECTED] = "injected",       [WIRE_COUNT_XRAY_SAMPLED] = "xray_sampled",
};
static const char *const dropped_names[WIRE_DROP_COUNT] = {
#define X(NAME, name, help) [WIRE_DROP_##NAME] = #name,
    WIRE_DROPS(X)
#undef X
};
static const char *const withheld_names[WIRE_WITHHOLD_COUNT] = {
#define X(NAME, name, help) [WIRE_WITHHOLD_##NAME] = #name,
    WIRE_WITHHOLDS(X)
#undef X
};

/* What a lane has counted. No program comes so far as `most`: a ring that says so is damaged, or lies, and would spoil
 * the sums, which are all users'. */
static uint64_t read_count(const _Atomic uint64_t *count)
{
    const uint64_t most = UINT64_C(1) << 40;
    uint64_t value = atomic_load_explicit(count, memory_order_relaxed);

    return value <= most ? value : 0;
}

static void add_lane(struct numbers *numbers, const struct wire_lane *lane)
{
    for (int i = 0; i < WIRE_COUNT_COUNT; i++)
        numbers->counted[i] += read_count(&lane->counted[i]);
    for (int i = 0; i < WIRE_DROP_COUNT; i++)
        numbers->dropped[i] += read_count(&lane->dropped[i]);
    for (int i = 0; i < WIRE_WITHHOLD_COUNT; i++)
        numbers->withheld[i] += read_count(&lane->withheld[i]);
}

static void add_counts(struct source_counts *to, const struct source_counts *counts)
{
    to->taken_count += counts->taken_count;
    to->abandoned_count += counts->abandoned_count;
    to->corrupt_count += counts->corrupt_count;
    to->quarantined_count += counts->quarantined_count;
    to->skipped_count += counts->skipped_count;
    to->log_event_count += counts->log_event_count;
    to->log_cut_count += counts->log_cut_count;
}

static void add_source(struct numbers *numbers, const struct source *source)
{
    add_counts(&numbers->counts, source->counts);
    for (uint32_t lane = 0; lane < source->lane_count && lanes_was_claimed(source, lane); lane++)
        add_lane(numbers, source_lane(source, lane));
}

/* What a user's rings that were came to. */
static void add_user(struct numbers *numbers, const struct user *user)
{
    add_counts(&numbers->counts, &user->counts);
    for (int i = 0; i < WIRE_COUNT_COUNT; i++)
        numbers->counted[i] += user->counted[i];
    for (int i = 0; i < WIRE_DROP_COUNT; i++)
        numbers->dropped[i] += user->dropped[i];
    for (int i = 0; i < WIRE_WITHHOLD_COUNT; i++)
        numbers->withheld[i] += user->withheld[i];
}

void status_keep_counts(const struct source *source)
{
    struct user *user = users_find(source->uid);
    struct numbers numbers = {0};

    add_user(&numbers, user);
    add_source(&numbers, source);
    user->counts = numbers.counts;
    memcpy(user->counted, numbers.counted, sizeof(user->counted));
    memcpy(user->dropped, numbers.dropped, sizeof(user->dropped));
    memcpy(user->withheld, numbers.withheld, sizeof(user->withheld));
}

static json_t *pack_counts(const struct numbers *numbers)
{
    json_t *object =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "taken", (json_int_t)numbers->counts.taken_count, "abandoned",
                  (json_int_t)numbers->counts.abandoned_count, "corrupt", (json_int_t)numbers->counts.corrupt_count,
                  "quarantined", (json_int_t)numbers->counts.quarantined_count, "skipped",
                  (json_int_t)numbers->counts.skipped_count, "log_events", (json_int_t)numbers->counts.log_event_count,
                  "log_events_cut", (json_int_t)numbers->counts.log_cut_count);

    for (int i = 0; i < WIRE_COUNT_COUNT; i++)
        (void)json_object_set_new(object, counted_names[i], json_integer((json_int_t)numbers->counted[i]));
    return object;
}

/* Those that have a name. */
static json_t *pack_causes(const char *const *names, const uint64_t *numbers, int count)
{
    json_t *object = json_object();

    for (int i = 0; i < count; i++)
        if (names[i] != NULL)
            (void)json_object_set_new(object, names[i], json_integer((json_int_t)numbers[i]));
    return object;
}

static json_t *pack_dropped(const struct numbers *numbers)
{
    return pack_causes(dropped_names, numbers->dropped, WIRE_DROP_COUNT);
}

static json_t *pack_withheld(const struct numbers *numbers)
{
    return pack_causes(withheld_names, numbers->withheld, WIRE_WITHHOLD_COUNT);
}

static json_t *pack_time(uint64_t unix_ns)
{
    time_t seconds = (time_t)(unix_ns / 1000000000u);
    char text[32];
    struct tm utc;

    gmtime_r(&seconds, &utc);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
    return json_string(text);
}

/* A path or a setting may be anything; JSON is UTF-8. */
static json_t *pack_text(const char *bytes)
{
    json_t *text = json_string(bytes);

    return text ? text : json_string("(not UTF-8)");
}

/* Who asks, and what it is shown. */
struct view {
    uid_t viewer;
    json_t *processes;
};

static void visit_process(void *arg, const struct process *process)
{
    const struct view *view = arg;
    const struct source *source = process->from;

    if (!users_may_see(view->viewer, source->uid))
        return;
    (void)json_array_append_new(view->processes,
                                json_pack("{s:i, s:s, s:o, s:o}", "pid", (int)process->pid, "service",
                                          source->resource->service_name, "executable", pack_text(source->executable),
                                          "since", pack_time(process->started_unix_ns)));
}

static json_t *pack_complaints(const struct settings *settings)
{
    json_t *list = json_array();

    for (size_t i = 0; i < settings_complaint_count(settings); i++)
        (void)json_array_append_new(list, pack_text(settings_complaint(settings, i)));
    return list;
}

static json_t *pack_source(const struct source *source, const struct numbers *numbers)
{
    json_t *sampling = xray_sampling_status(source);
    uint32_t process_count = 0;
    json_t *object;

    for (uint32_t lane = 0; lane < source->lane_count; lane++)
        process_count += source->lanes[lane].process != NULL;
    object =
        json_pack("{s:i, s:i, s:s, s:o, s:o, s:i, s:b, s:o, s:o, s:o, s:o}", "source", (int)source->id, "pid",
                  (int)source->pid, "service", source->resource->service_name, "executable",
                  pack_text(source->executable), "since", pack_time(source->started_unix_ns), "processes",
                  (int)process_count, "asleep", (int)source->asleep, "complaints", pack_complaints(source->settings),
                  "counts", pack_counts(numbers), "dropped", pack_dropped(numbers), "withheld", pack_withheld(numbers));
    json_set(object, "xray_sampling", sampling);
    return object;
}

static json_int_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long total, resident = 0;

    if (file && fscanf(file, "%ld %ld", &total, &resident) != 2)
        resident = 0;
    if (file)
        (void)fclose(file);
    return (json_int_t)resident * sysconf(_SC_PAGESIZE);
}

static json_t *pack_agent(const struct link_hello *hello)
{
    uint64_t uptime_s = (uint64_t)time(NULL) - hello->started_unix_ns / 1000000000u;

    return json_pack("{s:i, s:i, s:s, s:o, s:I, s:I}", "pid", (int)hello->keeper_pid, "worker_pid", (int)getpid(),
                     "version", SPANSHIM_VERSION, "started", pack_time(hello->started_unix_ns), "uptime_s",
                     (json_int_t)uptime_s, "rss_bytes", resident_bytes());
}

/* Users other than ours and root who came, or tried to. */
static json_t *pack_users(uid_t viewer)
{
    json_t *list = json_array();
    const struct user *user;

    for (size_t n = 0; (user = users_at(n)); n++)
        if (!users_is_trusted(user->uid) && users_may_see(viewer, user->uid))
            (void)json_array_append_new(list, json_pack("{s:I, s:I, s:I}", "uid", (json_int_t)user->uid, "refused",
                                                        (json_int_t)user->refused_count, "limited",
                                                        (json_int_t)user->limited_count));
    return list;
}

json_t *status_report(const struct link_hello *hello, uid_t viewer)
{
    struct view view = {viewer, json_array()};
    json_t *rings = json_array();
    struct crash_counts crashes = {0};
    struct error_counts errors = {0};
    struct numbers totals = {0};
    uint64_t given_up_count = 0;
    const struct user *user;

    for (size_t n = 0; (user = users_at(n)); n++) {
        if (!users_may_see(viewer, user->uid))
            continue;
        add_user(&totals, user);
        add_crashes(&crashes, &user->crashes);
        errors.found_count += user->errors.found_count;
        errors.limited_count += user->errors.limited_count;
        given_up_count += user->given_up_count;
    }
    process_visit(visit_process, &view);
    for (const struct source *source = intake_first(); source; source = source->next) {
        struct numbers numbers = {0};

        if (!source->map || !users_may_see(viewer, source->uid))
            continue;
        add_source(&numbers, source);
        add_source(&totals, source);
        (void)json_array_append_new(rings, pack_source(source, &numbers));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o, s:I, s:o, s:{s:I, s:I}}, s:o, s:o}", "agent",
                     pack_agent(hello), "users", pack_users(viewer), "processes", view.processes, "rings", rings,
                     "totals", "counts", pack_counts(&totals), "dropped", pack_dropped(&totals), "withheld",
                     pack_withheld(&totals), "given_up_rings", (json_int_t)given_up_count, "crashes",
                     pack_crashes(&crashes), "errors", "found", (json_int_t)errors.found_count, "not_reported",
                     (json_int_t)errors.limited_count, "destinations", destinations_status_all(viewer), "spool",
                     destinations_spool_status(viewer));
}
