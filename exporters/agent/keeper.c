/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/keeper.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/door.h"
#include "exporters/agent/foreign.h"
#include "exporters/agent/held.h"
#include "exporters/agent/link.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/name.h"
#include "exporters/agent/reading.h"
#include "exporters/agent/runtime.h"
#include "exporters/agent/users.h"
#include "exporters/agent/worker.h"
#include "preload/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

enum {
    WORKER_LINK_FD = 3,
    COMMAND_ATTEMPTS = 3, /* workers that may die of one command */
    RING_ATTEMPTS = 3,    /* workers that may crash while they look into one ring */
};
static const uint64_t stop_ns = 5000 * MS;
static const uint64_t restart_first_ns = 10 * MS, restart_max_ns = 1000 * MS, restart_good_ns = 200 * MS;

/* What was said to this worker already, in order. */
enum phase { PHASE_HELLO, PHASE_SPOOLS, PHASE_SOURCES, PHASE_READY, PHASE_LIVE };

/* The keeper; loop only. */
static struct {
    const struct keeper_options *options;
    struct loop *loop;
    int lock; /* beside the socket; -1: none */
    int signals;
    struct held_list held;
    uint32_t last_id;
    struct link_hello hello;

    pid_t worker; /* 0: none */
    int link;     /* -1: none */
    enum phase phase;
    uint32_t sent_count; /* sources and commands, to this worker */
    uint64_t worker_started_ns;
    uint64_t restart_ns;
    struct loop_timer restart_timer, stop_timer;
    bool stopping;
    bool closed; /* the socket's name is gone */
    bool failed; /* the last worker */
} keeper = {.link = -1};

static void start_worker(void *arg);
static void feed_worker(void);

/* the worker's side of the link */

static int send_plain(uint32_t type, const void *bytes, size_t length)
{
    struct link_packet packet = {.type = type, .length = (uint32_t)length};

    return link_send(keeper.link, &packet, bytes, NULL, 0);
}

/* Send all of a type; -EAGAIN when the worker is slow. */
static int send_held(uint32_t type)
{
    struct held *held;

    while ((held = held_next_unsent(&keeper.held, type))) {
        int error = link_send(keeper.link, &held->packet, held->bytes, held->fds, held->fd_count);

        if (error)
            return error;
        held->sent = true;
        held->sent_count++;
        if (held->packet.type != LINK_SPOOL)
            keeper.sent_count++;
    }
    return 0;
}

