/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes, by way of messages: send, recv and their kin. */
#include "hooks/hook.h"

#include "preload/link.h"
#include "preload/outgoing.h"

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Received bytes that are no next bytes of the stream: out of band, or from the error queue. */
static bool is_aside(int flags)
{
    return (flags & (MSG_OOB | MSG_ERRQUEUE)) != 0;
}

/* Bytes read with MSG_PEEK come again. The end or a failure may not: some programs look first and then close (wget). */
static bool comes_again(int flags, ssize_t n)
{
    return (flags & MSG_PEEK) && n > 0;
}

static void received(struct hook_call *call, const void *buf, size_t len, int flags, ssize_t n)
{
    hook_done(call);
    if (flags & MSG_TRUNC && !comes_again(flags, n))
        conn_skip_in(&call->conn, n); /* a stream's bytes are thrown away, not copied: tcp(7) */
    else if (!comes_again(flags, n))
        conn_data_in(&call->conn, buf, len, n);
    hook_leave(call);
}

HOOK
ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    struct hook_call call;

    if (is_aside(flags) || !hook_enter(&call, fd))
        return REAL(recv)(fd, buf, len, flags);
    ssize_t n = REAL(recv)(fd, buf, len, flags);
    received(&call, buf, len, flags, n);
    return n;
}

ssize_t __recv_chk(int fd, void *buf, size_t len, size_t buf_size, int flags);

HOOK
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t buf_size, int flags)
{
    struct hook_call call;

    if (is_aside(flags) || !hook_enter(&call, fd))
        return REAL(__recv_chk)(fd, buf, len, buf_size, flags);
    ssize_t n = REAL(__recv_chk)(fd, buf, len, buf_size, flags);
    received(&call, buf, len, flags, n);
    return n;
}

HOOK
ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *from_length)
{
    struct hook_call call;

    if (is_aside(flags) || !hook_enter(&call, fd))
        return REAL(recvfrom)(fd, buf, len, flags, from, from_length);
    ssize_t n = REAL(recvfrom)(fd, buf, len, flags, from, from_length);
    received(&call, buf, len, flags, n);
    return n;
}

ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t buf_size, int flags, struct sockaddr *from,
                       socklen_t *from_length);

HOOK
ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t buf_size, int flags, struct sockaddr *from,
                       socklen_t *from_length)
{
    struct hook_call call;

    if (is_aside(flags) || !hook_enter(&call, fd))
        return REAL(__recvfrom_chk)(fd, buf, len, buf_size, flags, from, from_length);
    ssize_t n = REAL(__recvfrom_chk)(fd, buf, len, buf_size, flags, from, from_length);
    received(&call, buf, len, flags, n);
    return n;
}

/* For each descriptor that a message carries. (CMSG_NXTHDR is a function of glibc's where the compiler builds for size;
 * other libcs have none.) */
static void each_descriptor(const struct msghdr *message, void (*tell)(int fd))
{
    const char *at = message->msg_control;
    struct cmsghdr header;
    int fd;

    for (size_t left = message->msg_controllen; left >= sizeof(header);) {
        memcpy(&header, at, sizeof(header));
        if (header.cmsg_len < sizeof(header) || header.cmsg_len > left)
            return;
        if (header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS)
            for (size_t next = CMSG_LEN(0); next + sizeof(fd) <= header.cmsg_len; next += sizeof(fd)) {
                memcpy(&fd, at + next, sizeof(fd));
                tell(fd);
            }
        if (CMSG_ALIGN(header.cmsg_len) >= left)
            return;
        left -= CMSG_ALIGN(header.cmsg_len);
        at += CMSG_ALIGN(header.cmsg_len);
    }
}

/* A descriptor that came along is new to us. */
static void taken(int fd)
{
    link_received(fd);
    if (hook_active())
        conn_forget(fd);
}

/* What a message brought: n as recvmsg returns it. */
static void message_received(const struct conn_ref *conn, struct msghdr *message, int flags, ssize_t n)
{
    if (comes_again(flags, n))
        return;
    if (n < 0 || (flags & MSG_TRUNC)) /* after a failure the message may not even be readable */
        conn_skip_in(conn, n);
    else
        conn_data_in_vector(conn, message->msg_iov, (int)message->msg_iovlen, n);
}

/* And what one took away. */
static void message_sent(const struct conn_ref *conn, const struct msghdr *message, ssize_t n)
{
    if (n < 0) /* the same */
        conn_skip_out(conn, n);
    else
        conn_data_out_vector(conn, message->msg_iov, (int)message->msg_iovlen, n);
}

HOOK
ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    struct hook_call call;
    bool followed = !is_aside(flags) && hook_enter(&call, fd);
    ssize_t n = REAL(recvmsg)(fd, message, flags);

    hook_done(&call);
    if (n >= 0 && message->msg_controllen > 0)
        each_descriptor(message, taken);
    if (followed)
        message_received(&call.conn, message, flags, n);
    hook_leave(&call);
    return n;
}

