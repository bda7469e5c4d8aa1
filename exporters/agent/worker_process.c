/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/worker_process.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/foreign.h"
#include "exporters/agent/held.h"
#include "exporters/agent/link.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/reading.h"
#include "exporters/agent/users.h"
#include "exporters/agent/worker.h"
#include "preload/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKER_LINK_FD = 3,
    COMMAND_ATTEMPTS = 3, /* workers that may die of one command */
    RING_ATTEMPTS = 3,    /* workers that may crash while they look into one ring */
};
/* The worker delivers for half of this. What it then puts on the disk is lost if it is killed. systemd waits 10 s. */
static const uint64_t stop_ns = 9000 * NS_PER_MS;
static const uint64_t short_pause_ns = 100 * NS_PER_MS;
static const uint64_t restart_first_ns = 10 * NS_PER_MS, restart_max_ns = 1000 * NS_PER_MS,
                      restart_good_ns = 200 * NS_PER_MS;

/* What was said to this worker already, in order. */
enum phase { PHASE_HELLO, PHASE_JOURNALS, PHASE_SOURCES, PHASE_READY, PHASE_LIVE };

/* The worker; loop only. */
static struct {
    struct worker_process_options options;
    struct link_hello hello;
    pid_t pid; /* 0: none */
    int link;  /* -1: none */
    enum phase phase;
    uint32_t sent_count; /* sources and commands, to this worker */
    uint64_t started_ns;
    uint64_t restart_ns;
    struct loop_timer restart_timer, stop_timer, short_timer;
    bool stopping;
    bool has_failed; /* the one before this, or the last */
} worker = {.link = -1};

static void fork_worker(void *arg);

/* what it is sent */

static int send_plain(uint32_t type, const void *bytes, size_t length)
{
    struct link_packet packet = {.type = type, .length = (uint32_t)length};

    return link_send(worker.link, &packet, bytes, NULL, 0);
}

/* Send all of a type; -EAGAIN when the worker is slow. */
static int send_held(uint32_t type)
{
    struct held *held;

    while ((held = held_next_unsent(worker.options.held, type))) {
        int error = link_send(worker.link, &held->packet, held->bytes, held->fds, held->fd_count);

        if (error)
            return error;
        held->sent = true;
        held->sent_count++;
        if (held->packet.type != LINK_JOURNAL)
            worker.sent_count++;
    }
    return 0;
}

static int feed_phase(void)
{
    int error;

    switch (worker.phase) {
    case PHASE_HELLO:
        return send_plain(LINK_HELLO, &worker.hello, sizeof(worker.hello));
    case PHASE_JOURNALS:
        return send_held(LINK_JOURNAL);
    case PHASE_SOURCES:
        error = send_held(LINK_SOURCE);
        return error ? error : send_held(LINK_FINISHED);
    case PHASE_READY:
        return send_plain(LINK_READY, NULL, 0);
    case PHASE_LIVE:
        return send_held(0);
    }
    return 0;
}

static void on_link(void *arg, int fd, uint32_t events);

void worker_process_feed(void)
{
    int error = 0;

    if (worker.link < 0)
        return;
    while (!error) {
        error = feed_phase();
        if (worker.phase == PHASE_LIVE)
            break;
        if (!error)
            worker.phase++;
    }
    (void)loop_fd_set(worker.options.loop, worker.link, error == -EAGAIN ? EPOLLIN | EPOLLOUT : EPOLLIN, on_link, NULL);
}

/* what it says */

static void keep_journal(struct link_message *message)
{
    struct link_packet packet = {.type = LINK_JOURNAL, .length = message->packet.length};
    struct held *held;

    if (message->is_cut)
        log_line(LOG_LEVEL_ERROR, "a journal is not held, and lost with the worker: %s", strerror(EMFILE));
    if (message->fd_count != 1) {
        link_close_fds(message->fds, message->fd_count);
        return;
    }
    held = held_add(worker.options.held, &packet, message->bytes, message->fds, 1);
    if (held)
        held->sent = true;
}

