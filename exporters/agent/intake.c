/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/intake.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/complaints.h"
#include "exporters/agent/crash_desk.h"
#include "exporters/agent/destinations.h"
#include "exporters/agent/drain.h"
#include "exporters/agent/drain_logs.h"
#include "exporters/agent/in_progress.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/log.h"
#include "exporters/agent/owner.h"
#include "exporters/agent/proc.h"
#include "exporters/agent/process.h"
#include "exporters/agent/reading.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/rounds.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"
#include "exporters/agent/status.h"
#include "exporters/agent/traceback_report.h"
#include "exporters/agent/users.h"
#include "exporters/agent/xray_place.h"
#include "exporters/agent/xray_sampling.h"
#include "exporters/agent/zone.h"
#include "preload/config.h"
#include "preload/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ENTRIES_MAX = 2048, CRASH_LIMIT_DEFAULT_MS = 2000, CRASH_LIMIT_MAX_MS = 60000 };

/* The entries of a message, by kind; they point into it. */
struct facts {
    const char *executable;
    const char *working_directory;
    const char *arguments[ENTRIES_MAX];
    size_t argument_count;
    const char *settings[ENTRIES_MAX];
    size_t setting_count;
    const char *left_out;     /* the first setting that is too long; NULL: none */
    const char *file_problem; /* of the system's file of settings; NULL: none */
};

static struct intake_host host;
static struct source *sources; /* loop only */

void intake_init(const struct intake_host *with)
{
    host = *with;
}

struct source *intake_first(void)
{
    return sources;
}

struct source *intake_find(uint32_t id)
{
    struct source *source = sources;

    while (source && source->id != id)
        source = source->next;
    return source;
}

int64_t intake_wall_offset_ns(void)
{
    uint64_t before_ns = clock_now_ns(CLOCK_MONOTONIC);
    uint64_t wall_ns = clock_now_ns(CLOCK_REALTIME);
    uint64_t after_ns = clock_now_ns(CLOCK_MONOTONIC);

    return (int64_t)(wall_ns - (before_ns + (after_ns - before_ns) / 2));
}

/* the message */

static void take_entry(struct facts *facts, const char *entry)
{
    switch (entry[0]) {
    case 'x':
        facts->executable = entry + 1;
        break;
    case 'w':
        facts->working_directory = entry + 1;
        break;
    case 'a':
        if (facts->argument_count < ENTRIES_MAX)
            facts->arguments[facts->argument_count++] = entry + 1;
        break;
    case 'o':
        facts->left_out = entry + 1;
        break;
    case 'f':
        facts->file_problem = entry + 1;
        break;
    case 'e':
        if (facts->setting_count < ENTRIES_MAX)
            facts->settings[facts->setting_count++] = entry + 1;
        break;
    default: /* of a newer shim */
        break;
    }
}

static int read_message(const uint8_t *bytes, size_t length, struct wire_message *ret_message, struct facts *ret_facts)
{
    const char *text = (const char *)bytes + sizeof(*ret_message);
    const char *end = (const char *)bytes + length;

    if (length < sizeof(*ret_message))
        return -EBADMSG;
    memcpy(ret_message, bytes, sizeof(*ret_message));
    if (ret_message->magic != WIRE_MAGIC || ret_message->text_length != length - sizeof(*ret_message))
        return -EBADMSG;
    if (!wire_version_is_readable(ret_message->version))
        return -ENOTSUP;
    if (text < end && end[-1] != '\0')
        return -EBADMSG;
    for (; text < end; text += strlen(text) + 1)
        take_entry(ret_facts, text);
    return 0;
}

/* sources */

/* Each lives until all is delivered. */
static void leave_destinations(struct source *source)
{
    for (enum signal signal = 0; signal < SIGNAL_COUNT; signal++) {
        destinations_unref(source->outlets[signal].destinations);
        source->outlets[signal].destinations = NULL;
    }
}

static bool has_destinations(const struct source *source)
{
    return source->outlets[SIGNAL_TRACES].destinations || source->outlets[SIGNAL_LOGS].destinations;
}

static void source_free(struct source *source)
{
    process_forget(source);
    xray_sampling_remove(source);
    source_unmap(source);
    if (source->pidfd >= 0)
        close(source->pidfd);
    leave_destinations(source);
    zone_free(source->zone);
    json_decref(source->xray_place);
    resource_free(source->resource);
    settings_unref(source->settings);
    free(source->executable);
    free(source);
}

static void unlink_source(struct source *source)
{
    struct source **link = &sources;

    while (*link != source)
        link = &(*link)->next;
    *link = source->next;
}

static void drop(struct source *source)
{
    unlink_source(source);
    host.dropped(host.arg, source->id);
    source_free(source);
}

static void log_complaints(const struct source *source)
{
    uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);

    if (log_level_of(source->settings->log_level) < LOG_LEVEL_WARN)
        return;
    for (size_t i = 0; i < settings_complaint_count(source->settings); i++)
        if (users_may_log(source->uid, now_ns))
            log_line(LOG_LEVEL_WARN, "process %d (%s): %s", (int)source->pid, source->executable,
                     settings_complaint(source->settings, i));
}

