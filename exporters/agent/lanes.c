/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/lanes.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/crash_desk.h"
#include "exporters/agent/drain.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/owner.h"
#include "exporters/agent/process.h"
#include "exporters/agent/rounds.h"
#include "exporters/agent/source.h"
#include "exporters/agent/traceback_report.h"
#include "exporters/agent/users.h"
#include "preload/wire.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static const uint64_t claim_ns = 200 * NS_PER_MS; /* for a claim to be completed */

static struct loop *loop; /* the worker's; set at start */

static uint32_t pid_of(uint64_t owner)
{
    return (uint32_t)owner;
}

static uint32_t generation_of(uint64_t owner)
{
    return (uint32_t)(owner >> 32);
}

/* owners */

static void stop_watching(struct source_lane *state)
{
    if (state->watched)
        loop_fd_remove(loop, state->pidfd);
    state->watched = false;
}

static void close_owner(struct source_lane *state)
{
    stop_watching(state);
    if (state->pidfd >= 0)
        close(state->pidfd);
    state->pidfd = -1;
}

static void owner_died(void *arg, int fd, uint32_t events)
{
    struct source_lane *state = arg;

    (void)fd;
    (void)events;
    stop_watching(state);
    state->dead = true;
    rounds_read_now(state->source);
}

/* A process has one lane. A ring that names one process in many would have us hold a descriptor for each. */
static bool has_another_lane(const struct source *source, const struct owner *owner)
{
    for (uint32_t lane = 0; lane < source->lane_count; lane++) {
        const struct source_lane *state = &source->lanes[lane];

        if (state->watched && state->process && state->process->pid == owner->pid &&
            state->start_ticks == owner->start_ticks && atomic_load(&source_lane(source, lane)->owner) == state->owner)
            return true;
    }
    return false;
}

/* Who it is, with a descriptor for each process but once. */
static enum owner_state identify(const struct source *source, uint32_t pid, uint64_t claimed_boot_ns,
                                 struct owner *ret_owner)
{
    enum owner_state answer = owner_identify(source, pid, claimed_boot_ns, ret_owner);

    if (answer != OWNER_ALIVE || !has_another_lane(source, ret_owner))
        return answer;
    close(ret_owner->pidfd);
    ret_owner->pidfd = -1;
    return OWNER_UNKNOWN;
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
    answer = identify(source, pid_of(word), claimed_boot_ns, &owner);
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
    if (state->process) {
        state->process->started_unix_ns = owner_start_unix_ns(owner.start_ticks);
        state->process->is_start_known = owner.start_ticks != 0;
    }
    if (answer == OWNER_DEAD && source->pidfd >= 0 && pid_of(word) == (uint32_t)source->own_pid)
        state->pidfd = fcntl(source->pidfd, F_DUPFD_CLOEXEC, 0); /* tells how it ended */
    if (answer == OWNER_ALIVE) {
        state->pidfd = owner.pidfd;
        state->watched = true;
        if (state->process)
            process_refresh(state->process, owner.pidfd, now_ns);
        if (loop_fd_set(loop, owner.pidfd, EPOLLIN, owner_died, state))
            stop_watching(state); /* then it lives as long as others of its image */
    }
    return true;
}

/* The same, within the user's share of our time: finding a process of another pid namespace takes reading all of
 * /proc, and a hostile ring may show a new owner at each look. */
static bool meet_in_turn(struct source *source, uint32_t lane, uint64_t word, uint64_t now_ns)
{
    uint64_t start_ns = clock_now_ns(CLOCK_MONOTONIC);
    bool is_met;

    if (!users_may_take_time(source->uid, start_ns))
        return false;
    is_met = meet_owner(source, lane, word, now_ns);
    users_took_time(source->uid, start_ns, clock_now_ns(CLOCK_MONOTONIC) - start_ns);
    return is_met;
}

static void forget_owner(struct source_lane *state)
{
    close_owner(state);
    drain_end_logs(state->source, (uint32_t)(state - state->source->lanes));
    traceback_report_end(state->source, (uint32_t)(state - state->source->lanes));
    if (state->process)
        state->process->ended = true;
    state->process = NULL;
    state->dead = state->dirty = false;
    state->stuck_since_ns = 0;
    state->fate[0] = '\0';
    rounds_keep_house();
}

bool lanes_was_claimed(const struct source *source, uint32_t lane)
{
    const struct wire_lane *shared = source_lane(source, lane);

    return source->lanes[lane].owner != 0 || atomic_load(&shared->owner) != 0 || shared->claimed_boot_ns != 0;
}

