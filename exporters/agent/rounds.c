/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/rounds.h"

#include "exporters/agent/destinations.h"
#include "exporters/agent/drain.h"
#include "exporters/agent/intake.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/owner.h"
#include "exporters/agent/process.h"
#include "exporters/agent/source.h"
#include "exporters/agent/spools.h"
#include "exporters/agent/waiter.h"
#include "preload/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

static const uint64_t round_ns = 20 * MS;      /* while something happens */
static const uint64_t hurry_ns = 2 * MS;       /* while a lane fills up, or lanes run out */
static const uint64_t lazy_ns = 100 * MS;      /* idle, where the kernel can't wait for many words */
static const uint64_t restless_ns = 1000 * MS; /* without a record: then asleep */
static const uint64_t linger_ns = 1000 * MS;   /* without a process: then finished */
static const uint64_t claim_ns = 200 * MS;     /* for a claim to be completed */
static const uint64_t housekeeping_ns = 1000 * MS;
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
static void read_source(struct source *source, uint64_t now_ns);

static uint64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t pid_of(uint64_t owner)
{
    return (uint32_t)owner;
}

static uint32_t generation_of(uint64_t owner)
{
    return (uint32_t)(owner >> 32);
}

/* The next round, not later than in delay_ns. */
static void schedule(uint64_t delay_ns)
{
    if (!loop_timer_is_set(&rounds.timer) || rounds.timer.deadline_ns > monotonic_ns() + delay_ns)
        (void)loop_timer_set(rounds.loop, &rounds.timer, delay_ns);
}

static void schedule_housekeeping(void)
{
    if (!loop_timer_is_set(&rounds.housekeeping))
        (void)loop_timer_set(rounds.loop, &rounds.housekeeping, housekeeping_ns);
}

/* owners */

static void stop_watching(struct source_lane *state)
{
    if (!state->watched)
        return;
    loop_fd_remove(rounds.loop, state->pidfd);
    close(state->pidfd);
    state->watched = false;
}

static void owner_died(void *arg, int fd, uint32_t events)
{
    struct source_lane *state = arg;

    (void)fd;
    (void)events;
    stop_watching(state);
    state->dead = true;
    read_source(state->source, monotonic_ns());
    schedule(round_ns);
}

static void first_died(void *arg, int fd, uint32_t events)
{
    struct source *source = arg;

    (void)events;
    loop_fd_remove(rounds.loop, fd);
    source->first_dead = true;
    read_source(source, monotonic_ns());
    schedule(round_ns);
}

/* Fill the lane's state for a new owner. False while the claim is not complete. */
static bool meet_owner(struct source *source, uint32_t lane, uint64_t word, uint64_t now_ns)
{
    struct source_lane *state = &source->lanes[lane];
    uint64_t claimed_boot_ns = source_lane(source, lane)->claimed_boot_ns;
    enum owner_state answer;
    struct owner owner;

    if (state->unclear_since_ns && now_ns - state->unclear_since_ns >= claim_ns && !claimed_boot_ns)
        claimed_boot_ns = UINT64_MAX / 2; /* it won't be; its number must do */
    answer = owner_identify(source, pid_of(word), claimed_boot_ns, &owner);
    if (answer == OWNER_UNCLEAR) {
        if (!state->unclear_since_ns)
            state->unclear_since_ns = now_ns;
        return false;
    }
    state->unclear_since_ns = 0;
    state->owner = word;
    state->dead = answer == OWNER_DEAD;
    state->start_ticks = owner.start_ticks;
    state->process = process_new(source, lane, generation_of(word), owner.pid);
    if (answer == OWNER_ALIVE) {
        state->pidfd = owner.pidfd;
        state->watched = true;
        if (loop_fd_set(rounds.loop, owner.pidfd, EPOLLIN, owner_died, state))
            stop_watching(state); /* then it lives as long as others of its image */
    }
    return true;
}

/* The owner is gone: what it left open ends now, and the lane is free for another. */
static void end_owner(struct source *source, uint32_t lane, uint64_t now_ns)
{
    struct source_lane *state = &source->lanes[lane];
    int64_t shift_ns = source->wall_offset_ns - rounds.wall_offset_ns; /* 0 where its clock is ours */

    state->dead = true;
    for (int lap = 0; lap < 2 && drain_lane(source, lane, now_ns) > 0; lap++)
        ; /* bounded: it may not be as dead as it was told */
    (void)drain_open_requests(source, lane, now_ns - (uint64_t)(source->same_clock ? 0 : shift_ns));
    stop_watching(state);
    if (state->process)
        state->process->ended = true;
    drain_release(source, lane);
    state->owner = (uint64_t)(generation_of(state->owner) + 1) << 32;
    state->process = NULL;
    state->dead = state->dirty = false;
    state->stuck_since_ns = 0;
    schedule_housekeeping();
}

