/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/link.h"

#include "exporters/agent/foreign.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Room for all descriptors that the kernel lets through (SCM_MAX_FD): those that find none the kernel itself would
 * close in recvmsg(), however long that takes. */
enum { FDS_ROOM = 253 };

bool link_is_short(int error)
{
    return error == -ENOMEM || error == -ENOBUFS || error == -EMFILE || error == -ENFILE;
}

void link_close_fds(const int *fds, unsigned fd_count)
{
    for (unsigned i = 0; i < fd_count; i++)
        foreign_close(fds[i]);
}

int link_send(int socket, const struct link_packet *packet, const void *bytes, const int *fds, unsigned fd_count)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int) * LINK_FDS_MAX)];
    } control = {.room = {0}};
    struct iovec parts[2] = {{(void *)(uintptr_t)packet, sizeof(*packet)}, {(void *)(uintptr_t)bytes, packet->length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = packet->length ? 2 : 1};
    ssize_t done;

    if (fd_count) {
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * fd_count);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    }
    do
        done = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : 0;
}

/* Take the descriptors out; how many. */
static unsigned take_fds(struct msghdr *message, int fds[FDS_ROOM])
{
    unsigned count = 0;

    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        unsigned part_count = (unsigned)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));

        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS || part_count > FDS_ROOM - count)
            continue;
        memcpy(fds + count, CMSG_DATA(part), part_count * sizeof(int));
        count += part_count;
    }
    return count;
}

/* All room for descriptors is given, so where the kernel cuts them it found no numbers for them. */
static long receive_parts(int socket, struct iovec *parts, size_t part_count, int ret_fds[LINK_FDS_MAX],
                          unsigned *ret_fd_count, bool *ret_is_cut)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int) * FDS_ROOM)];
    } control;
    struct msghdr message = {
        .msg_iov = parts, .msg_iovlen = part_count, .msg_control = &control, .msg_controllen = sizeof(control)};
    int fds[FDS_ROOM];
    unsigned fd_count;
    ssize_t length;

    do
        length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (length < 0 &&
           (errno == EINTR || errno == ECONNRESET)); /* it left before it heard all: said once, and first */
    if (length < 0)
        return -errno;
    fd_count = take_fds(&message, fds);
    *ret_is_cut = message.msg_flags & MSG_CTRUNC;
    if (fd_count > LINK_FDS_MAX || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        link_close_fds(fds, fd_count);
        fd_count = 0;
        if (!*ret_is_cut || message.msg_flags & MSG_TRUNC)
            return -EBADMSG;
    }
    memcpy(ret_fds, fds, fd_count * sizeof(int));
    *ret_fd_count = fd_count;
    return length;
}

long link_receive_bytes(int socket, void *bytes, size_t size, int fds[LINK_FDS_MAX], unsigned *ret_fd_count)
{
    struct iovec part = {bytes, size};
    bool is_cut = false;
    long length = receive_parts(socket, &part, 1, fds, ret_fd_count, &is_cut);

    return is_cut && length >= 0 ? -EMFILE : length;
}

int link_receive(int socket, struct link_message *ret_message)
{
    struct iovec parts[2] = {{&ret_message->packet, sizeof(ret_message->packet)},
                             {ret_message->bytes, sizeof(ret_message->bytes)}};
    long length = receive_parts(socket, parts, 2, ret_message->fds, &ret_message->fd_count, &ret_message->is_cut);

    if (length <= 0)
        return (int)length;
    if ((size_t)length < sizeof(ret_message->packet) ||
        (size_t)length - sizeof(ret_message->packet) != ret_message->packet.length) {
        link_close_fds(ret_message->fds, ret_message->fd_count);
        return -EBADMSG;
    }
    return 1;
}