static void drop_held(struct held *held)
{
    if (held)
        held_remove(worker.options.held, held);
}

static void unmap_held(uint32_t id)
{
    struct held *held = held_find(worker.options.held, id);

    if (!held)
        return;
    held_close_fds(held);
    held->packet.type = LINK_FINISHED;
}

static void hear_worker(struct link_message *message)
{
    switch ((enum link_type)message->packet.type) {
    case LINK_KEEP_JOURNAL:
        keep_journal(message);
        return;
    case LINK_DROP_JOURNAL:
        drop_held(held_find_journal(worker.options.held, message->bytes, message->packet.length));
        break;
    case LINK_UNMAPPED:
        unmap_held(message->packet.id);
        break;
    case LINK_DROP:
        drop_held(held_find(worker.options.held, message->packet.id));
        break;
    case LINK_IDLE:
        worker.options.on_idle(message->packet.id);
        break;
    case LINK_HELLO:
    case LINK_JOURNAL:
    case LINK_SOURCE:
    case LINK_FINISHED:
    case LINK_READY:
    case LINK_COMMAND:
    case LINK_STOP:
        break;
    }
    link_close_fds(message->fds, message->fd_count);
}

/* Everything the worker said, also before its death: 0 at the end, or why there is no more. */
static int drain_link(void)
{
    static struct link_message message; /* loop only */
    int result = -EBADMSG;

    while (result == 1 || result == -EBADMSG) {
        result = link_receive(worker.link, &message);
        if (result == 1)
            hear_worker(&message);
    }
    return result;
}

/* After a shortage. */
static void resume_link(void *arg)
{
    (void)arg;
    worker_process_feed();
}

static void on_link(void *arg, int fd, uint32_t events)
{
    int error = drain_link();

    (void)arg;
    if (error == -EAGAIN) {
        if (events & EPOLLOUT)
            worker_process_feed();
        return;
    }
    loop_fd_remove(worker.options.loop, fd); /* it would be reported again at once */
    if (error == 0)
        return; /* SIGCHLD follows */
    log_line(LOG_LEVEL_ERROR, "the worker can't be heard: %s", strerror(-error));
    if (!link_is_short(error) || loop_timer_set(worker.options.loop, &worker.short_timer, short_pause_ns))
        worker_process_kill(); /* a new one has a new link */
}

/* its life */

/* In the child: nothing of the keeper's may stay open, or it would outlive the worker. */
static void become_worker(int link)
{
    sigset_t none;

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    foreign_after_fork();
    log_close();
    if (link != WORKER_LINK_FD)
        (void)dup3(link, WORKER_LINK_FD, O_CLOEXEC);
    closefrom(WORKER_LINK_FD + 1);
    (void)log_open(worker.options.log_path);
    exit(worker_run(WORKER_LINK_FD));
}

static void restart_later(void)
{
    if (clock_now_ns(CLOCK_MONOTONIC) - worker.started_ns >= restart_good_ns || !worker.restart_ns)
        worker.restart_ns = restart_first_ns;
    else
        worker.restart_ns = worker.restart_ns * 2 < restart_max_ns ? worker.restart_ns * 2 : restart_max_ns;
    (void)loop_timer_set(worker.options.loop, &worker.restart_timer, worker.restart_ns);
}

/* A command that a worker died of, again and again, gets no answer. */
static void give_up_commands(void)
{
    struct held *next;

    for (struct held *held = worker.options.held->first; held; held = next) {
        next = held->next;
        if (held->packet.type == LINK_COMMAND && held->sent_count >= COMMAND_ATTEMPTS)
            held_remove(worker.options.held, held);
    }
}

/* A person, the service manager, or the kernel when it was out of memory, killed it: what it read is not at fault. */
static bool was_killed(int status)
{
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
}

/* One ring may not keep the others from being read. Its program is told to write no more; what was taken of it is
 * delivered. */
