/* SPDX-License-Identifier: Apache-2.0 */
#include "http_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int http_calls_by_name(const char *name)
{
    static const char *const names[] = {"plain", "socket", "vector", "message"};

    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

/* True when the failed call is worth repeating: interrupted, or the socket was waited for. */
static bool try_again(int fd, short events)
{
    if (errno == EINTR)
        return true;
    if (errno != EAGAIN)
        return false;

    struct pollfd ready = {.fd = fd, .events = events};
    return poll(&ready, 1, -1) >= 0 || errno == EINTR;
}

static ssize_t in_once(int fd, enum http_calls calls, char *bytes, size_t len)
{
    /* Two elements, so that a head is likely to lie across them. */
    size_t half = len > 1 ? len / 2 : 1;
    struct iovec parts[2] = {{bytes, half}, {bytes + half, len - half}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    switch (calls) {
    case HTTP_CALLS_PLAIN:
        return read(fd, bytes, len);
    case HTTP_CALLS_SOCKET:
        return recv(fd, bytes, len, 0);
    case HTTP_CALLS_VECTOR:
        return readv(fd, parts, 2);
    case HTTP_CALLS_MESSAGE:
        return recvmsg(fd, &message, 0);
    }
    return -1;
}

ssize_t http_bytes_in(int fd, enum http_calls calls, char *bytes, size_t len)
{
    ssize_t got;

    do
        got = in_once(fd, calls, bytes, len);
    while (got < 0 && try_again(fd, POLLIN));
    return got;
}

static ssize_t out_once(int fd, enum http_calls calls, char *bytes, size_t len)
{
    size_t half = len > 1 ? len / 2 : 1;
    struct iovec parts[2] = {{bytes, half}, {bytes + half, len - half}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    switch (calls) {
    case HTTP_CALLS_PLAIN:
        return write(fd, bytes, len);
    case HTTP_CALLS_SOCKET:
        return send(fd, bytes, len, MSG_NOSIGNAL);
    case HTTP_CALLS_VECTOR:
        return writev(fd, parts, 2);
    case HTTP_CALLS_MESSAGE:
        return sendmsg(fd, &message, MSG_NOSIGNAL);
    }
    return -1;
}

bool http_bytes_out(int fd, enum http_calls calls, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = out_once(fd, calls, (char *)bytes, len);
        if (n >= 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (!try_again(fd, POLLOUT)) {
            return false;
        }
    }
    return true;
}

/* A file of `len` bytes of filling that has no name; -1 when it can't be had. */
static int filling_file(size_t len)
{
    char block[4096];
    int file = memfd_create("filling", MFD_CLOEXEC);

    memset(block, 'x', sizeof block);
    for (size_t done = 0; file >= 0 && done < len;) {
        ssize_t n = write(file, block, len - done < sizeof block ? len - done : sizeof block);
        if (n <= 0) {
            (void)close(file);
            return -1;
        }
        done += (size_t)n;
    }
    return file;
}

bool http_bytes_sendfile(int fd, size_t len)
{
    int file = filling_file(len);
    off_t position = 0;
    bool good = file >= 0;

    while (good && (size_t)position < len) {
        ssize_t n = sendfile(fd, file, &position, len - (size_t)position);
        good = n > 0 || (n < 0 && try_again(fd, POLLOUT));
    }
    (void)close(file);
    return good;
}

/* Move what the pipe holds to the socket. */
static bool drain_pipe(int fd, int pipe_out, size_t held)
{
    while (held > 0) {
        ssize_t n = splice(pipe_out, NULL, fd, NULL, held, SPLICE_F_MOVE);
        if (n > 0)
            held -= (size_t)n;
        else if (n == 0 || !try_again(fd, POLLOUT))
            return false;
    }
    return true;
}

bool http_bytes_splice(int fd, size_t len)
{
    int file = filling_file(len);
    int ends[2] = {-1, -1};
    off64_t position = 0;
    bool good = file >= 0 && pipe2(ends, O_CLOEXEC) == 0;

    while (good && (size_t)position < len) {
        ssize_t held = splice(file, &position, ends[1], NULL, len - (size_t)position, SPLICE_F_MOVE);
        good = held > 0 && drain_pipe(fd, ends[0], (size_t)held);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)close(file);
    return good;
}
