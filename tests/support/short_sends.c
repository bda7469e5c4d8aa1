/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded behind the shim, it is a kernel that takes as little of what is sent as a test wants. SHORT_SENDS lists
 * what becomes of a TCP socket's calls, in order, each new socket from the start: a number (at most so many bytes are
 * taken), % (as many as sockets were made), again, intr or reset (the call fails so). When the list is over, calls do
 * what they do. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(function) ((__typeof__(function) *)dlsym(RTLD_NEXT, #function))

#define EXPORTED __attribute__((visibility("default")))

enum { IOV_MOST = 1100 };

static const char *step;
static unsigned sockets;
static int limited = -1; /* the socket that was made last; a test's program has one at a time */

EXPORTED int socket(int domain, int type, int protocol)
{
    int fd = NEXT(socket)(domain, type, protocol);

    if (domain == AF_INET) {
        limited = fd;
        step = getenv("SHORT_SENDS");
        sockets++;
    }
    return fd;
}

/* How many bytes the next call on this descriptor may take; -1 with errno set: it fails. */
static ssize_t allowance(int fd)
{
    static const struct {
        const char *word;
        int number;
    } failures[] = {{"again", EAGAIN}, {"intr", EINTR}, {"reset", ECONNRESET}};

    if (fd != limited || !step || !*step)
        return SSIZE_MAX;

    const char *word = step;
    size_t length = strcspn(word, ",");

    step += length + (word[length] == ',');
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        if (length == strlen(failures[i].word) && memcmp(word, failures[i].word, length) == 0) {
            errno = failures[i].number;
            return -1;
        }
    }
    return *word == '%' ? (ssize_t)sockets : (ssize_t)strtol(word, NULL, 10);
}

/* As much of the buffers as is allowed; how many buffers that is. */
static int cut(struct iovec *to, const struct iovec *from, int count, size_t most)
{
    int used = 0;

    for (; used < count && used < IOV_MOST && most > 0; used++) {
        to[used] = from[used];
        if (to[used].iov_len > most)
            to[used].iov_len = most;
        most -= to[used].iov_len;
    }
    return used;
}

EXPORTED ssize_t write(int fd, const void *buf, size_t len)
{
    ssize_t most = allowance(fd);

    return most < 0 ? -1 : NEXT(write)(fd, buf, len < (size_t)most ? len : (size_t)most);
}

EXPORTED ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    ssize_t most = allowance(fd);

    return most < 0 ? -1 : NEXT(send)(fd, buf, len < (size_t)most ? len : (size_t)most, flags);
}

EXPORTED ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t to_length)
{
    ssize_t most = allowance(fd);

    return most < 0 ? -1 : NEXT(sendto)(fd, buf, len < (size_t)most ? len : (size_t)most, flags, to, to_length);
}

EXPORTED ssize_t writev(int fd, const struct iovec *iov, int count)
{
    struct iovec part[IOV_MOST];
    ssize_t most = allowance(fd);

    if (most < 0 || most == SSIZE_MAX)
        return most < 0 ? -1 : NEXT(writev)(fd, iov, count);
    return NEXT(writev)(fd, part, cut(part, iov, count, (size_t)most));
}

EXPORTED ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    struct iovec part[IOV_MOST];
    ssize_t most = allowance(fd);

    if (most < 0 || most == SSIZE_MAX)
        return most < 0 ? -1 : NEXT(pwritev2)(fd, iov, count, offset, flags);
    return NEXT(pwritev2)(fd, part, cut(part, iov, count, (size_t)most), offset, flags);
}

static ssize_t send_part(int fd, const struct msghdr *message, int flags, ssize_t most)
{
    struct iovec part[IOV_MOST];
    struct msghdr copy = *message;

    copy.msg_iov = part;
    copy.msg_iovlen = (size_t)cut(part, message->msg_iov, (int)message->msg_iovlen, (size_t)most);
    return NEXT(sendmsg)(fd, &copy, flags);
}

EXPORTED ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t most = allowance(fd);

    if (most < 0 || most == SSIZE_MAX)
        return most < 0 ? -1 : NEXT(sendmsg)(fd, message, flags);
    return send_part(fd, message, flags, most);
}

EXPORTED int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    ssize_t most = allowance(fd);

    if (most < 0 || most == SSIZE_MAX)
        return most < 0 ? -1 : NEXT(sendmmsg)(fd, messages, count, flags);

    ssize_t n = send_part(fd, &messages[0].msg_hdr, flags, most);

    messages[0].msg_len = (unsigned)n;
    return n < 0 ? -1 : 1;
}
