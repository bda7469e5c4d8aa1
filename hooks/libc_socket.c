/* SPDX-License-Identifier: Apache-2.0 */
/* Which end of which connection. */
#include "hooks/hook.h"

#include "preload/clock.h"
#include "preload/current.h"
#include "preload/link.h"
#include "preload/transfer.h"

#include <stdint.h>
#include <string.h>
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
        if (current_certain().slot) { /* to a child that works for it: Node's way to give one standard streams */
            conn_wakeup(fds[0], fds[1]);
        } else {
            conn_forget(fds[0]);
            conn_forget(fds[1]);
        }
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

/* The peer's address as accept() gives it, also where the program does not want it: the same call, asked for more. */
struct peer {
    struct sockaddr *address;
    socklen_t *length;
    size_t room; /* of `address` */
    socklen_t own_length;
    struct sockaddr_storage own;
};

/* Up to here above our frame is the stack of who called us, which can be read. */
enum { CALLERS_STACK = 16384, PAGE = 4096 };

/* How much the caller's buffer takes. Its pointers may be bad, which is the kernel's to say (EFAULT): the length is
 * looked at only where it lies on the stack. Elsewhere the buffer is trusted to the end of its page. */
static size_t room_of(const struct sockaddr *address, const socklen_t *length)
{
    if ((uintptr_t)length - (uintptr_t)__builtin_frame_address(0) < CALLERS_STACK)
        return *length;
    return PAGE - (uintptr_t)address % PAGE;
}

static void peer_prepare(struct peer *peer, struct sockaddr *address, socklen_t *length)
{
    peer->address = address;
    peer->length = length;
    peer->room = 0;
    if (!hook_active())
        return;
    if (!address) {
        peer->address = (struct sockaddr *)&peer->own;
        peer->length = &peer->own_length;
        peer->own_length = sizeof(peer->own);
        peer->room = sizeof(peer->own);
    } else {
        peer->room = room_of(address, length);
    }
}

static int accepted(int listener, int fd, const struct peer *peer)
{
    int saved_errno = errno;

    if (fd >= 0 && hook_active()) {
        size_t length = peer->room > 0 ? *peer->length : 0;

        conn_accepted(listener, fd, peer->address, length < peer->room ? length : peer->room);
    }
    errno = saved_errno;
    return fd;
}

HOOK
int accept(int fd, struct sockaddr *address, socklen_t *length)
{
    struct peer peer;

    link_ensure(); /* the listener may have come by inheritance */
    peer_prepare(&peer, address, length);
    return accepted(fd, REAL(accept)(fd, peer.address, peer.length), &peer);
}

HOOK
int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    struct peer peer;

    link_ensure(); /* the listener may have come by inheritance */
    peer_prepare(&peer, address, length);
    return accepted(fd, REAL(accept4)(fd, peer.address, peer.length, flags), &peer);
}

HOOK
int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    const uint64_t start_ns = hook_active() ? clock_mono_ns() : 0;
    int result = REAL(connect)(fd, address, length);
    int saved_errno = errno;

    if (start_ns > 0) {
        if (transfer_is_libcurl(__builtin_return_address(0)))
            conn_ignore(fd); /* its requests are seen above */
        else
            conn_connecting(fd, address, length, start_ns, result == 0 ? 0 : saved_errno);
        errno = saved_errno;
    }
    return result;
}

/* SO_ERROR: what has become of a connection that was made without waiting, or that failed since. Anything else: who
 * asks begins to work on what came by it (Puma's threads look whether the client is still there). */
HOOK
int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    struct hook_call call;
    int error;

    if (!hook_enter(&call, fd))
        return REAL(getsockopt)(fd, level, name, value, length);
    int result = REAL(getsockopt)(fd, level, name, value, length);
    hook_done(&call);
    if (result == 0 && level == SOL_SOCKET && name == SO_ERROR && *length == sizeof(error)) {
        memcpy(&error, value, sizeof(error));
        conn_told(&call.conn, error);
    }
    conn_touched(&call.conn);
    hook_leave(&call);
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
    if (result == 0 && how != SHUT_WR)
        conn_shut_in(&call.conn);
    if (result == 0 && how != SHUT_RD)
        conn_shut_out(&call.conn);
    hook_leave(&call);
    return result;
}
