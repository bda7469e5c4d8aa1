/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/crash_desk.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/crash_death.h"
#include "exporters/agent/crash_facts.h"
#include "exporters/agent/crash_file.h"
#include "exporters/agent/crash_helper.h"
#include "exporters/agent/crash_store.h"
#include "exporters/agent/link.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/owner.h"
#include "exporters/agent/proc.h"
#include "exporters/agent/process.h"
#include "exporters/agent/rounds.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"
#include "exporters/agent/users.h"
#include "exporters/agent/wait_status.h"
#include "preload/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { HOLDING_MAX = 8, READ_CHUNK = 64 << 10 };
static const uint64_t death_ns = 10000 * NS_PER_MS; /* that was released, for its death to be noticed */
static const uint64_t status_ns = 1000 * NS_PER_MS; /* after its death, for its parent to take note */
static const uint64_t status_poll_ns = 20 * NS_PER_MS;

/* A crash from its notice to its filing. */
struct crash_case {
    struct crash_case *next; /* in order of notice */
    struct source *source;   /* and lane: they stay until it is filed */
    uint32_t lane;
    struct wire_crash crash; /* copied once */
    char uuid[CRASH_UUID_SIZE];
    pid_t pid;    /* 0: unknown */
    int pidfd;    /* of the process that crashed; -1: none */
    int pipe;     /* of the report; -1: it is not being read */
    bool is_held; /* the process waits for us */
    bool is_dead;
    char *text; /* what came by the pipe */
    size_t length;
    json_t *report; /* NULL: not read yet */
    uint64_t read_ns, died_ns;
    struct loop_timer timer;
};

static struct {
    struct loop *loop;
    int helper;     /* -1: none */
    bool has_ended; /* it was there, and is gone */
    void (*helper_gone)(void);
    struct crash_case *first;
} desk = {.helper = -1}; /* loop only */

/* Has the helper died? Then this worker ends, and the next one, which has a helper, goes on with the crashes that
 * were being read. */
static bool helper_has_ended(void)
{
    struct pollfd socket = {.fd = desk.helper};

    if (!desk.has_ended && desk.helper >= 0 && poll(&socket, 1, 0) == 1)
        desk.has_ended = (socket.revents & (POLLHUP | POLLERR)) != 0;
    return desk.has_ended;
}

static void advance(void *arg);

static struct crash_case *find_case(const struct source *source, uint32_t lane)
{
    struct crash_case *found = desk.first;

    while (found && (found->source != source || found->lane != lane))
        found = found->next;
    return found;
}

static uint32_t state_of(const struct source *source, uint32_t lane)
{
    const struct wire_crash *crash = source->map ? source_crash(source, lane) : NULL;

    return crash ? atomic_load(&crash->state) : WIRE_CRASH_NONE;
}