static void blame_ring(int status)
{
    uint32_t disabled = 1, id = reading_take();
    struct held *held = id && !was_killed(status) ? held_find(worker.options.held, id) : NULL;

    if (!held || held->packet.type != LINK_SOURCE || ++held->crash_count < RING_ATTEMPTS)
        return;
    log_line(LOG_LEVEL_ERROR, "process %d: its memory ended the worker %u times: it is not traced any more",
             (int)held->packet.pid, held->crash_count);
    if (fcntl(held->fds[1], F_GET_SEALS) >= 0) /* memory, which nobody can make us wait for */
        (void)!pwrite(held->fds[1], &disabled, sizeof(disabled), offsetof(struct wire_control, disabled));
    users_find(held->packet.uid)->given_up_count++;
    unmap_held(id);
}

static void fork_worker(void *arg)
{
    int pair[2];

    (void)arg;
    worker.started_ns = clock_now_ns(CLOCK_MONOTONIC);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
        restart_later();
        return;
    }
    worker.pid = fork();
    if (worker.pid == 0)
        become_worker(pair[1]);
    close(pair[1]);
    if (worker.pid < 0) {
        log_line(LOG_LEVEL_ERROR, "the worker can't be started: %s", strerror(errno));
        worker.pid = 0;
        close(pair[0]);
        restart_later();
        return;
    }
    worker.link = pair[0];
    worker.phase = PHASE_HELLO;
    worker.sent_count = 0;
    held_forget_sent(worker.options.held);
    worker_process_feed();
}

static void worker_ended(int status)
{
    pid_t pid = worker.pid;
    int error;

    error = drain_link();
    if (error && error != -EAGAIN)
        log_line(LOG_LEVEL_ERROR, "the worker's last words are lost: %s", strerror(-error));
    loop_timer_clear(worker.options.loop, &worker.short_timer);
    loop_fd_remove(worker.options.loop, worker.link);
    close(worker.link);
    worker.link = -1;
    worker.pid = 0;
    worker.has_failed = !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (worker.has_failed)
        log_line(LOG_LEVEL_WARN, "worker %d ended by %s %d%s", (int)pid, WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                 worker.stopping ? "" : ": a new one goes on");
    if (worker.stopping || !worker.has_failed) {
        worker.options.on_end(worker.has_failed);
        return;
    }
    give_up_commands();
    blame_ring(status);
    if (was_killed(status))
        *reading_replays() = 0;
    restart_later();
}

static void kill_late(void *arg)
{
    (void)arg;
    worker_process_kill();
}

static void introduce(void)
{
    worker.hello = (struct link_hello){.keeper_pid = (uint32_t)getpid(),
                                       .stays = worker.options.stays,
                                       .started_unix_ns = clock_now_ns(CLOCK_REALTIME)};
    (void)getrandom(worker.hello.seed, sizeof(worker.hello.seed), 0);
}

void worker_process_start(const struct worker_process_options *options)
{
    worker.options = *options;
    worker.restart_timer.fn = fork_worker;
    worker.stop_timer.fn = kill_late;
    worker.short_timer.fn = resume_link;
    introduce();
    fork_worker(NULL);
}

bool worker_process_had_all(uint32_t had_count)
{
    return had_count == worker.sent_count && !held_next_unsent(worker.options.held, 0);
}

void worker_process_stop(void)
{
    worker.stopping = true;
    loop_timer_clear(worker.options.loop, &worker.restart_timer);
    if (!worker.pid) {
        worker.options.on_end(worker.has_failed);
        return;
    }
    if (send_plain(LINK_STOP, NULL, 0))
        (void)shutdown(worker.link, SHUT_WR); /* too slow for a word: the end says it too */
    (void)loop_timer_set(worker.options.loop, &worker.stop_timer, stop_ns);
}

void worker_process_kill(void)
{
    if (worker.pid)
        (void)kill(worker.pid, SIGKILL);
}

void worker_process_reap(void)
{
    int status;

    if (worker.pid && waitpid(worker.pid, &status, WNOHANG) == worker.pid)
        worker_ended(status);
}
