/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a descriptor. State is cleared before the real close: after it the number may be another thread's. */
#include "hooks/hook.h"

#include "preload/stdio.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

HOOK
int close(int fd)
{
    if (hook_follows())
        conn_closing(fd);
    return REAL(close)(fd);
}

HOOK
int close_range(unsigned int first, unsigned int last, int flags)
{
    if (hook_follows() && (flags & ~(int)CLOSE_RANGE_UNSHARE) == 0) /* else it closes nothing, or fails */
        conn_closing_range(first, last);
    return REAL(close_range)(first, last, flags);
}

HOOK
void closefrom(int lowest)
{
    if (hook_follows())
        conn_closing_range(lowest < 0 ? 0 : (unsigned)lowest, ~0u);
    REAL(closefrom)(lowest);
}

/* Its descriptor is closed inside libc. */
HOOK
int fclose(FILE *stream)
{
    if (hook_follows() && stream && !stdio_sees_close(stream))
        conn_closing(stream->_fileno); /* fileno() is one more import, of stdio */
    return REAL(fclose)(stream);
}

/* -1: there is nothing to be done after freopen(). */
static int reopening(const FILE *stream)
{
    return hook_follows() && stdio_sees_close(stream) ? stream->_fileno : -1;
}

/* freopen(): if it does not fail, the number stays and stands for another file; numbers 1 and 2 stay logs if they
 * were. */
static FILE *reopened(int fd, FILE *stream)
{
    if (fd > STDERR_FILENO || (fd >= 0 && !stream))
        conn_closing(fd);
    return stream;
}

HOOK
FILE *freopen(const char *path, const char *mode, FILE *stream)
{
    int fd = reopening(stream);

    return reopened(fd, REAL(freopen)(path, mode, stream));
}

HOOK
FILE *freopen64(const char *path, const char *mode, FILE *stream)
{
    int fd = reopening(stream);

    return reopened(fd, REAL(freopen64)(path, mode, stream));
}

/* It may write to a copy of standard error that libc makes inside. */
HOOK
void perror(const char *text)
{
    stdio_perror(true);
    REAL(perror)(text);
    stdio_perror(false);
}

/* stdio moves its bytes inside libc: what goes through a stream can't be seen. */
HOOK
FILE *fdopen(int fd, const char *mode)
{
    struct hook_call call;
    bool followed = hook_enter(&call, fd);
    FILE *stream = REAL(fdopen)(fd, mode);

    if (followed && stream) {
        hook_done(&call);
        conn_give_up(&call.conn);
        hook_leave(&call);
    }
    return stream;
}

static void made(int fd, int other)
{
    int saved_errno = errno;

    if (fd >= 0 && hook_active()) {
        conn_wakeup(fd, other);
        errno = saved_errno;
    }
}

HOOK
int pipe(int ends[2])
{
    int result = REAL(pipe)(ends);

    if (result == 0)
        made(ends[0], ends[1]);
    return result;
}

HOOK
int pipe2(int ends[2], int flags)
{
    int result = REAL(pipe2)(ends, flags);

    if (result == 0)
        made(ends[0], ends[1]);
    return result;
}

HOOK
int eventfd(unsigned int value, int flags)
{
    int fd = REAL(eventfd)(value, flags);

    made(fd, -1);
    return fd;
}

HOOK
int timerfd_create(clockid_t clock, int flags)
{
    int fd = REAL(timerfd_create)(clock, flags);

    made(fd, -1);
    return fd;
}

static int duplicated(int of, int fd)
{
    int saved_errno = errno;

    if (fd >= 0 && fd != of && hook_follows()) {
        conn_duplicated(of, fd);
        errno = saved_errno;
    }
    return fd;
}

HOOK
int dup(int fd)
{
    return duplicated(fd, REAL(dup)(fd));
}

HOOK
int dup2(int fd, int target)
{
    return duplicated(fd, REAL(dup2)(fd, target));
}

HOOK
int dup3(int fd, int target, int flags)
{
    return duplicated(fd, REAL(dup3)(fd, target, flags));
}

/* The third argument may be missing; what stands in its place is passed on as libc itself does. */
HOOK
int fcntl(int fd, int command, ...)
{
    va_list arguments;

    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int result = REAL(fcntl)(fd, command, argument);
    return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? duplicated(fd, result) : result;
}

HOOK
int fcntl64(int fd, int command, ...) SAME_AS(fcntl);