static bool take_turn(const struct source *source, uint32_t lane, uint32_t from, uint32_t to)
{
    struct wire_crash *crash = source->map ? source_crash(source, lane) : NULL;

    if (!crash || !atomic_compare_exchange_strong(&crash->state, &from, to))
        return false;
    if (to == WIRE_CRASH_DONE)
        (void)syscall(SYS_futex, &crash->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return true;
}

static void release_process(struct crash_case *self)
{
    if (self->is_held && !take_turn(self->source, self->lane, WIRE_CRASH_READING, WIRE_CRASH_DONE))
        (void)take_turn(self->source, self->lane, WIRE_CRASH_COPIED, WIRE_CRASH_DONE);
    self->is_held = false;
}

/* filing */

static void unlink_case(struct crash_case *self)
{
    struct crash_case **link = &desk.first;

    while (*link != self)
        link = &(*link)->next;
    *link = self->next;
}

static void close_pipe(struct crash_case *self)
{
    if (self->pipe < 0)
        return;
    loop_fd_remove(desk.loop, self->pipe);
    close(self->pipe);
    self->pipe = -1;
}

static void free_case(struct crash_case *self)
{
    unlink_case(self);
    loop_timer_clear(desk.loop, &self->timer);
    close_pipe(self);
    if (self->pidfd >= 0) {
        loop_fd_remove(desk.loop, self->pidfd);
        close(self->pidfd);
    }
    json_decref(self->report);
    free(self->text);
    free(self);
}

/* File the report. `status`: the process's wait status; NULL: unknown. Afterwards the lane looks as if there had
 * been no crash, except that its open requests keep the signal as their error. */
static void file_case(struct crash_case *self, const int *status)
{
    struct wire_crash *shared = self->source->map ? source_crash(self->source, self->lane) : NULL;

    crash_file_report(self->report, self->source, status);
    if (shared && !(self->crash.flags & WIRE_CRASH_VFORK_CHILD))
        shared->flags |= WIRE_CRASH_TOLD;
    if (shared)
        atomic_store(&shared->state, WIRE_CRASH_NONE);
    free_case(self);
    rounds_look_again();
}

/* after the reading */

/* Its death is waited for, then its wait status; neither for long. */
static void advance(void *arg)
{
    struct crash_case *self = arg;
    uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
    int status, error;

    if (!self->report)
        return;
    if (!self->is_dead) {
        if (now_ns >= self->read_ns + death_ns)
            file_case(self, NULL);
        else
            (void)loop_timer_set(desk.loop, &self->timer, self->read_ns + death_ns - now_ns);
        return;
    }
    error = self->pidfd >= 0 ? wait_status_of(self->pidfd, &status) : -ESRCH;
    if (error == -EAGAIN && now_ns < self->died_ns + status_ns)
        (void)loop_timer_set(desk.loop, &self->timer, status_poll_ns);
    else
        file_case(self, error ? NULL : &status);
}

static void note_death(struct crash_case *self)
{
    if (!self->is_dead)
        self->died_ns = clock_now_ns(CLOCK_MONOTONIC);
    self->is_dead = true;
}

static void on_death(void *arg, int fd, uint32_t events)
{
    struct crash_case *self = arg;

    (void)events;
    loop_fd_remove(desk.loop, fd);
    note_death(self);
    advance(self);
}

/* The report as it was read, or what the process wrote itself. */
static json_t *make_report(struct crash_case *self)
{
    json_t *report = self->length > 0 ? json_loadb(self->text, self->length, 0, NULL) : NULL;
    struct user *user = users_find(self->source->uid);

    if (json_is_object(report)) {
        uint64_t held_ns = (uint64_t)json_integer_value(json_object_get(report, "held_ns"));

        user->crashes.taken_count++;
        if (held_ns > user->crashes.held_max_ns)
            user->crashes.held_max_ns = held_ns;
        user->crashes.held_ns += held_ns;
        return report;
    }
    json_decref(report);
    user->crashes.failed_count++;
    report = crash_facts_alone(&self->crash);
    if (report)
        crash_facts_incomplete(report, "the process could not be read: only what it wrote when it crashed is known");
    return report;
}

static void complete(struct crash_case *self)
{
    const struct process *process = self->source->lanes[self->lane].process;
    uint64_t unix_ns = self->crash.mono_ns + (uint64_t)self->source->wall_offset_ns;

    (void)json_object_set_new(self->report, "kind", json_string("crash"));
    (void)json_object_set_new(self->report, "uuid", json_string(self->uuid));
    (void)json_object_set_new(self->report, "time_unix_ns", json_integer((json_int_t)unix_ns));
    crash_facts_add(self->report, self->source, self->lane, &self->crash);
    if (process)
        crash_store_keep(self->report); /* at once: should we die, the next worker goes on with it */
}

static void finish_reading(struct crash_case *self)
{
    close_pipe(self);
    release_process(self);
    if (!self->report) {
        self->report = make_report(self);
        if (!self->report) { /* no memory */
            free_case(self);
            return;
        }
        complete(self);
    }
    crash_file_note_fate(self->report, self->source, self->lane);
    self->read_ns = clock_now_ns(CLOCK_MONOTONIC);
    self->timer = (struct loop_timer){.fn = advance, .arg = self};
    if (!self->is_dead && (self->pidfd < 0 || loop_fd_set(desk.loop, self->pidfd, EPOLLIN, on_death, self)))
        note_death(self); /* it will not be told */
    advance(self);
}

/* reading */

static void start_readings(void);

/* Take what the helper writes: the report. Its first bytes mean that the process has been released. False: there is
 * no more. */
static bool take_words(struct crash_case *self)
{
    static char chunk[READ_CHUNK]; /* loop only */
    ssize_t length = read(self->pipe, chunk, sizeof(chunk));
    char *grown;

    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    grown = length > 0 && self->length + (size_t)length <= CRASH_REPORT_MAX
                ? realloc(self->text, self->length + (size_t)length)
                : NULL;
    if (!grown) {
        if (length > 0)
            self->length = 0; /* too long: unread */
        return false;
    }
    self->text = grown;
    memcpy(self->text + self->length, chunk, (size_t)length);
    self->length += (size_t)length;
    self->is_held = false;
    return true;
}

static bool has_report(const struct crash_case *self)
{
    json_t *report = self->length > 0 ? json_loadb(self->text, self->length, 0, NULL) : NULL;
    bool is_there = json_is_object(report);

    json_decref(report);
    return is_there;
}

static void on_words(void *arg, int fd, uint32_t events)
{
    struct crash_case *self = arg;

    (void)fd;
    (void)events;
    if (!take_words(self)) {
        if (helper_has_ended() && !has_report(self))
            return;
        finish_reading(self);
    }
    start_readings();
}

static int send_request(const struct crash_case *self, int pipe)
{
    const struct source *source = self->source;
    struct link_packet packet = {.type = 1, .pid = self->pid, .length = sizeof(struct crash_request)};
    struct crash_request request = {
        .crash_at = (uint64_t)((uint8_t *)source_crash(source, self->lane) - source->map),
        .copies_at = source->copies_offset,
        .copy_count = source->copy_count,
        .lane = self->lane,
        .uid = source->uid,
        .same_clock = source->same_clock,
        .debuginfod = source->settings && source->settings->debuginfod,
        .limit_ns = source->crash_limit_ms * NS_PER_MS / 10 * 9, /* what was read by then still counts */
        .crash = self->crash,
    };
    int fds[3] = {source->ring_memfd, pipe, self->pidfd};

    return link_send(desk.helper, &packet, &request, fds, self->pidfd >= 0 ? 3 : 2);
}

static int start_reading(struct crash_case *self)
{
    int ends[2], error;

    if (desk.helper < 0 || !self->source->map)
        return -ESRCH;
    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    error = send_request(self, ends[1]);
    close(ends[1]);
    self->pipe = ends[0];
    (void)fcntl(ends[0], F_SETFL, O_RDONLY | O_NONBLOCK);
    if (!error)
        error = loop_fd_set(desk.loop, self->pipe, EPOLLIN, on_words, self);
    return error;
}

/* Start reading crashes in the order in which they came, a few at once, because each reading takes a processor. */
static void start_readings(void)
{
    struct crash_case *next;
    unsigned holding_count = 0, reading_count = 0;

    if (helper_has_ended())
        return;
    for (const struct crash_case *each = desk.first; each; each = each->next) {
        reading_count += each->pipe >= 0;
        holding_count += each->pipe >= 0 && each->is_held;
    }
    for (struct crash_case *each = desk.first; each; each = next) {
        next = each->next;
        if (each->report || each->pipe >= 0)
            continue;
        if (holding_count >= HOLDING_MAX || reading_count >= CRASH_READINGS_MAX)
            return;
        if (start_reading(each)) {
            finish_reading(each);
        } else {
            holding_count += each->is_held;
            reading_count++;
        }
    }
}

/* cases */

/* A vfork's child writes into its parent's lane, and says who it is. It is believed only if that process is a child
 * of the lane's owner. */
static void identify_child(struct crash_case *self, pid_t parent)
{
    uint64_t start_ns = clock_now_ns(CLOCK_MONOTONIC);
    struct owner owner;

    if (!users_may_take_time(self->source->uid, start_ns))
        return;
    if (owner_identify(self->source, self->crash.pid, UINT64_MAX / 2, &owner) == OWNER_ALIVE) {
        if (owner.pid > 0 && parent > 0 && proc_parent(proc_number(owner.pid, owner.pidfd)) == parent) {
            self->pid = owner.pid;
            self->pidfd = owner.pidfd;
        } else {
            close(owner.pidfd);
        }
    }
    users_took_time(self->source->uid, start_ns, clock_now_ns(CLOCK_MONOTONIC) - start_ns);
}

static void identify(struct crash_case *self)
{
    const struct source_lane *state = &self->source->lanes[self->lane];

    self->pidfd = -1;
    if (!state->process)
        return;
    if (self->crash.flags & WIRE_CRASH_VFORK_CHILD) {
        identify_child(self, state->process->pid);
        return;
    }
    self->pid = state->process->pid;
    if (state->pidfd >= 0)
        self->pidfd = fcntl(state->pidfd, F_DUPFD_CLOEXEC, 0);
}

static struct crash_case *open_case(struct source *source, uint32_t lane, bool is_held)
{
    struct crash_case *self = calloc(1, sizeof(*self));
    struct crash_case **last = &desk.first;

    if (!self)
        return NULL;
    *self = (struct crash_case){.source = source, .lane = lane, .pidfd = -1, .pipe = -1, .is_held = is_held};
    memcpy(&self->crash, source_crash(source, lane), sizeof(self->crash));
    if (!(self->crash.flags & WIRE_CRASH_VFORK_CHILD))
        crash_death_is_told(source, lane);
    crash_file_make_uuid(source->lanes[lane].process, self->crash.mono_ns, self->uuid);
    identify(self);
    while (*last)
        last = &(*last)->next;
    *last = self;
    return self;
}

static void begin(struct source *source, uint32_t lane, bool is_held)
{
    struct crash_case *self = open_case(source, lane, is_held);

    if (!self)
        return;
    self->report = crash_store_load(self->uuid); /* of the worker before this one */
    if (self->report)
        finish_reading(self);
    else
        start_readings();
}

bool crash_desk_look(struct source *source, uint32_t lane)
{
    uint32_t state = state_of(source, lane);

    if (find_case(source, lane))
        return true;
    if (state == WIRE_CRASH_READY && !take_turn(source, lane, WIRE_CRASH_READY, WIRE_CRASH_READING))
        return false;
    if (state != WIRE_CRASH_READY && state != WIRE_CRASH_READING && state != WIRE_CRASH_COPIED)
        return false; /* the latter two: an earlier worker had it */
    begin(source, lane, true);
    return true;
}

bool crash_desk_holds(struct source *source, uint32_t lane)
{
    uint32_t state = state_of(source, lane);
    struct crash_case *self = find_case(source, lane);

    if (!self && (state <= WIRE_CRASH_FILLING || state > WIRE_CRASH_ALONE))
        return false;
    if (!self)
        begin(source, lane, false);
    self = find_case(source, lane);
    if (self && !(self->crash.flags & WIRE_CRASH_VFORK_CHILD)) {
        bool was_dead = self->is_dead;

        note_death(self);
        if (!was_dead)
            advance(self);
    }
    return find_case(source, lane) != NULL;
}

/* ends */

static void file_now(struct crash_case *self)
{
    if (!self->report) {
        note_death(self);
        self->report = make_report(self);
        if (!self->report) {
            free_case(self);
            return;
        }
        complete(self);
        crash_file_note_fate(self->report, self->source, self->lane);
    }
    file_case(self, NULL);
}

const char *crash_desk_end(struct source *source, uint32_t lane)
{
    struct source_lane *state = &source->lanes[lane];
    struct wire_crash *shared = source->map ? source_crash(source, lane) : NULL;
    struct crash_case *self = find_case(source, lane);

    if (self)
        file_now(self);
    if (!state->fate[0])
        crash_death_look_into(source, lane);
    if (shared) {
        shared->flags = 0;
        atomic_store(&shared->state, WIRE_CRASH_NONE);
    }
    return state->fate[0] ? state->fate : NULL;
}

void crash_desk_forget(struct source *source)
{
    struct crash_case *next;

    for (struct crash_case *each = desk.first; each; each = next) {
        next = each->next;
        if (each->source == source)
            file_now(each);
    }
    crash_death_finish(source);
}

void crash_desk_finish(void)
{
    while (desk.first)
        file_now(desk.first);
    crash_death_finish(NULL);
}

bool crash_desk_busy(void)
{
    return desk.first != NULL;
}

bool crash_desk_keeps(const struct source *source)
{
    return crash_death_keeps(source);
}

bool crash_desk_can_read(void)
{
    return desk.helper >= 0;
}

/* The helper says nothing by its socket but its end. */
static void on_helper(void *arg, int fd, uint32_t events)
{
    (void)arg;
    (void)events;
    loop_fd_remove(desk.loop, fd);
    close(fd);
    desk.helper = -1;
    desk.has_ended = true;
    desk.helper_gone();
}

void crash_desk_init(struct loop *loop, int helper, void (*helper_gone)(void))
{
    desk.loop = loop;
    desk.helper = helper;
    desk.has_ended = false;
    desk.helper_gone = helper_gone;
    crash_death_init(loop);
    if (helper >= 0)
        (void)loop_fd_set(loop, helper, EPOLLIN, on_helper, NULL);
}

void crash_desk_deinit(void)
{
    while (desk.first)
        free_case(desk.first);
    crash_death_finish(NULL);
    if (desk.helper >= 0) {
        loop_fd_remove(desk.loop, desk.helper);
        close(desk.helper);
    }
    desk.helper = -1;
}
