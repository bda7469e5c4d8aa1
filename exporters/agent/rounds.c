/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/rounds.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/crash_desk.h"
#include "exporters/agent/destinations.h"
#include "exporters/agent/intake.h"
#include "exporters/agent/journals.h"
#include "exporters/agent/lanes.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/process.h"
#include "exporters/agent/reading.h"
#include "exporters/agent/reclaim.h"
#include "exporters/agent/source.h"
#include "exporters/agent/users.h"
#include "exporters/agent/waiter.h"
#include "preload/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static const uint64_t round_ns = 20 * NS_PER_MS;      /* while something happens */
static const uint64_t hurry_ns = 2 * NS_PER_MS;       /* while a lane fills up, or lanes run out */
static const uint64_t lazy_ns = 100 * NS_PER_MS;      /* idle, where the kernel can't wait for many words */
static const uint64_t restless_ns = 1000 * NS_PER_MS; /* without a record: then asleep */
/* No process is known to map a ring: look again, at ever longer intervals, whether one does. Where the kernel does
 * not tell, the ring is given up after a while. */
static const uint64_t check_first_ns = 50 * NS_PER_MS, check_max_ns = 64000 * NS_PER_MS, linger_ns = 1000 * NS_PER_MS;
static const uint64_t housekeeping_ns = 1000 * NS_PER_MS;
static const int64_t clock_step_ns = 1000000;

static struct {
    struct loop *loop;
    struct loop_timer timer;
    struct loop_timer housekeeping;
    int wake_fd; /* -1: the kernel can't; then there are lazy rounds */
    int64_t wall_offset_ns;
    uint64_t wall_offset_at_ns;
} rounds = {.wake_fd = -1}; /* loop only */

static void start_round(void *arg);
static bool read_source(struct source *source, uint64_t now_ns);

/* The next round, not later than in delay_ns. */
static void schedule(uint64_t delay_ns)
{
    if (!loop_timer_is_set(&rounds.timer) || rounds.timer.deadline_ns > clock_now_ns(CLOCK_MONOTONIC) + delay_ns)
        (void)loop_timer_set(rounds.loop, &rounds.timer, delay_ns);
}

void rounds_keep_house(void)
{
    if (!loop_timer_is_set(&rounds.housekeeping))
        (void)loop_timer_set(rounds.loop, &rounds.housekeeping, housekeeping_ns);
}

/* the image's end */

/* Nobody maps it any more. */
static void end_all(struct source *source, uint64_t now_ns)
{
    (void)lanes_read(source, now_ns);
    source->over = lanes_end_all(source, now_ns);
}

/* Out of memory while it was mapped again: what is in it is lost. */
static void give_up(struct source *source)
{
    if (users_may_log(source->uid, clock_now_ns(CLOCK_MONOTONIC)))
        log_line(LOG_LEVEL_ERROR, "process %d (%s): its ring can't be mapped any more", (int)source->pid,
                 source->executable);
    crash_desk_forget(source);
    lanes_forget(source);
    source->over = true;
}

static void wake_up(struct source *source)
{
    if (!source->asleep)
        return;
    waiter_forget(&source_ring(source)->asleep);
    atomic_store(&source_ring(source)->asleep, 0);
    source->asleep = false;
}

/* The crash bell is waited for at all times. */
static void listen_for_crashes(struct source *source, uint64_t now_ns)
{
    if (source->listens || !source->map || !source->crash_offset || rounds.wake_fd < 0 ||
        now_ns - source->misheard_ns < round_ns)
        return;
    source->listens = waiter_watch(&source_ring(source)->crash_bell, source->bell) == 0;
}

static void stop_listening(struct source *source)
{
    if (source->listens)
        waiter_forget(&source_ring(source)->crash_bell);
    source->listens = false;
}

/* Has the image ended? Not while a child that serves no request yet, and so has no lane, maps the ring. */
static void check_mapped(struct source *source, uint64_t now_ns)
{
    int abandoned;

    wake_up(source); /* the words move */
    stop_listening(source);
    abandoned = source_is_abandoned(source);
    if (!source->map)
        give_up(source);
    else if (abandoned == 1)
        end_all(source, now_ns);
    else if (abandoned < 0 && source->quiet_since_ns && now_ns - source->quiet_since_ns >= linger_ns)
        end_all(source, now_ns);
}

/* Double the time since the last process was seen, within bounds. */
static uint64_t check_delay(uint64_t quiet_ns)
{
    if (quiet_ns < check_first_ns)
        return check_first_ns;
    return quiet_ns < check_max_ns ? quiet_ns : check_max_ns;
}