/* The owner is gone: what it left open ends now, and the lane is free for another. */
static void end_owner(struct source *source, uint32_t lane, uint64_t now_ns)
{
    struct source_lane *state = &source->lanes[lane];
    const char *fate;

    state->dead = true;
    for (int lap = 0; lap < 2 && drain_lane(source, lane, now_ns) > 0; lap++)
        ; /* bounded: it may not be as dead as it was told */
    drain_end_logs(source, lane);
    fate = crash_desk_end(source, lane);
    (void)drain_open_requests(source, lane, rounds_source_ns(source, now_ns), fate);
    drain_release(source, lane);
    state->owner = (uint64_t)(generation_of(state->owner) + 1) << 32;
    forget_owner(state);
}

/* reading */

static void read_lane(struct source *source, uint32_t lane, uint64_t now_ns, struct lanes_look *look)
{
    struct source_lane *state = &source->lanes[lane];
    size_t moved;

    if (look->rang)
        look->crashed |= crash_desk_look(source, lane); /* first of all: it is kept from dying */
    moved = drain_lane(source, lane, now_ns);
    look->moved_count += moved;
    look->lane_count++;
    if (moved && state->process && state->watched)
        process_refresh(state->process, state->pidfd, now_ns);
    if (moved > source->cell_count / 4)
        look->pressed = true;
    if (state->dead && crash_desk_holds(source, lane)) {
        look->known_count++;
        look->pending = true;
        return;
    }
    if (state->dead) {
        end_owner(source, lane, now_ns);
        look->lane_count--;
        return;
    }
    look->known_count += state->watched;
    look->pending |= state->stuck_since_ns != 0;
    look->pending |= drain_look_at_logs(source, lane, now_ns);
    look->pending |= traceback_report_send(source, lane, now_ns);
}

static void look_at_lane(struct source *source, uint32_t lane, uint64_t word, uint64_t now_ns, struct lanes_look *look)
{
    struct source_lane *state = &source->lanes[lane];

    if (word != state->owner && pid_of(state->owner) != 0)
        forget_owner(state); /* it gave the lane back, unused */
    if (pid_of(word) == 0) {
        state->owner = word;
        return;
    }
    if (word != state->owner && !meet_in_turn(source, lane, word, now_ns)) {
        look->pending = look->unmet = true;
        look->lane_count++;
        look->known_count++;
        return;
    }
    read_lane(source, lane, now_ns, look);
}

struct lanes_look lanes_read(struct source *source, uint64_t now_ns)
{
    uint32_t bell = source->crash_offset ? atomic_load(&source_ring(source)->crash_bell) : 0;
    struct lanes_look look = {.rang = bell != source->bell || source->is_unheard};

    for (uint32_t lane = 0; lane < source->lane_count && lanes_was_claimed(source, lane); lane++)
        look_at_lane(source, lane, atomic_load(&source_lane(source, lane)->owner), now_ns, &look);
    if (look.lane_count * 4 > source->lane_count * 3)
        look.pressed = true;
    source->bell = bell;
    source->is_unheard = look.rang && look.unmet;
    return look;
}

void lanes_flush_logs(struct source *source)
{
    for (uint32_t lane = 0; lane < source->lane_count; lane++)
        (void)drain_look_at_logs(source, lane, UINT64_MAX);
}

bool lanes_have_more(const struct source *source)
{
    for (uint32_t lane = 0; lane < source->lane_count && lanes_was_claimed(source, lane); lane++) {
        uint64_t word = atomic_load(&source_lane(source, lane)->owner);

        if (word != source->lanes[lane].owner || (pid_of(word) != 0 && drain_has_more(source, lane)))
            return true;
    }
    return false;
}

bool lanes_can_wake_us(const struct source *source)
{
    for (uint32_t lane = 0; lane < source->lane_count; lane++)
        if (source->lanes[lane].process && atomic_load(&source_lane(source, lane)->cannot_wake))
            return false;
    return true;
}

/* ends */

bool lanes_end_all(struct source *source, uint64_t now_ns)
{
    bool is_held = false;

    for (uint32_t lane = 0; lane < source->lane_count; lane++) {
        struct source_lane *state = &source->lanes[lane];

        if (pid_of(state->owner) == 0)
            continue;
        state->dead = true;
        if (crash_desk_holds(source, lane))
            is_held = true;
        else
            end_owner(source, lane, now_ns);
    }
    return !is_held;
}

void lanes_end_process(struct source *source, const struct source *newer, uint64_t now_ns)
{
    for (uint32_t lane = 0; lane < source->lane_count; lane++) {
        struct source_lane *state = &source->lanes[lane];

        if (state->process && state->process->pid == newer->pid && state->start_ticks == newer->start_ticks)
            end_owner(source, lane, now_ns);
    }
}

void lanes_forget(struct source *source)
{
    for (uint32_t lane = 0; lane < source->lane_count; lane++)
        forget_owner(&source->lanes[lane]);
}

void lanes_close(struct source *source)
{
    for (uint32_t lane = 0; lane < source->lane_count; lane++) {
        close_owner(&source->lanes[lane]);
        if (source->lanes[lane].process)
            source->lanes[lane].process->ended = true;
    }
}

void lanes_init(struct loop *host_loop)
{
    loop = host_loop;
}