static int feed_phase(void)
{
    int error;

    switch (keeper.phase) {
    case PHASE_HELLO:
        return send_plain(LINK_HELLO, &keeper.hello, sizeof(keeper.hello));
    case PHASE_SPOOLS:
        return send_held(LINK_SPOOL);
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

/* Send what this worker hasn't had, as far as it takes it. */
static void feed_worker(void)
{
    int error = 0;

    if (keeper.link < 0)
        return;
    while (!error) {
        error = feed_phase();
        if (keeper.phase == PHASE_LIVE)
            break;
        if (!error)
            keeper.phase++;
    }
    (void)loop_fd_set(keeper.loop, keeper.link, error == -EAGAIN ? EPOLLIN | EPOLLOUT : EPOLLIN, on_link, NULL);
}

/* leaving */

static void close_listener(void)
{
    name_unwatch();
    if (keeper.options->socket_path && !keeper.closed &&
        runtime_lock_stands(keeper.options->socket_path, keeper.lock)) /* else it is another agent's by now */
        (void)unlink(keeper.options->socket_path);
    keeper.closed = true;
    door_close();
}

static void kill_worker(void *arg)
{
    (void)arg;
    if (keeper.worker)
        (void)kill(keeper.worker, SIGKILL);
}

/* End the worker, and then us. */
static void stop(void)
{
    keeper.stopping = true;
    close_listener();
    loop_timer_clear(keeper.loop, &keeper.restart_timer);
    if (!keeper.worker) {
        loop_stop(keeper.loop);
        return;
    }
    if (send_plain(LINK_STOP, NULL, 0))
        (void)shutdown(keeper.link, SHUT_WR); /* too slow for a word: the end says it too */
    (void)loop_timer_set(keeper.loop, &keeper.stop_timer, stop_ns);
}

/* connections */

/* The peer itself, whoever gets its number next. -1: not there any more, or not to be had. */
static int open_peer(int connection, pid_t pid)
{
    socklen_t size = sizeof(int);
    int fd = -1;

    if (getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0)
        return fd;
    return pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

/* Do numbers of processes mean the same to it as to us? */
static bool shares_numbers(pid_t pid)
{
    char path[32];
    struct stat ours, theirs;

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
    return stat(path, &theirs) == 0 && stat("/proc/self/ns/pid", &ours) == 0 && ours.st_ino == theirs.st_ino;
}

/* A hand-over that somebody passes on: who made it, if that is a process of the same user, or was: one that only starts
 * a daemon, or crashes soon, is gone before its agent listens. False: it isn't. */
static bool find_giver(const struct wire_message *message, const struct ucred *passer, struct link_packet *packet,
                       int *ret_pidfd)
{
    char path[32];
    struct stat process;

    *ret_pidfd = (int)syscall(SYS_pidfd_open, (pid_t)message->pid, 0);
    (void)snprintf(path, sizeof(path), "/proc/%u", message->pid);
    if (*ret_pidfd < 0 && (errno != ESRCH || !shares_numbers(passer->pid)))
        return false;
    if (*ret_pidfd >= 0 && stat(path, &process) == 0 && process.st_uid != packet->uid)
        return false;
    packet->pid = (int32_t)message->pid;
    return true;
}

/* Which packet for the worker this message becomes; 0: none. */
static uint32_t packet_type(const struct wire_message *message, size_t length, unsigned fd_count)
{
    if (length < sizeof(*message) || message->magic != WIRE_MAGIC)
        return 0;
    if (message->type == WIRE_MESSAGE_HANDOVER || message->type == WIRE_MESSAGE_BEQUEST)
        return fd_count == 2 ? LINK_SOURCE : 0;
    return fd_count <= 1 ? LINK_COMMAND : 0;
}

/* A message has come; takes the connection and the descriptors. */
static void take_message(int connection, const struct ucred *peer, const uint8_t *bytes, size_t length, const int *fds,
                         unsigned fd_count)
{
    struct link_packet packet = {.length = (uint32_t)length, .pid = peer->pid, .uid = peer->uid};
    int all[LINK_FDS_MAX];
    unsigned count = 0;
    struct wire_message message = {0};

    memcpy(&message, bytes, length < sizeof(message) ? length : sizeof(message));
    packet.type = packet_type(&message, length, fd_count);
    if (!packet.type || !users_may_send(peer->uid, held_count_of(&keeper.held, peer->uid), loop_now_ns(keeper.loop))) {
        link_close_fds(fds, fd_count);
        foreign_close(connection);
        return;
    }
    if (packet.type == LINK_COMMAND)
        all[count++] = connection;
    for (unsigned i = 0; i < fd_count; i++)
        all[count++] = fds[i];
    if (packet.type == LINK_SOURCE) {
        bool is_known = true;

        if (message.type == WIRE_MESSAGE_BEQUEST)
            is_known = find_giver(&message, peer, &packet, &all[count]);
        else
            all[count] = open_peer(connection, peer->pid);
        if (all[count] >= 0)
            count++;
        foreign_close(connection);
        if (!is_known) {
            link_close_fds(all, count);
            return;
        }
    }
    packet.id = ++keeper.last_id;
    if (!held_add(&keeper.held, &packet, bytes, all, count))
        log_line(LOG_LEVEL_ERROR, "out of memory: process %d is not served", (int)peer->pid);
    feed_worker();
}

static int open_listener(void)
{
    char error[RUNTIME_ERROR_MAX];
    int listener;
    int result = runtime_listen(keeper.options->socket_path, &listener, error);

    if (!result)
        result = door_open(keeper.loop, listener, take_message);
    else
        log_line(LOG_LEVEL_ERROR, "%s", error);
    return result;
}

/* The worker has nothing to do. Leave, unless somebody comes at this very moment: when the name is gone and the socket
 * shut, nobody can; who came before is in the backlog, and makes us stay. */
static void leave_if_idle(uint32_t had_count)
{
    size_t before = keeper.held.count;

    if (keeper.options->stays || keeper.stopping || had_count != keeper.sent_count || door_is_crowded() ||
        held_next_unsent(&keeper.held, 0))
        return;
    (void)unlink(keeper.options->socket_path);
    door_shut();
    if (keeper.held.count == before && !door_is_crowded()) {
        log_line(LOG_LEVEL_INFO, "nothing left to do: the agent ends");
        stop();
        return;
    }
    door_close();
    if (open_listener())
        stop();
}

/* The lock beside the socket, which may have gone with it. False: another agent has it. */
static bool hold_lock(char error[RUNTIME_ERROR_MAX])
{
    int lock;

    if (runtime_lock_stands(keeper.options->socket_path, keeper.lock))
        return true;
    (void)snprintf(error, RUNTIME_ERROR_MAX, "another agent listens there now");
    if (runtime_lock(keeper.options->socket_path, &lock, error) != 1)
        return false;
    close(keeper.lock);
    keeper.lock = lock;
    return true;
}

/* The socket's name is gone: nobody finds us any more. Who has come before is served all the same. */
static void restore_name(void)
{
    const char *path = keeper.options->socket_path;
    char error[RUNTIME_ERROR_MAX];

    if (keeper.stopping || keeper.closed)
        return;
    door_shut();
    door_close();
    if (runtime_claim_folder(path, error) == 0 && hold_lock(error) && open_listener() == 0) {
        log_line(LOG_LEVEL_WARN, "%s was removed: the agent listens there again", path);
        return;
    }
    keeper.closed = true; /* the name is not ours */
    log_line(LOG_LEVEL_ERROR, "%s was removed, and new programs can't be taken: %s", path, error);
}

/* the worker */

static void keep_spool(struct link_message *message)
{
    struct link_packet packet = {.type = LINK_SPOOL, .length = message->packet.length};
    struct held *held;

    if (message->fd_count != 1) {
        link_close_fds(message->fds, message->fd_count);
        return;
    }
    held = held_add(&keeper.held, &packet, message->bytes, message->fds, 1);
    if (held)
        held->sent = true;
}

static void drop_held(struct held *held)
{
    if (held)
        held_remove(&keeper.held, held);
}

static void unmap_held(uint32_t id)
{
    struct held *held = held_find(&keeper.held, id);

    if (!held)
        return;
    held_close_fds(held);
    held->packet.type = LINK_FINISHED;
}

static void hear_worker(struct link_message *message)
{
    switch ((enum link_type)message->packet.type) {
    case LINK_KEEP_SPOOL:
        keep_spool(message);
        return;
    case LINK_DROP_SPOOL:
        drop_held(held_find_spool(&keeper.held, message->bytes, message->packet.length));
        break;
    case LINK_UNMAPPED:
        unmap_held(message->packet.id);
        break;
    case LINK_DROP:
        drop_held(held_find(&keeper.held, message->packet.id));
        break;
    case LINK_IDLE:
        leave_if_idle(message->packet.id);
        break;
    case LINK_HELLO:
    case LINK_SPOOL:
    case LINK_SOURCE:
    case LINK_FINISHED:
    case LINK_READY:
    case LINK_COMMAND:
    case LINK_STOP:
        break;
    }
    link_close_fds(message->fds, message->fd_count);
}

/* Everything the worker said, also before its death. */
static void drain_link(void)
{
    static struct link_message message; /* loop only */

    while (keeper.link >= 0) {
        int result = link_receive(keeper.link, &message);

        if (result == 1) {
            hear_worker(&message);
        } else if (result != -EBADMSG) {
            if (result != -EAGAIN)
                loop_fd_remove(keeper.loop, keeper.link); /* SIGCHLD follows */
            return;
        }
    }
}

static void on_link(void *arg, int fd, uint32_t events)
{
    (void)arg;
    (void)fd;
    drain_link();
    if (events & EPOLLOUT)
        feed_worker();
}

/* In the child: nothing of the keeper's may stay open, or it would outlive the keeper. */
static void become_worker(int link)
{
    sigset_t none;

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    foreign_after_fork();
    log_close();
    if (link != WORKER_LINK_FD)
        (void)dup3(link, WORKER_LINK_FD, O_CLOEXEC);
    (void)syscall(SYS_close_range, WORKER_LINK_FD + 1, ~0u, 0);
    (void)log_open(keeper.options->log_path);
    exit(worker_run(WORKER_LINK_FD));
}

static void restart_later(void)
{
    if (clock_now_ns(CLOCK_MONOTONIC) - keeper.worker_started_ns >= restart_good_ns || !keeper.restart_ns)
        keeper.restart_ns = restart_first_ns;
    else
        keeper.restart_ns = keeper.restart_ns * 2 < restart_max_ns ? keeper.restart_ns * 2 : restart_max_ns;
    (void)loop_timer_set(keeper.loop, &keeper.restart_timer, keeper.restart_ns);
}

/* A command that a worker died of, again and again, gets no answer. */
static void give_up_commands(void)
{
    struct held *next;

    for (struct held *held = keeper.held.first; held; held = next) {
        next = held->next;
        if (held->packet.type == LINK_COMMAND && held->sent_count >= COMMAND_ATTEMPTS)
            held_remove(&keeper.held, held);
    }
}

/* Somebody else ended it, or ended the machine's need of memory with it: no ring's fault. */
static bool was_killed(int status)
{
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
}

/* One ring may not keep the others from being read. Its program is told to write no more; what was taken of it is
 * delivered. */
static void blame_ring(int status)
{
    uint32_t disabled = 1, id = reading_take();
    struct held *held = id && !was_killed(status) ? held_find(&keeper.held, id) : NULL;

    if (!held || held->packet.type != LINK_SOURCE || ++held->crash_count < RING_ATTEMPTS)
        return;
    log_line(LOG_LEVEL_ERROR, "process %d: its memory ended the worker %u times: it is not traced any more",
             (int)held->packet.pid, held->crash_count);
    if (fcntl(held->fds[1], F_GET_SEALS) >= 0) /* memory, which nobody can make us wait for */
        (void)!pwrite(held->fds[1], &disabled, sizeof(disabled), offsetof(struct wire_control, disabled));
    users_find(held->packet.uid)->given_up_count++;
    unmap_held(id);
}

static void start_worker(void *arg)
{
    int pair[2];

    (void)arg;
    keeper.worker_started_ns = clock_now_ns(CLOCK_MONOTONIC);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
        restart_later();
        return;
    }
    keeper.worker = fork();
    if (keeper.worker == 0)
        become_worker(pair[1]);
    close(pair[1]);
    if (keeper.worker < 0) {
        log_line(LOG_LEVEL_ERROR, "the worker can't be started: %s", strerror(errno));
        keeper.worker = 0;
        close(pair[0]);
        restart_later();
        return;
    }
    keeper.link = pair[0];
    keeper.phase = PHASE_HELLO;
    keeper.sent_count = 0;
    held_forget_sent(&keeper.held);
    feed_worker();
}

static void worker_ended(int status)
{
    pid_t pid = keeper.worker;

    drain_link();
    loop_fd_remove(keeper.loop, keeper.link);
    close(keeper.link);
    keeper.link = -1;
    keeper.worker = 0;
    keeper.failed = !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (keeper.failed)
        log_line(LOG_LEVEL_WARN, "worker %d ended by %s %d%s", (int)pid, WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                 keeper.stopping ? "" : ": a new one goes on");
    if (keeper.stopping || !keeper.failed) {
        close_listener();
        loop_stop(keeper.loop);
        return;
    }
    give_up_commands();
    blame_ring(status);
    restart_later();
}

static void on_signal(void *arg, int fd, uint32_t events)
{
    struct signalfd_siginfo info;
    int status;

    (void)arg;
    (void)events;
    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            if (keeper.worker && waitpid(keeper.worker, &status, WNOHANG) == keeper.worker)
                worker_ended(status);
        } else if (keeper.stopping) {
            kill_worker(NULL); /* told twice */
        } else {
            log_line(LOG_LEVEL_INFO, "signal %u: the agent ends", info.ssi_signo);
            stop();
        }
    }
}