static void check_quiet(struct source *source, const struct lanes_look *look, uint64_t now_ns)
{
    if (!source->first_dead || look->known_count > 0) {
        source->quiet_since_ns = 0;
        return;
    }
    if (source->quiet_since_ns == 0)
        source->quiet_since_ns = source->check_at_ns = now_ns;
    if (now_ns < source->check_at_ns)
        return;
    check_mapped(source, now_ns);
    source->check_at_ns = now_ns + check_delay(now_ns - source->quiet_since_ns);
}

/* sleeping */

static bool can_wake_us(const struct source *source)
{
    return rounds.wake_fd >= 0 && lanes_can_wake_us(source);
}

static void fall_asleep(struct source *source, uint64_t now_ns)
{
    if (!source->quiet_since_ns)
        check_mapped(source, now_ns); /* also gives its pages back; they stay in the memfd */
    if (source->over)
        return;
    /* seq_cst, then look again; pairs with the shim's commit, which then looks at `asleep`: one of us sees the
     * other. */
    atomic_store(&source_ring(source)->asleep, 1);
    source->asleep = !lanes_have_more(source) && waiter_watch(&source_ring(source)->asleep, 1) == 0;
    if (!source->asleep)
        atomic_store(&source_ring(source)->asleep, 0);
}

/* The crash bell rang: a process may wait for us in order to die. A ring that rings without a crash is listened to
 * once a round at most. */
static void answer_bell(struct source *source)
{
    uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);

    source->listens = false;
    wake_up(source);
    source->last_active_ns = now_ns;
    source->misheard_ns = read_source(source, now_ns) ? 0 : now_ns;
}

static void on_wake(void *arg, int fd, uint32_t events)
{
    uint64_t count;

    (void)arg;
    (void)events;
    if (read(fd, &count, sizeof(count)) < 0)
        return;
    for (struct source *source = intake_first(); source; source = source->next) {
        if (source->map && source->listens && atomic_load(&source_ring(source)->crash_bell) != source->bell)
            answer_bell(source);
        if (source->map && source->asleep && atomic_load(&source_ring(source)->asleep) != 1) {
            wake_up(source);
            source->last_active_ns = loop_now_ns(rounds.loop);
        }
    }
    start_round(NULL);
}

/* rounds */

static void wake_destinations(struct source *source)
{
    for (enum signal signal = 0; signal < SIGNAL_COUNT; signal++) {
        struct source_outlet *outlet = &source->outlets[signal];

        if (!outlet->destinations || outlet->journal_end <= outlet->journal_woken)
            continue;
        outlet->journal_woken = outlet->journal_end;
        destinations_wake(outlet->destinations);
    }
}

/* Did a crashed process wait for it? */
static bool read_source(struct source *source, uint64_t now_ns)
{
    struct lanes_look look;
    uint32_t before;

    if (source->over)
        return false;
    before = reading_begin(source->id);
    look = lanes_read(source, now_ns);
    if (look.moved_count) {
        source->last_active_ns = now_ns;
        rounds_keep_house();
    }
    source->pressed = look.pressed;
    source->pending = look.pending;
    check_quiet(source, &look, now_ns);
    reading_end(before);
    wake_destinations(source);
    return look.crashed;
}

static bool wants_sleep(const struct source *source, uint64_t now_ns)
{
    return !source->over && !source->asleep && !source->pressed && !source->pending &&
           now_ns - source->last_active_ns >= restless_ns;
}

/* In how many ns this source wants the next round; 0: in none. */
static uint64_t next_round_ns(const struct source *source, uint64_t now_ns)
{
    if (source->pressed)
        return hurry_ns;
    if (source->pending || now_ns - source->last_active_ns < restless_ns)
        return round_ns;
    if (!source->asleep)
        return can_wake_us(source) ? round_ns : lazy_ns;
    if (!source->quiet_since_ns)
        return 0;
    return source->check_at_ns > now_ns ? source->check_at_ns - now_ns : 1;
}

/* One source's part of a round. Returns in how many ns it wants the next one; 0: not at all. */
static uint64_t serve(struct source *source, uint64_t now_ns)
{
    bool is_due = source->quiet_since_ns && now_ns >= source->check_at_ns;

    if (!source->asleep || is_due) {
        (void)read_source(source, now_ns);
        if (wants_sleep(source, now_ns)) {
            uint32_t before = reading_begin(source->id);

            (void)reclaim_source(source);
            if (can_wake_us(source))
                fall_asleep(source, now_ns);
            reading_end(before);
        }
    }
    listen_for_crashes(source, now_ns);
    if (!source->over)
        return next_round_ns(source, now_ns);
    if (crash_desk_keeps(source))
        return round_ns;
    rounds_remove(source);
    intake_finish(source);
    rounds_keep_house();
    return 0;
}

