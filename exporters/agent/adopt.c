/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/adopt.h"

#include "exporters/agent/runtime.h"
#include "preload/wire.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { RING_FD = 3, CONTROL_FD, MESSAGE_FD, END_FD, PATIENCE_S = 5 };

void adopt_close_others(void)
{
    closefrom(END_FD);
}

void adopt_close(void)
{
    for (int fd = RING_FD; fd < END_FD; fd++)
        close(fd);
}

static int connect_agent(const char *option)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char error[RUNTIME_ERROR_MAX];
    int fd;

    static_assert(sizeof(address.sun_path) == RUNTIME_PATH_MAX, "a socket's path");
    if (runtime_socket_path(option, address.sun_path, error))
        return -1;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool send_message(int connection, void *bytes, size_t length)
{
    const int fds[2] = {RING_FD, CONTROL_FD};
    union {
        char space[CMSG_SPACE(sizeof(fds))];
        struct cmsghdr align;
    } ancillary = {0};
    struct iovec piece = {bytes, length};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = ancillary.space, .msg_controllen = sizeof(ancillary.space)};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

    *rights = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fds)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(rights), fds, sizeof(fds));
    return sendmsg(connection, &message, MSG_NOSIGNAL) == (ssize_t)length;
}

/* The agent looks up who passes the message on while it takes it, so this process stays until the agent has closed
 * the connection. */
static void wait_until_taken(int connection)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    char byte;

    (void)setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)!read(connection, &byte, 1);
}

int adopt_hand_over(const char *socket_path)
{
    static uint8_t bytes[WIRE_MESSAGE_MAX];
    ssize_t length = pread(MESSAGE_FD, bytes, sizeof(bytes), 0);
    int connection = connect_agent(socket_path);
    struct wire_message message;
    bool sent = false;

    if (connection >= 0 && length >= (ssize_t)sizeof(message)) {
        memcpy(&message, bytes, sizeof(message));
        message.type = WIRE_MESSAGE_BEQUEST;
        memcpy(bytes, &message, sizeof(message));
        sent = send_message(connection, bytes, (size_t)length);
        if (sent)
            wait_until_taken(connection);
    }
    if (connection >= 0)
        close(connection);
    return sent ? 0 : 1;
}
