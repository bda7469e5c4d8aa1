// SPDX-License-Identifier: Apache-2.0
/* Which end of which connection. */
#include "hooks/hook.h"

#include "preload/link.h"

#include <sys/socket.h>

/* What a server or client of ours could speak over. */
static bool is_stream(int domain, int type)
{
    return (domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX) &&
           (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM;
}

HOOK
int socket(int domain, int type, int protocol)
{
    int fd = REAL(socket)(domain, type, protocol);
    int saved_errno = errno;

    if (fd < 0)
        return fd;
    if (is_stream(domain, type) && domain != AF_UNIX)
        link_ensure();
    if (hook_active()) {
        if (is_stream(domain, type))
            conn_forget(fd);
        else
            conn_ignore(fd);
    }
    errno = saved_errno;
    return fd;
}

HOOK
int socketpair(int domain, int type, int protocol, int fds[2])
{
    int result = REAL(socketpair)(domain, type, protocol, fds);
    int saved_errno = errno;

    if (result == 0 && hook_active()) {
        conn_forget(fds[0]);
        conn_forget(fds[1]);
        errno = saved_errno;
    }
    return result;
}

HOOK
int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int result = REAL(bind)(fd, address, length);
    int saved_errno = errno;

    if (result == 0 && hook_active()) {
        conn_bound(fd, address, length);
        errno = saved_errno;
    }
    return result;
}

HOOK
int listen(int fd, int backlog)
{
    int result = REAL(listen)(fd, backlog);

    if (result == 0)
        link_ensure();
    return result;
}

/* The peer's address, also where the program does not want it: the same call, asked for more. */
struct peer {
    struct sockaddr_storage storage;
    socklen_t length;
};

static int accepted(int listener, int fd, const struct sockaddr *address, socklen_t room, const socklen_t *length)
{
    int saved_errno = errno;

    if (fd < 0)
        return fd;
    if (hook_active())
        conn_accepted(listener, fd, address, *length < room ? *length : room);
    errno = saved_errno;
    return fd;
}

HOOK
int accept(int fd, struct sockaddr *address, socklen_t *length)
{
    struct peer peer = {.length = sizeof(peer.storage)};

    link_ensure(); /* the listener may have come by inheritance */
    if (address && length) {
        socklen_t room = *length;
        int result = REAL(accept)(fd, address, length);
        return accepted(fd, result, address, room, length);
    }
    if (address || !hook_active())
        return accepted(fd, REAL(accept)(fd, address, length), NULL, 0, &peer.length);

    int result = REAL(accept)(fd, (struct sockaddr *)&peer.storage, &peer.length);
    return accepted(fd, result, (struct sockaddr *)&peer.storage, sizeof(peer.storage), &peer.length);
}

HOOK
int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    struct peer peer = {.length = sizeof(peer.storage)};

    link_ensure(); /* the listener may have come by inheritance */
    if (address && length) {
        socklen_t room = *length;
        int result = REAL(accept4)(fd, address, length, flags);
        return accepted(fd, result, address, room, length);
    }
    if (address || !hook_active())
        return accepted(fd, REAL(accept4)(fd, address, length, flags), NULL, 0, &peer.length);

    int result = REAL(accept4)(fd, (struct sockaddr *)&peer.storage, &peer.length, flags);
    return accepted(fd, result, (struct sockaddr *)&peer.storage, sizeof(peer.storage), &peer.length);
}

/* The client's side is none of ours yet. */
HOOK
int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int result = REAL(connect)(fd, address, length);
    int saved_errno = errno;

    if (hook_active()) {
        conn_ignore(fd);
        errno = saved_errno;
    }
    return result;
}

HOOK
int shutdown(int fd, int how)
{
    struct hook_call call;

    if (!hook_enter(&call, fd))
        return REAL(shutdown)(fd, how);
    int result = REAL(shutdown)(fd, how);
    hook_done(&call);
    if (result == 0 && how != SHUT_RD)
        conn_shut_out(&call.conn);
    hook_leave(&call);
    return result;
}