/* reading */

/* What a look at a source's lanes came to. */
struct look {
    size_t moved_count;   /* cells */
    uint32_t lane_count;  /* that have an owner */
    uint32_t known_count; /* whose owner's death will be told */
    bool pending;         /* something is waited for */
    bool pressed;         /* a lane filled up */
};

static void read_lane(struct source *source, uint32_t lane, uint64_t now_ns, struct look *look)
{
    struct source_lane *state = &source->lanes[lane];
    size_t moved = drain_lane(source, lane, now_ns);

    look->moved_count += moved;
    look->lane_count++;
    if (moved > source->cell_count / 4)
        look->pressed = true;
    if (state->dead) {
        end_owner(source, lane, now_ns);
        look->lane_count--;
        return;
    }
    look->known_count += state->watched;
    look->pending |= state->stuck_since_ns != 0;
}

static void look_at_lane(struct source *source, uint32_t lane, uint64_t word, uint64_t now_ns, struct look *look)
{
    struct source_lane *state = &source->lanes[lane];

    if (word != state->owner && pid_of(state->owner) != 0) {
        /* Only we free a lane: whoever wrote this, the process we knew has lost it. */
        state->dead = true;
        end_owner(source, lane, now_ns);
        return;
    }
    if (pid_of(word) == 0) {
        state->owner = word;
        return;
    }
    if (word != state->owner && !meet_owner(source, lane, word, now_ns)) {
        look->pending = true;
        look->lane_count++;
        look->known_count++;
        return;
    }
    read_lane(source, lane, now_ns, look);
}

static struct look look_at_source(struct source *source, uint64_t now_ns)
{
    struct look look = {0};

    for (uint32_t lane = 0; lane < source->lane_count; lane++) {
        uint64_t word = atomic_load(&source_lane(source, lane)->owner);

        if (word == 0 && source->lanes[lane].owner == 0)
            break; /* lanes are claimed from the first up: behind one that never was, none was */
        look_at_lane(source, lane, word, now_ns, &look);
    }
    if (look.lane_count * 4 > source->lane_count * 3)
        look.pressed = true;
    return look;
}

/* Everybody whose death can be told is dead: those it can't be told of go with them. */
static void end_unknown(struct source *source, uint64_t now_ns)
{
    for (uint32_t lane = 0; lane < source->lane_count; lane++)
        if (pid_of(source->lanes[lane].owner) != 0)
            end_owner(source, lane, now_ns);
}

/* Is the image over? After a while: a child may be about to claim its lane. */
static void check_quiet(struct source *source, const struct look *look, uint64_t now_ns)
{
    if (!source->first_dead || look->known_count > 0) {
        source->quiet_since_ns = 0;
        return;
    }
    if (look->lane_count > 0)
        end_unknown(source, now_ns);
    if (source->quiet_since_ns == 0)
        source->quiet_since_ns = now_ns;
}

static bool is_over(const struct source *source, uint64_t now_ns)
{
    return source->quiet_since_ns && now_ns - source->quiet_since_ns >= linger_ns;
}

/* sleeping */

static bool has_more(const struct source *source)
{
    for (uint32_t lane = 0; lane < source->lane_count; lane++) {
        uint64_t word = atomic_load(&source_lane(source, lane)->owner);

        if (word == 0)
            return false;
        if (word != source->lanes[lane].owner || (pid_of(word) != 0 && drain_has_more(source, lane)))
            return true;
    }
    return false;
}

static void wake_up(struct source *source)
{
    if (!source->asleep)
        return;
    waiter_forget(&source_ring(source)->asleep);
    atomic_store(&source_ring(source)->asleep, 0);
    source->asleep = false;
}

static void fall_asleep(struct source *source)
{
    _Atomic uint32_t *asleep = &source_ring(source)->asleep;

    if (rounds.wake_fd < 0)
        return;
    /* seq_cst, then look again; pairs with the shim's commit, which then looks at `asleep`: one of us sees the other.
     */
    atomic_store(asleep, 1);
    if (has_more(source) || waiter_watch(asleep)) {
        atomic_store(asleep, 0);
        return;
    }
    source->asleep = true;
    (void)madvise(source->map, source->size, MADV_DONTNEED); /* the pages stay in the memfd */
}

