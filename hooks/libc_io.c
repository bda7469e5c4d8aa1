/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes: read, write and their vector forms. */
#include "hooks/hook.h"

#include "preload/outgoing.h"

#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

HOOK
ssize_t read(int fd, void *buf, size_t len)
{
    struct hook_call call;

    if (!hook_enter(&call, fd))
        return REAL(read)(fd, buf, len);
    ssize_t n = REAL(read)(fd, buf, len);
    hook_done(&call);
    conn_data_in(&call.conn, buf, len, n);
    hook_leave(&call);
    return n;
}

/* read() where the compiler knew the buffer's size; the original aborts on an overflow. */
ssize_t __read_chk(int fd, void *buf, size_t len, size_t buf_size);

HOOK
ssize_t __read_chk(int fd, void *buf, size_t len, size_t buf_size)
{
    struct hook_call call;

    if (!hook_enter(&call, fd))
        return REAL(__read_chk)(fd, buf, len, buf_size);
    ssize_t n = REAL(__read_chk)(fd, buf, len, buf_size);
    hook_done(&call);
    conn_data_in(&call.conn, buf, len, n);
    hook_leave(&call);
    return n;
}

__attribute__((cold, noinline)) static ssize_t log_write(int fd, const void *buf, size_t len)
{
    ssize_t n = REAL(write)(fd, buf, len);

    applog_written(fd, buf, n);
    return n;
}

static ssize_t by_write(const struct conn_sender *sender, const struct iovec *iov, int count)
{
    (void)count;
    return REAL(write)(sender->fd, iov->iov_base, iov->iov_len);
}

HOOK
ssize_t write(int fd, const void *buf, size_t len)
{
    struct hook_call call;

    if (applog_takes(fd))
        return log_write(fd, buf, len);
    if (!hook_enter(&call, fd))
        return REAL(write)(fd, buf, len);
    if (conn_looks_ahead(&call.conn))
        return conn_send(&call.conn, &(struct conn_sender){.send = by_write, .takes_one = true, .fd = fd},
                         &(struct iovec){(void *)(uintptr_t)buf, len}, 1);
    ssize_t n = REAL(write)(fd, buf, len);
    hook_done(&call);
    conn_data_out(&call.conn, buf, n);
    hook_leave(&call);
    return n;
}

HOOK
ssize_t readv(int fd, const struct iovec *iov, int count)
{
    struct hook_call call;

    if (!hook_enter(&call, fd))
        return REAL(readv)(fd, iov, count);
    ssize_t n = REAL(readv)(fd, iov, count);
    hook_done(&call);
    conn_data_in_vector(&call.conn, iov, count, n);
    hook_leave(&call);
    return n;
}

__attribute__((cold, noinline)) static ssize_t log_writev(int fd, const struct iovec *iov, int count)
{
    ssize_t n = REAL(writev)(fd, iov, count);

    applog_written_vector(fd, iov, count, n);
    return n;
}

static ssize_t by_writev(const struct conn_sender *sender, const struct iovec *iov, int count)
{
    return REAL(writev)(sender->fd, iov, count);
}

HOOK
ssize_t writev(int fd, const struct iovec *iov, int count)
{
    struct hook_call call;

    if (applog_takes(fd))
        return log_writev(fd, iov, count);
    if (!hook_enter(&call, fd))
        return REAL(writev)(fd, iov, count);
    if (conn_looks_ahead(&call.conn))
        return conn_send(&call.conn, &(struct conn_sender){.send = by_writev, .fd = fd}, iov, count);
    ssize_t n = REAL(writev)(fd, iov, count);
    hook_done(&call);
    conn_data_out_vector(&call.conn, iov, count, n);
    hook_leave(&call);
    return n;
}

/* With an offset of -1 these work on sockets. */

HOOK
ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    struct hook_call call;

    if (offset != -1 || !hook_enter(&call, fd))
        return REAL(preadv2)(fd, iov, count, offset, flags);
    ssize_t n = REAL(preadv2)(fd, iov, count, offset, flags);
    hook_done(&call);
    conn_data_in_vector(&call.conn, iov, count, n);
    hook_leave(&call);
    return n;
}

HOOK
ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags) SAME_AS(preadv2);

static ssize_t by_pwritev2(const struct conn_sender *sender, const struct iovec *iov, int count)
{
    return REAL(pwritev2)(sender->fd, iov, count, -1, sender->flags);
}

HOOK
ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    struct hook_call call;

    if (offset != -1 || !hook_enter(&call, fd))
        return REAL(pwritev2)(fd, iov, count, offset, flags);
    if (conn_looks_ahead(&call.conn))
        return conn_send(&call.conn, &(struct conn_sender){.send = by_pwritev2, .fd = fd, .flags = flags}, iov, count);
    ssize_t n = REAL(pwritev2)(fd, iov, count, offset, flags);
    hook_done(&call);
    conn_data_out_vector(&call.conn, iov, count, n);
    hook_leave(&call);
    return n;
}

HOOK
ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags) SAME_AS(pwritev2);
