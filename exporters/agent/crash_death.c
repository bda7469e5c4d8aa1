/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/crash_death.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/crash_facts.h"
#include "exporters/agent/crash_file.h"
#include "exporters/agent/intake.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/owner.h"
#include "exporters/agent/process.h"
#include "exporters/agent/source.h"
#include "exporters/agent/users.h"
#include "exporters/agent/wait_status.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEATHS_MAX = 256, TOLD_MAX = 256 };
static const uint64_t patience_ns = 5000 * NS_PER_MS, poll_ns = 50 * NS_PER_MS;
static const uint64_t stop_ns = 10000 * NS_PER_MS; /* after a program's first process has ended in good order */

/* A death whose status is not known yet. */
struct death {
    struct death *next;
    struct source *source; /* it stays until then */
    pid_t pid;
    uint64_t start_ticks;
    int pidfd;
    uint64_t until_ns;
    json_t *report; /* what was known when the lane was released */
};

/* Processes whose death was reported, or is being looked into: one that has changed its user has a lane in an older
 * ring, too. */
static struct {
    pid_t pid;
    uint64_t start_ticks;
} told[TOLD_MAX];           /* loop only */
static unsigned told_count; /* ever; the same */

static struct {
    struct loop *loop;
    struct loop_timer timer; /* set while there are deaths */
    struct death *first;
    unsigned count;
} deaths; /* loop only */