static void log_arrival(const struct source *source)
{
    if (users_may_log(source->uid, clock_now_ns(CLOCK_MONOTONIC)))
        log_line(LOG_LEVEL_INFO, "process %d (%s) is traced as %s", (int)source->pid, source->executable,
                 source->resource->service_name);
}

/* As its shim reads it (preload/config.def). */
static uint32_t crash_limit_ms(const struct facts *facts)
{
    const char *text = settings_find_entry(facts->settings, facts->setting_count, "SPANSHIM_CRASH_TIMEOUT");
    char *end = NULL;
    unsigned long ms = text ? strtoul(text, &end, 10) : 0;

    return text && end != text && !*end && ms <= CRASH_LIMIT_MAX_MS ? (uint32_t)ms : CRASH_LIMIT_DEFAULT_MS;
}

static int describe(struct source *source, const struct facts *facts)
{
    const struct resource_facts resource_facts = {
        .number = source->pidfd >= 0 ? proc_number(source->pid, source->pidfd) : 0,
        .executable = facts->executable,
        .arguments = facts->arguments,
        .argument_count = facts->argument_count,
        .variables = facts->settings,
        .variable_count = facts->setting_count,
    };

    source->crash_limit_ms = crash_limit_ms(facts);
    source->executable = strdup(facts->executable ? facts->executable : "?");
    source->settings = settings_new(facts->settings, facts->setting_count, facts->working_directory);
    if (!source->executable || !source->settings)
        return -ENOMEM;
    if (facts->left_out)
        complaints_add(source->settings,
                       "%.64s and perhaps others are left out: over 8191 bytes, or 20 kB with the others",
                       facts->left_out);
    if (facts->file_problem)
        complaints_add_file(source->settings, facts->file_problem);
    settings_give_to(source->settings, source->uid, users_is_trusted(source->uid), USERS_QUEUE_BYTES_MAX);
    source->resource = resource_new(&resource_facts, source->settings);
    if (!source->resource)
        return -ENOMEM;
    source->zone = zone_new(settings_find_entry(facts->settings, facts->setting_count, "TZ"));
    source->xray_place =
        xray_place_new(source->settings, source->resource, resource_facts.number, users_is_trusted(source->uid));
    return 0;
}

static void identify(struct source *source, const struct intake_handover *handover, const struct wire_message *message)
{
    source->id = handover->id;
    source->pid = handover->pid;
    source->uid = handover->uid;
    source->own_pid = (pid_t)message->pid;
    source->pidfd = handover->pidfd;
    owner_compare_namespaces(source);
    if (source->pidfd >= 0)
        source->start_ticks = owner_start_ticks(source->pid, source->pidfd);
    source->stack_start = owner_stack_start(source->pid, source->pidfd);
    source->first_dead = source->pidfd < 0 || owner_is_dead(source->pidfd);
    source->started_unix_ns = owner_start_unix_ns(source->start_ticks);
    if (!source->first_dead)
        user_name_find(proc_number(source->pid, source->pidfd), source->uid, source->user);
}

/* The shim's own pair of clocks counts only where its monotonic clock isn't ours: the wall clock may have been set
 * since. */
static void set_clock(struct source *source)
{
    const struct wire_ring *ring = source_ring(source);

    source->wall_offset_ns =
        source->same_clock ? intake_wall_offset_ns() : (int64_t)(ring->anchor_wall_ns - ring->anchor_mono_ns);
}

static int open_ring(struct source *source, const struct intake_handover *handover)
{
    int error = source_map(source, handover->ring, handover->control);

    if (error)
        return error;
    set_clock(source);
    drain_start(source);
    return 0;
}

static int fill(struct source *source, const struct intake_handover *handover)
{
    static struct facts facts; /* loop only; too large for a stack */
    struct wire_message message;
    int error;

    facts = (struct facts){0};
    error = read_message(handover->message, handover->length, &message, &facts);
    if (error)
        return error;
    identify(source, handover, &message);
    source->wall_offset_ns = intake_wall_offset_ns();
    error = describe(source, &facts);
    if (!error && !handover->finished)
        error = open_ring(source, handover);
    return error;
}

/* Where its records go. */
static void connect_source(struct source *source)
{
    for (enum signal signal = 0; signal < SIGNAL_COUNT; signal++) {
        struct source_outlet *outlet = &source->outlets[signal];

        outlet->destinations = destinations_for(source->settings, signal);
        if (!outlet->destinations && errno && users_may_log(source->uid, clock_now_ns(CLOCK_MONOTONIC)))
            log_line(LOG_LEVEL_WARN, "process %d (%s): not traced: no way to export can be made: %s", (int)source->pid,
                     source->executable, strerror(errno));
        outlet->journal = outlet->destinations ? destinations_journal(outlet->destinations) : NULL;
    }
    if (source->outlets[SIGNAL_LOGS].journal)
        source->request_lines = source->settings->request_lines;
    traceback_report_start(source);
    if (source->resumed)
        drain_resume(source);
}

