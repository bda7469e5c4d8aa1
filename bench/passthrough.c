/* SPDX-License-Identifier: Apache-2.0 */
/* The floor: a preload that interposes what a server's requests go through and only forwards. What the shim costs
 * beyond this is the shim's own. */
#include <dlfcn.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* PASS(result, name, parameters, arguments): the originals are looked up once, at start. */
#define PASS_LIST                                                                                                      \
    PASS(ssize_t, read, (int fd, void *bytes, size_t len), (fd, bytes, len))                                           \
    PASS(ssize_t, write, (int fd, const void *bytes, size_t len), (fd, bytes, len))                                    \
    PASS(ssize_t, readv, (int fd, const struct iovec *parts, int count), (fd, parts, count))                           \
    PASS(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))                          \
    PASS(ssize_t, recv, (int fd, void *bytes, size_t len, int flags), (fd, bytes, len, flags))                         \
    PASS(ssize_t, send, (int fd, const void *bytes, size_t len, int flags), (fd, bytes, len, flags))                   \
    PASS(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))                          \
    PASS(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))                    \
    PASS(ssize_t, sendfile64, (int to, int from, off64_t *position, size_t len), (to, from, position, len))            \
    PASS(int, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags), (fd, address, length, flags)) \
    PASS(int, close, (int fd), (fd))                                                                                   \
    PASS(int, shutdown, (int fd, int how), (fd, how))                                                                  \
    PASS(int, poll, (struct pollfd * ready, nfds_t count, int timeout), (ready, count, timeout))                       \
    PASS(int, epoll_wait, (int fd, struct epoll_event *events, int count, int timeout), (fd, events, count, timeout))

/* glibc declares some of these with attributes and transparent unions that a definition would have to repeat. */
#define PASS(result, name, parameters, arguments)                                                                      \
    static result(*real_##name) parameters;                                                                            \
    __attribute__((visibility("default"))) result pass_##name parameters __asm__(#name);                               \
    result pass_##name parameters                                                                                      \
    {                                                                                                                  \
        return real_##name arguments;                                                                                  \
    }
PASS_LIST
#undef PASS

__attribute__((constructor)) static void look_up(void)
{
#define PASS(result, name, parameters, arguments) *(void **)&real_##name = dlsym(RTLD_NEXT, #name);
    PASS_LIST
#undef PASS
}