/* Signals that are not used to stop a program in good order. */
static bool is_of_note(int status)
{
    static const int signals[] = {SIGKILL, SIGXCPU, SIGXFSZ, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

    for (size_t i = 0; WIFSIGNALED(status) && i < sizeof(signals) / sizeof(signals[0]); i++)
        if (WTERMSIG(status) == signals[i])
            return true;
    return false;
}

/* A service manager ends the main process in good order, then kills what is left of the service. */
static bool is_stopped(const struct source *source, int status)
{
    int first;

    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && source->first_died_ns &&
           clock_now_ns(CLOCK_MONOTONIC) - source->first_died_ns < stop_ns && source->pidfd >= 0 &&
           wait_status_of(source->pidfd, &first) == 0 && !is_of_note(first);
}

static bool is_told(const struct source *source, int status)
{
    return is_of_note(status) && !is_stopped(source, status);
}

static json_t *make_report(struct source *source, uint32_t lane)
{
    char uuid[CRASH_UUID_SIZE];
    json_t *report;

    crash_file_make_uuid(source->lanes[lane].process, 0, uuid);
    report = json_pack("{s:s, s:s, s:I}", "kind", "death", "uuid", uuid, "time_unix_ns",
                       (json_int_t)clock_now_ns(CLOCK_REALTIME));
    if (report)
        crash_facts_add(report, source, lane, NULL);
    return report;
}

static void name_signal(json_t *report, int number)
{
    const char *short_name = sigabbrev_np(number);
    char name[16], title[64];

    (void)snprintf(name, sizeof(name), "SIG%s", short_name ? short_name : "?");
    (void)snprintf(title, sizeof(title), "killed by %s%s", name,
                   number == SIGKILL ? ": by somebody, or for want of memory" : "");
    (void)json_object_set_new(report, "signal", json_pack("{s:i, s:s}", "number", number, "name", name));
    (void)json_object_set_new(report, "exception", json_pack("{s:s, s:s}", "class", name, "message", title));
    (void)json_object_set_new(report, "title", json_string(title));
    crash_facts_incomplete(report, "no handler ran: neither registers nor frames are known");
}

/* Takes the report. */
static void judge(json_t *report, struct source *source, int status)
{
    if (report && is_told(source, status)) {
        users_find(source->uid)->crashes.death_count++;
        name_signal(report, WTERMSIG(status));
        crash_file_report(report, source, &status);
    }
    json_decref(report);
}

static bool is_of(const struct process *process, uint64_t ticks, pid_t pid, uint64_t start_ticks)
{
    return process && process->pid == pid && (ticks == start_ticks || !ticks || !start_ticks);
}

/* Has the process moved to a newer ring? Then its last records are there. An unknown start time (of a process that
 * was gone already) is taken to fit. */
static bool has_moved(const struct source *source, pid_t pid, uint64_t start_ticks)
{
    for (const struct source *other = intake_first(); other; other = other->next)
        for (uint32_t lane = 0; other->map && other->id > source->id && lane < other->lane_count; lane++)
            if (is_of(other->lanes[lane].process, other->lanes[lane].start_ticks, pid, start_ticks))
                return true;
    return false;
}

/* Does it still have to be asked for? */
static bool is_open(struct death *death)
{
    int status, error = wait_status_of(death->pidfd, &status);

    if (error == -EAGAIN && clock_now_ns(CLOCK_MONOTONIC) < death->until_ns)
        return true;
    if (error || has_moved(death->source, death->pid, death->start_ticks)) /* a hand-over may have come meanwhile */
        json_decref(death->report);
    else
        judge(death->report, death->source, status);
    return false;
}

static void remove_death(struct death **link)
{
    struct death *death = *link;

    *link = death->next;
    deaths.count--;
    close(death->pidfd);
    free(death);
}

static void ask_again(void *arg)
{
    (void)arg;
    for (struct death **link = &deaths.first; *link;)
        if (is_open(*link))
            link = &(*link)->next;
        else
            remove_death(link);
    if (deaths.first)
        (void)loop_timer_set(deaths.loop, &deaths.timer, poll_ns);
}

static void ask_later(struct source *source, uint32_t lane)
{
    struct death *death = deaths.count < DEATHS_MAX ? calloc(1, sizeof(*death)) : NULL;

    if (!death)
        return;
    *death = (struct death){.next = deaths.first,
                            .source = source,
                            .pid = source->lanes[lane].process->pid,
                            .start_ticks = source->lanes[lane].start_ticks,
                            .pidfd = fcntl(source->lanes[lane].pidfd, F_DUPFD_CLOEXEC, 0),
                            .until_ns = clock_now_ns(CLOCK_MONOTONIC) + patience_ns,
                            .report = make_report(source, lane)};
    deaths.first = death;
    deaths.count++;
    if (!loop_timer_is_set(&deaths.timer))
        (void)loop_timer_set(deaths.loop, &deaths.timer, poll_ns);
}

/* Told before? */
static bool was_told(const struct source_lane *state)
{
    for (size_t i = 0; i < TOLD_MAX; i++)
        if (told[i].pid == state->process->pid && told[i].start_ticks == state->start_ticks)
            return true;
    return false;
}

void crash_death_is_told(const struct source *source, uint32_t lane)
{
    const struct source_lane *state = &source->lanes[lane];

    if (!state->process || !state->start_ticks || was_told(state))
        return;
    told[told_count % TOLD_MAX].pid = state->process->pid;
    told[told_count++ % TOLD_MAX].start_ticks = state->start_ticks;
}

/* By the worker before this one, perhaps. */
static bool crash_was_told(const struct source *source, uint32_t lane)
{
    const struct wire_crash *crash = source_crash(source, lane);

    return crash && (crash->flags & WIRE_CRASH_TOLD);
}

/* A lane ends also when its owner becomes another program. */
static bool is_to_be_told(const struct source *source, const struct source_lane *state)
{
    return source->map && state->process && state->pidfd >= 0 && owner_is_dead(state->pidfd) &&
           !(state->start_ticks && was_told(state)) && !has_moved(source, state->process->pid, state->start_ticks);
}

void crash_death_look_into(struct source *source, uint32_t lane)
{
    const struct source_lane *state = &source->lanes[lane];
    int status, error;

    if (!is_to_be_told(source, state) || crash_was_told(source, lane))
        return;
    crash_death_is_told(source, lane);
    error = wait_status_of(state->pidfd, &status);
    if (error == -EAGAIN)
        ask_later(source, lane);
    else if (!error && is_told(source, status))
        judge(make_report(source, lane), source, status);
}

bool crash_death_keeps(const struct source *source)
{
    for (const struct death *death = deaths.first; death; death = death->next)
        if (death->source == source)
            return true;
    return false;
}

void crash_death_finish(const struct source *source)
{
    for (struct death **link = &deaths.first; *link;) {
        if (source && (*link)->source != source) {
            link = &(*link)->next;
            continue;
        }
        (*link)->until_ns = 0;
        (void)is_open(*link);
        remove_death(link);
    }
    if (!deaths.first)
        loop_timer_clear(deaths.loop, &deaths.timer);
}

void crash_death_init(struct loop *loop)
{
    deaths.loop = loop;
    deaths.timer = (struct loop_timer){.fn = ask_again};
}