static void on_wake(void *arg, int fd, uint32_t events)
{
    uint64_t count;

    (void)arg;
    (void)events;
    if (read(fd, &count, sizeof(count)) < 0)
        return;
    for (struct source *source = intake_first(); source; source = source->next)
        if (source->map && source->asleep && atomic_load(&source_ring(source)->asleep) != 1) {
            wake_up(source);
            source->last_active_ns = loop_now_ns(rounds.loop);
        }
    start_round(NULL);
}

/* rounds */

static void read_source(struct source *source, uint64_t now_ns)
{
    struct look look = look_at_source(source, now_ns);

    if (look.moved_count) {
        source->last_active_ns = now_ns;
        schedule_housekeeping();
    }
    if (source->destinations && source->spool_end > source->spool_woken) {
        source->spool_woken = source->spool_end;
        destinations_wake(source->destinations);
    }
    check_quiet(source, &look, now_ns);
    if (source->quiet_since_ns)
        wake_up(source); /* to see it through */
    source->pressed = look.pressed;
    source->pending = look.pending;
}

/* One source in a round. In how many ns it wants the next; 0: it doesn't. */
static uint64_t serve(struct source *source, uint64_t now_ns)
{
    read_source(source, now_ns);
    if (is_over(source, now_ns)) {
        rounds_remove(source);
        intake_finish(source);
        schedule_housekeeping();
        return 0;
    }
    if (source->pressed)
        return hurry_ns;
    if (source->pending || source->quiet_since_ns || now_ns - source->last_active_ns < restless_ns)
        return round_ns;
    fall_asleep(source);
    if (source->asleep)
        return 0;
    return rounds.wake_fd < 0 ? lazy_ns : round_ns;
}

/* A step of the wall clock moves the processes that share our clock. */
static void follow_wall_clock(uint64_t now_ns)
{
    int64_t offset_ns;

    if (now_ns - rounds.wall_offset_at_ns < 1000 * MS)
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
    uint64_t now_ns = monotonic_ns();
    uint64_t next_ns = 0;

    (void)arg;
    follow_wall_clock(now_ns);
    for (struct source *source = intake_first(); source; source = source->next) {
        uint64_t wants_ns = source->map && !source->asleep ? serve(source, now_ns) : 0;

        if (wants_ns && (!next_ns || wants_ns < next_ns))
            next_ns = wants_ns;
    }
    if (next_ns)
        schedule(next_ns);
}

void rounds_drain_all(void)
{
    uint64_t now_ns = monotonic_ns();

    for (struct source *source = intake_first(); source; source = source->next)
        if (source->map)
            read_source(source, now_ns);
    schedule(round_ns);
}

/* Runs while something was taken lately or waits to be delivered, so an idle agent has no timer. */
static void keep_house(void *arg)
{
    size_t left_count = intake_sweep();
    bool empty = spools_trim();

    (void)arg;
    if (left_count || !empty)
        schedule_housekeeping();
}

bool rounds_busy(void)
{
    return intake_first() != NULL;
}

/* sources */

/* The same process, seen through an older hand-over: it has executed another image since, or moved to a new ring. */
static void end_older_image(const struct source *newer, uint64_t now_ns)
{
    if (!newer->pid || !newer->start_ticks)
        return;
    for (struct source *source = intake_first(); source; source = source->next) {
        if (source == newer || !source->map || source->id > newer->id)
            continue;
        read_source(source, now_ns); /* owners are known after it */
        for (uint32_t lane = 0; lane < source->lane_count; lane++) {
            struct source_lane *state = &source->lanes[lane];

            if (state->process && state->process->pid == newer->pid && state->start_ticks == newer->start_ticks)
                end_owner(source, lane, now_ns);
        }
        if (source->pid == newer->pid && source->start_ticks == newer->start_ticks && !source->first_dead) {
            loop_fd_remove(rounds.loop, source->pidfd);
            source->first_dead = true;
        }
        read_source(source, now_ns);
    }
}

void rounds_add(struct source *source)
{
    uint64_t now_ns = monotonic_ns();

    source->last_active_ns = now_ns;
    if (source->pidfd >= 0 && !source->first_dead &&
        loop_fd_set(rounds.loop, source->pidfd, EPOLLIN, first_died, source))
        source->first_dead = true; /* its lane tells too */
    end_older_image(source, now_ns);
    schedule(0);
}

void rounds_remove(struct source *source)
{
    wake_up(source);
    if (source->pidfd >= 0)
        loop_fd_remove(rounds.loop, source->pidfd);
    for (uint32_t lane = 0; lane < source->lane_count; lane++) {
        stop_watching(&source->lanes[lane]);
        if (source->lanes[lane].process)
            source->lanes[lane].process->ended = true;
    }
}

int rounds_init(struct loop *loop)
{
    int error = waiter_init(&rounds.wake_fd);

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
