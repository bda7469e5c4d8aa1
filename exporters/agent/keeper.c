/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/keeper.h"

#include "exporters/agent/door.h"
#include "exporters/agent/foreign.h"
#include "exporters/agent/held.h"
#include "exporters/agent/link.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/name.h"
#include "exporters/agent/runtime.h"
#include "exporters/agent/users.h"
#include "exporters/agent/worker_process.h"
#include "preload/wire.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* The keeper; loop only. */
static struct {
    const struct keeper_options *options;
    struct loop *loop;
    int lock; /* beside the socket; -1: none */
    int signals;
    struct held_list held;
    uint32_t last_id;
    bool stopping;
    bool closed; /* the socket's name is gone, or another agent's */
    bool failed; /* the last worker */
} keeper;

/* leaving */

/* Remove the socket's name, unless it is another agent's by now. */
static void remove_name(void)
{
    if (keeper.options->socket_path && !keeper.closed && runtime_lock_stands(keeper.options->socket_path, keeper.lock))
        (void)unlink(keeper.options->socket_path);
}

static void close_listener(void)
{
    name_unwatch();
    remove_name();
    keeper.closed = true;
    door_close();
}

/* End the worker, and then us. Who came before is served. */
static void stop(void)
{
    keeper.stopping = true;
    remove_name();
    door_shut();
    close_listener();
    worker_process_stop();
}

static void end_with_worker(bool has_failed)
{
    keeper.failed = has_failed;
    close_listener();
    loop_stop(keeper.loop);
}

/* connections */

/* A pidfd of the peer, whichever process gets its number later. -1: the peer is gone, or there is no pidfd. */
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
        foreign_hang_up(connection);
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
    worker_process_feed();
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

/* The worker has nothing to do: leave, unless a client comes at this very moment. Once the name is gone and the
 * socket is shut, none can; one that came before is in the backlog, and makes us stay. */
static void leave_if_idle(uint32_t had_count)
{
    size_t before = keeper.held.count;

    if (keeper.options->stays || keeper.stopping || door_is_crowded() || !worker_process_had_all(had_count))
        return;
    remove_name();
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

/* Take the lock beside the socket, which may have been removed with it. False: another agent has it. */
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

/* The socket's name is gone, so no client finds us any more. Those that have connected before are served all the
 * same. */
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

static void on_signal(void *arg, int fd, uint32_t events)
{
    struct signalfd_siginfo info;

    (void)arg;
    (void)events;
    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            worker_process_reap();
        } else if (keeper.stopping) {
            worker_process_kill(); /* told twice */
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

int keeper_run(const struct keeper_options *options)
{
    int error;

    keeper.options = options;
    keeper.lock = options->lock;
    error = loop_new(&keeper.loop);
    if (!error)
        error = watch_signals();
    if (!error)
        error = door_open(keeper.loop, options->listener, take_message);
    if (!error && options->socket_path && name_watch(keeper.loop, options->socket_path, restore_name))
        log_line(LOG_LEVEL_WARN, "nobody will notice if %s is removed: it can't be watched", options->socket_path);
    if (!error) {
        worker_process_start(&(struct worker_process_options){.loop = keeper.loop,
                                                              .held = &keeper.held,
                                                              .log_path = options->log_path,
                                                              .stays = options->stays,
                                                              .on_idle = leave_if_idle,
                                                              .on_end = end_with_worker});
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
