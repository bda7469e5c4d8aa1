/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/door.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/foreign.h"
#include "exporters/agent/link.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/users.h"
#include "preload/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPTS_PER_ROUND = 64, SILENT_MAX = 256, SILENT_OF_USER_MAX = 16 };
static const uint64_t silence_ns = 5000 * NS_PER_MS;
static const uint64_t accept_pause_ns = 100 * NS_PER_MS;

/* A connection whose message hasn't come yet. */
struct silent {
    struct silent *next;
    int fd;
    uid_t uid;
    struct loop_timer timer;
};

/* The door; loop only. */
static struct {
    struct loop *loop;
    int listener; /* -1: closed */
    door_message *take_message;
    struct silent *silents; /* the newest first */
    size_t silent_count;
    struct loop_timer accept_timer;
} door = {.listener = -1};

/* Try to take a connection's message: false when it hasn't come. */
static bool serve_connection(int connection, uid_t *ret_uid)
{
    static uint8_t bytes[WIRE_MESSAGE_MAX]; /* loop only */
    socklen_t size = sizeof(struct ucred);
    struct ucred peer;
    int fds[LINK_FDS_MAX];
    unsigned fd_count = 0;
    long length;

    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) || !users_may_connect(peer.uid)) {
        foreign_hang_up(connection);
        return true;
    }
    *ret_uid = peer.uid;
    length = link_receive_bytes(connection, bytes, sizeof(bytes), fds, &fd_count);
    if (length == -EAGAIN)
        return false;
    if (link_is_short((int)length))
        log_line(LOG_LEVEL_ERROR, "process %d is not served: %s", (int)peer.pid, strerror((int)-length));
    if (length <= 0) { /* an empty packet may have descriptors all the same */
        link_close_fds(fds, fd_count);
        foreign_hang_up(connection);
        return true;
    }
    door.take_message(connection, &peer, bytes, (size_t)length, fds, fd_count);
    return true;
}

/* Take it off the list; the descriptor is not ours any more, or is closed by the caller. */
static int forget_silent(struct silent *silent)
{
    struct silent **link = &door.silents;
    int fd = silent->fd;

    while (*link != silent)
        link = &(*link)->next;
    *link = silent->next;
    loop_timer_clear(door.loop, &silent->timer);
    loop_fd_remove(door.loop, fd);
    free(silent);
    door.silent_count--;
    return fd;
}

static void silent_too_long(void *arg)
{
    foreign_hang_up(forget_silent(arg));
}

static void silent_spoke(void *arg, int fd, uint32_t events)
{
    uid_t uid;

    (void)events;
    (void)forget_silent(arg);
    if (!serve_connection(fd, &uid))
        foreign_hang_up(fd);
}

/* The last of the list, of this user alone where it has its share. NULL: there is room. */
static struct silent *find_superfluous(uid_t uid)
{
    struct silent *oldest = NULL, *oldest_own = NULL;
    size_t own_count = 0;

    for (struct silent *silent = door.silents; silent; silent = silent->next) {
        oldest = silent;
        if (silent->uid == uid) {
            oldest_own = silent;
            own_count++;
        }
    }
    if (!users_is_trusted(uid) && own_count >= SILENT_OF_USER_MAX)
        return oldest_own;
    return door.silent_count >= SILENT_MAX ? oldest : NULL;
}

static void wait_for_message(int connection, uid_t uid)
{
    struct silent *silent = calloc(1, sizeof(*silent));
    struct silent *superfluous = find_superfluous(uid);

    if (superfluous)
        foreign_hang_up(forget_silent(superfluous));
    if (!silent) {
        foreign_hang_up(connection);
        return;
    }
    silent->fd = connection;
    silent->uid = uid;
    silent->timer = (struct loop_timer){.fn = silent_too_long, .arg = silent};
    silent->next = door.silents;
    door.silents = silent;
    door.silent_count++;
    if (loop_timer_set(door.loop, &silent->timer, silence_ns) ||
        loop_fd_set(door.loop, connection, EPOLLIN, silent_spoke, silent))
        foreign_hang_up(forget_silent(silent));
}

/* Accept one connection: 0, or -errno as accept says. */
static int accept_one(void)
{
    int connection = accept4(door.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    uid_t uid;

    if (connection < 0)
        return -errno;
    if (!serve_connection(connection, &uid))
        wait_for_message(connection, uid);
    return 0;
}

static void on_listener(void *arg, int fd, uint32_t events)
{
    (void)arg;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
        int error = accept_one();

        if (error == -EAGAIN)
            return;
        if (link_is_short(error)) {
            log_line(LOG_LEVEL_ERROR, "no connection can be taken: %s", strerror(-error));
            loop_fd_remove(door.loop, fd); /* it would be reported again at once */
            (void)loop_timer_set(door.loop, &door.accept_timer, accept_pause_ns);
            return;
        }
    }
}

static void watch_listener(void *arg)
{
    (void)arg;
    if (door.listener >= 0)
        (void)loop_fd_set(door.loop, door.listener, EPOLLIN, on_listener, NULL);
}

int door_open(struct loop *loop, int listener, door_message *take_message)
{
    door.loop = loop;
    door.listener = listener;
    door.take_message = take_message;
    door.accept_timer.fn = watch_listener;
    return loop_fd_set(loop, listener, EPOLLIN, on_listener, NULL);
}

void door_shut(void)
{
    (void)shutdown(door.listener, SHUT_RDWR);
    while (accept_one() == 0)
        ;
}

void door_close(void)
{
    if (door.listener < 0)
        return;
    loop_timer_clear(door.loop, &door.accept_timer);
    loop_fd_remove(door.loop, door.listener);
    foreign_close(door.listener);
    door.listener = -1;
}

bool door_is_crowded(void)
{
    return door.silents != NULL;
}

void door_deinit(void)
{
    door_close();
    while (door.silents)
        foreign_close(forget_silent(door.silents));
}
