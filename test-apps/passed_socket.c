/* SPDX-License-Identifier: Apache-2.0 */
/* Accepts in one process and serves in another: connections go through a unix socket (SCM_RIGHTS), as in servers whose
 * master accepts. */
#include "http_peer.h"
#include "listener.h"

#include <err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A message that carries one descriptor. */
union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

static void pass(int channel, int fd)
{
    union control control = {0};
    struct iovec part = {"c", 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(channel, &message, 0) != 1)
        err(1, "sendmsg");
    (void)close(fd);
}

static int take(int channel)
{
    union control control;
    char byte;
    int fd;
    struct iovec part = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};

    if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) != 1)
        return -1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

int main(void)
{
    int listener = listener_tcp(0, 0), channel[2], fd;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, channel) != 0)
        err(1, "socketpair");
    if (fork() == 0) {
        (void)close(channel[0]);
        (void)close(listener);
        while ((fd = take(channel[1])) >= 0)
            http_peer_serve(fd, HTTP_CALLS_SOCKET);
        _exit(0);
    }
    (void)close(channel[1]);
    listener_announce(listener);
    while ((fd = listener_accept(listener, SOCK_CLOEXEC)) >= 0)
        pass(channel[0], fd);
    return 1;
}