HOOK
int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
    struct hook_call call;
    bool followed = !is_aside(flags) && hook_enter(&call, fd);
    int received_count = REAL(recvmmsg)(fd, messages, count, flags, timeout);

    hook_done(&call);
    if (followed && received_count < 0)
        conn_skip_in(&call.conn, received_count);
    for (int i = 0; i < received_count; i++) {
        struct msghdr *message = &messages[i].msg_hdr;

        if (message->msg_controllen > 0)
            each_descriptor(message, taken);
        if (followed)
            message_received(&call.conn, message, flags, (ssize_t)messages[i].msg_len);
    }
    hook_leave(&call);
    return received_count;
}

/* Bytes that may be replaced: the kernel keeps none of them after the call. */
static bool is_copied(int flags)
{
    return (flags & MSG_ZEROCOPY) == 0;
}

static ssize_t by_send(const struct conn_sender *sender, const struct iovec *iov, int count)
{
    (void)count;
    return REAL(send)(sender->fd, iov->iov_base, iov->iov_len, sender->flags);
}

bool hook_send_owed(const struct hook_call *call, int flags)
{
    const struct conn_sender sender = {
        .send = by_send, .takes_one = true, .fd = call->conn.fd, .flags = flags & (MSG_DONTWAIT | MSG_NOSIGNAL)};

    return conn_send_owed(&call->conn, &sender);
}

HOOK
ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    struct hook_call call;

    if ((flags & MSG_OOB) || !hook_enter(&call, fd))
        return REAL(send)(fd, buf, len, flags);
    if (conn_looks_ahead(&call.conn) && is_copied(flags))
        return conn_send(&call.conn,
                         &(struct conn_sender){.send = by_send, .takes_one = true, .fd = fd, .flags = flags},
                         &(struct iovec){(void *)(uintptr_t)buf, len}, 1);
    if (!hook_send_owed(&call, flags))
        return -1;
    ssize_t n = REAL(send)(fd, buf, len, flags);
    hook_done(&call);
    conn_data_out(&call.conn, buf, n);
    hook_leave(&call);
    return n;
}

static ssize_t by_sendto(const struct conn_sender *sender, const struct iovec *iov, int count)
{
    (void)count;
    return REAL(sendto)(sender->fd, iov->iov_base, iov->iov_len, sender->flags, sender->more, sender->more_length);
}

HOOK
ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t to_length)
{
    struct hook_call call;

    if ((flags & MSG_OOB) || !hook_enter(&call, fd))
        return REAL(sendto)(fd, buf, len, flags, to, to_length);
    if (conn_looks_ahead(&call.conn) && is_copied(flags))
        return conn_send(
            &call.conn,
            &(struct conn_sender){
                .send = by_sendto, .takes_one = true, .fd = fd, .flags = flags, .more = to, .more_length = to_length},
            &(struct iovec){(void *)(uintptr_t)buf, len}, 1);
    if (!hook_send_owed(&call, flags))
        return -1;
    ssize_t n = REAL(sendto)(fd, buf, len, flags, to, to_length);
    hook_done(&call);
    conn_data_out(&call.conn, buf, n);
    hook_leave(&call);
    return n;
}

static ssize_t by_sendmsg(const struct conn_sender *sender, const struct iovec *iov, int count)
{
    struct msghdr message = *(const struct msghdr *)sender->more;

    message.msg_iov = (struct iovec *)(uintptr_t)iov;
    message.msg_iovlen = (size_t)count;
    return REAL(sendmsg)(sender->fd, &message, sender->flags);
}

HOOK
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct hook_call call;
    bool followed = !(flags & MSG_OOB) && hook_enter(&call, fd);

    if (followed && conn_looks_ahead(&call.conn) && is_copied(flags) && outgoing_may_read(message, sizeof(*message)) &&
        message->msg_controllen == 0 && message->msg_iovlen <= OUTGOING_VECTOR_MAX)
        return conn_send(&call.conn,
                         &(struct conn_sender){.send = by_sendmsg, .fd = fd, .flags = flags, .more = message},
                         message->msg_iov, (int)message->msg_iovlen);
    if (followed && !hook_send_owed(&call, flags))
        return -1;
    ssize_t n = REAL(sendmsg)(fd, message, flags);

    hook_done(&call);
    if (n >= 0 && message->msg_controllen > 0 && hook_active())
        each_descriptor(message, conn_passed);
    if (followed)
        message_sent(&call.conn, message, n);
    hook_leave(&call);
    return n;
}

HOOK
int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
    struct hook_call call;
    bool followed = !(flags & MSG_OOB) && hook_enter(&call, fd);

    if (followed && !hook_send_owed(&call, flags))
        return -1;
    int sent = REAL(sendmmsg)(fd, messages, count, flags);

    hook_done(&call);
    if (followed && sent < 0)
        conn_skip_out(&call.conn, sent);
    for (int i = 0; i < sent; i++) {
        const struct msghdr *message = &messages[i].msg_hdr;

        if (message->msg_controllen > 0 && hook_active())
            each_descriptor(message, conn_passed);
        if (followed)
            message_sent(&call.conn, message, (ssize_t)messages[i].msg_len);
    }
    hook_leave(&call);
    return sent;
}
