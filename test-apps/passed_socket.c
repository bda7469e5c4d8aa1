/* SPDX-License-Identifier: Apache-2.0 */
/* Accepts in one process and serves in another: connections go through a unix socket (SCM_RIGHTS), as in servers whose
 * master accepts. Usage: passed_socket [several|cut|within]: several descriptors in a message, of which the second may
 * be cut off for want of room; after the first request was read. */
#include "http_peer.h"
#include "listener.h"

#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DESCRIPTORS = 2 };

/* A message that carries descriptors. */
union control {
    char bytes[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
    struct cmsghdr align;
};

static void pass(int channel, int fd, int count)
{
    union control control = {0};
    struct iovec part = {"c", 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    const int fds[DESCRIPTORS] = {fd, channel};
    size_t length = (size_t)count * sizeof(int);

    *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(length), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(header), fds, length);
    if (sendmsg(channel, &message, 0) != 1)
        err(1, "sendmsg");
    (void)close(fd);
}

/* The first descriptor of a message with room for so many. */
static int take(int channel, int room)
{
    union control control;
    char byte;
    int fds[DESCRIPTORS] = {-1, -1};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_LEN((size_t)room * sizeof(int))};
    struct cmsghdr *header;

    if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) != 1)
        return -1;
    header = CMSG_FIRSTHDR(&message);
    memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    if (fds[1] >= 0)
        (void)close(fds[1]);
    return fds[0];
}

/* The child's life: what it takes it serves, and answers first what was read already. */
static void serve(int channel, int room, bool answers_first)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nxxxxxxxxxx";
    int fd;

    while ((fd = take(channel, room)) >= 0) {
        if (answers_first && write(fd, answer, sizeof answer - 1) != sizeof answer - 1)
            err(1, "write");
        http_peer_serve(fd, HTTP_CALLS_SOCKET);
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    bool cut = strcmp(how, "cut") == 0, within = strcmp(how, "within") == 0;
    int count = cut || strcmp(how, "several") == 0 ? 2 : 1;
    int listener = listener_tcp(0, 0), channel[2], fd;
    char request[4096];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, channel) != 0)
        err(1, "socketpair");
    if (fork() == 0) {
        (void)close(channel[0]);
        (void)close(listener);
        serve(channel[1], cut ? 1 : count, within);
    }
    (void)close(channel[1]);
    listener_announce(listener);
    while ((fd = listener_accept(listener, SOCK_CLOEXEC)) >= 0) {
        if (within && read(fd, request, sizeof request) <= 0)
            err(1, "read");
        pass(channel[0], fd, count);
    }
    return 1;
}