/* Begin to read it. */
static void start_source(struct source *source)
{
    const struct destinations *traces = source->outlets[SIGNAL_TRACES].destinations;

    in_progress_add(source); /* looks at `resumed` */
    source->resumed = false;
    if (source->map) {
        if (source->outlets[SIGNAL_TRACES].destinations)
            xray_sampling_add(source);
        atomic_store(&source->control->crash_wanted, source->crash_offset && crash_desk_can_read());
        unsigned wanted = traces ? destinations_wants(traces) : 0;
        if (source->request_lines != REQUEST_LINES_OFF)
            wanted |= WIRE_WANT_UNSAMPLED;
        source->wants_unsampled = wanted & WIRE_WANT_UNSAMPLED;
        atomic_store(&source->control->wanted, wanted);
        atomic_store(&source->control->version, WIRE_VERSION);
        if (!has_destinations(source))
            atomic_store(&source->control->disabled, 1); /* nobody wants to know */
        rounds_add(source);
        return;
    }
    /* Its image is gone; its records are still in a journal, and who they were of is all that is needed. */
    leave_destinations(source);
    rounds_keep_house();
}

void intake_resume(void)
{
    for (struct source *source = sources; source; source = source->next)
        if (source->resumed)
            connect_source(source);
    drain_logs_start();
    for (struct source *source = sources; source; source = source->next)
        if (source->resumed)
            start_source(source);
}

static void log_refusal(const struct intake_handover *handover, int error)
{
    if (!users_may_log(handover->uid, clock_now_ns(CLOCK_MONOTONIC)))
        return;
    if (error == -ENOTSUP)
        log_line(
            LOG_LEVEL_WARN,
            "process %d: its shim and this agent, which reads wire versions %u and %u, don't fit together: not traced",
            (int)handover->pid, WIRE_VERSION, WIRE_VERSION - 1);
    else
        log_line(LOG_LEVEL_WARN, "process %d: its hand-over was refused: %s", (int)handover->pid, strerror(-error));
}

int intake_take(const struct intake_handover *handover)
{
    struct source *source = calloc(1, sizeof(*source));
    uint32_t before;
    int error = -ENOMEM;

    if (source) {
        source->pidfd = -1;
        source->resumed = handover->resumed;
        source->next = sources;
        sources = source; /* found by process_find from here on */
        before = reading_begin(handover->id);
        error = fill(source, handover);
        reading_end(before);
    }
    if (error) {
        log_refusal(handover, error);
        /* Tell the shim that it may stop. The start of the control page is the same in all versions. */
        if (error == -ENOTSUP && source && source_map_control(source, handover->control) == 0)
            atomic_store(&source->control->disabled, 1);
        if (source)
            unlink_source(source);
        if (handover->pidfd >= 0 && !(source && source->pidfd == handover->pidfd))
            close(handover->pidfd);
        if (source)
            source_free(source);
        host.dropped(host.arg, handover->id);
        return error;
    }
    if (source->resumed)
        return 0; /* intake_resume goes on with it */
    log_arrival(source);
    connect_source(source);
    start_source(source);
    log_complaints(source); /* of what was read meanwhile, too */
    return 0;
}

void intake_finish(struct source *source)
{
    atomic_store(&source->control->disabled, 1); /* whoever still maps it writes for nobody */
    if (source->map)
        status_keep_counts(source);
    xray_sampling_remove(source);
    source_unmap(source);
    source->over = false;
    if (source->pidfd >= 0)
        close(source->pidfd);
    source->pidfd = -1;
    leave_destinations(source);
    host.unmapped(host.arg, source->id);
}

static bool is_delivered(const struct source *source)
{
    for (enum signal signal = 0; signal < SIGNAL_COUNT; signal++) {
        const struct source_outlet *outlet = &source->outlets[signal];

        if (outlet->journal && journal_done(outlet->journal) < outlet->journal_end)
            return false;
    }
    return true;
}

size_t intake_sweep(void)
{
    size_t left_count = 0;
    struct source *next;

    (void)process_sweep();
    for (struct source *source = sources; source; source = next) {
        next = source->next;
        if (source->map)
            continue;
        if (is_delivered(source))
            drop(source);
        else
            left_count++;
    }
    return left_count;
}

/* Did it go there? */
static bool forget_journal(struct source *source, const struct journal *journal)
{
    for (enum signal signal = 0; signal < SIGNAL_COUNT; signal++) {
        if (source->outlets[signal].journal != journal)
            continue;
        source->outlets[signal].journal = NULL;
        return true;
    }
    return false;
}

void intake_journal_dropped(const struct journal *journal)
{
    struct source *next;

    for (struct source *source = sources; source; source = next) {
        next = source->next;
        if (forget_journal(source, journal) && !source->map && is_delivered(source))
            drop(source);
    }
}

void intake_deinit(void)
{
    while (sources) {
        struct source *source = sources;

        sources = source->next;
        if (source->map)
            rounds_remove(source);
        source_free(source);
    }
}