static void fill_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGCHLD);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
}

void keeper_hold_signals(void)
{
    sigset_t signals;

    fill_signals(&signals);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
}

static int watch_signals(void)
{
    sigset_t signals;

    fill_signals(&signals);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    keeper.signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (keeper.signals < 0)
        return -errno;
    return loop_fd_set(keeper.loop, keeper.signals, EPOLLIN, on_signal, NULL);
}

static void introduce(void)
{
    keeper.hello = (struct link_hello){.keeper_pid = (uint32_t)getpid(),
                                       .stays = keeper.options->stays,
                                       .started_unix_ns = clock_now_ns(CLOCK_REALTIME)};
    (void)getrandom(keeper.hello.seed, sizeof(keeper.hello.seed), 0);
}

int keeper_run(const struct keeper_options *options)
{
    int error;

    keeper.options = options;
    keeper.lock = options->lock;
    keeper.restart_timer.fn = start_worker;
    keeper.stop_timer.fn = kill_worker;
    introduce();
    error = loop_new(&keeper.loop);
    if (!error)
        error = watch_signals();
    if (!error)
        error = door_open(keeper.loop, options->listener, take_message);
    if (!error && options->socket_path && name_watch(keeper.loop, options->socket_path, restore_name))
        log_line(LOG_LEVEL_WARN, "nobody will notice if %s is removed: it can't be watched", options->socket_path);
    if (!error) {
        start_worker(NULL);
        error = loop_run(keeper.loop);
    }
    if (error)
        log_line(LOG_LEVEL_ERROR, "the keeper can't go on: %s", strerror(-error));
    close_listener();
    door_deinit();
    while (keeper.held.first)
        held_remove(&keeper.held, keeper.held.first);
    close(keeper.signals);
    loop_free(keeper.loop);
    return error || keeper.failed ? 1 : 0;
}