/* A step of the wall clock moves the processes that share our clock. */
static void follow_wall_clock(uint64_t now_ns)
{
    int64_t offset_ns;

    if (now_ns - rounds.wall_offset_at_ns < 1000 * NS_PER_MS)
        return;
    rounds.wall_offset_at_ns = now_ns;
    offset_ns = intake_wall_offset_ns();
    if (llabs(offset_ns - rounds.wall_offset_ns) < clock_step_ns)
        return;
    rounds.wall_offset_ns = offset_ns;
    for (struct source *source = intake_first(); source; source = source->next)
        if (source->same_clock)
            source->wall_offset_ns = offset_ns;
    process_set_wall_offset(offset_ns);
}

static void start_round(void *arg)
{
    uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
    uint64_t next_ns = 0;

    (void)arg;
    follow_wall_clock(now_ns);
    for (struct source *source = intake_first(); source; source = source->next) {
        uint64_t wants_ns = source->map || source->over ? serve(source, now_ns) : 0;

        if (wants_ns && (!next_ns || wants_ns < next_ns))
            next_ns = wants_ns;
    }
    if (next_ns)
        schedule(next_ns);
}

void rounds_read_now(struct source *source)
{
    (void)read_source(source, clock_now_ns(CLOCK_MONOTONIC));
    schedule(round_ns);
}

uint64_t rounds_source_ns(const struct source *source, uint64_t now_ns)
{
    return source->same_clock ? now_ns : now_ns - (uint64_t)(source->wall_offset_ns - rounds.wall_offset_ns);
}

void rounds_look_again(void)
{
    schedule(0);
}

void rounds_drain_all(void)
{
    uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);

    for (struct source *source = intake_first(); source; source = source->next)
        if (source->map) {
            (void)read_source(source, now_ns);
            lanes_flush_logs(source);
            wake_destinations(source);
        }
    schedule(round_ns);
}

/* Runs while something was taken lately or waits to be delivered, so an idle agent has no timer. */
static void keep_house(void *arg)
{
    size_t left_count = intake_sweep();
    bool empty = journals_trim();

    (void)arg;
    if (left_count || !empty)
        rounds_keep_house();
}

bool rounds_busy(void)
{
    return intake_first() != NULL;
}

/* sources */

static void first_died(void *arg, int fd, uint32_t events)
{
    struct source *source = arg;

    (void)events;
    loop_fd_remove(rounds.loop, fd);
    source->first_dead = true;
    source->first_died_ns = clock_now_ns(CLOCK_MONOTONIC);
    rounds_read_now(source);
}

/* Does an older hand-over describe the same process, which executes another image now? Its stack has moved. A
 * process that only changed its user has moved to a new ring, and its open requests still stand in the old one. */
static void end_older_image(struct source *older, const struct source *newer, uint64_t now_ns)
{
    if (!newer->start_ticks || !newer->stack_start || newer->stack_start == older->stack_start)
        return;
    (void)read_source(older, now_ns); /* owners are known after it */
    if (!older->over)
        lanes_end_process(older, newer, now_ns);
    if (older->pid == newer->pid && older->start_ticks == newer->start_ticks && !older->first_dead) {
        loop_fd_remove(rounds.loop, older->pidfd);
        older->first_dead = true;
    }
    (void)read_source(older, now_ns);
}

void rounds_add(struct source *source)
{
    uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);

    source->last_active_ns = now_ns;
    if (source->pidfd >= 0 && !source->first_dead &&
        loop_fd_set(rounds.loop, source->pidfd, EPOLLIN, first_died, source))
        source->first_dead = true; /* its lane tells too */
    for (struct source *older = intake_first(); older; older = older->next)
        if (older->map && older->id < source->id)
            end_older_image(older, source, now_ns);
    schedule(0);
}

void rounds_remove(struct source *source)
{
    wake_up(source);
    stop_listening(source);
    crash_desk_forget(source);
    if (source->pidfd >= 0)
        loop_fd_remove(rounds.loop, source->pidfd);
    lanes_close(source);
}

int rounds_init(struct loop *loop)
{
    int error = waiter_init(&rounds.wake_fd);

    lanes_init(loop);
    rounds.loop = loop;
    rounds.timer = (struct loop_timer){.fn = start_round};
    rounds.housekeeping = (struct loop_timer){.fn = keep_house};
    rounds.wall_offset_ns = intake_wall_offset_ns();
    if (error == -ENOSYS) {
        rounds.wake_fd = -1;
        return 0;
    }
    return error ? error : loop_fd_set(loop, rounds.wake_fd, EPOLLIN, on_wake, NULL);
}

void rounds_deinit(void)
{
    loop_timer_clear(rounds.loop, &rounds.timer);
    loop_timer_clear(rounds.loop, &rounds.housekeeping);
    if (rounds.wake_fd >= 0)
        loop_fd_remove(rounds.loop, rounds.wake_fd);
    rounds.wake_fd = -1;
    waiter_deinit();
}
