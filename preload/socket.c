/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/socket.h"

#include "preload/sys.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* -1: it is no socket. */
static int option_of(int fd, int option)
{
    int value = -1;
    int length = sizeof(value);

    return sys_call6(SYS_getsockopt, fd, SOL_SOCKET, option, (long)&value, (long)&length, 0) == 0 ? value : -1;
}

bool socket_is_stream(int fd)
{
    return option_of(fd, SO_TYPE) == SOCK_STREAM;
}

bool socket_is_internet(int fd)
{
    int domain = option_of(fd, SO_DOMAIN);

    return domain == AF_INET || domain == AF_INET6;
}

size_t socket_peer(int fd, struct sockaddr_in6 *ret_peer)
{
    struct sockaddr_in6 peer = {0};
    int length = sizeof(peer);

    if (sys_call3(SYS_getpeername, fd, (long)&peer, (long)&length) < 0)
        return 0;
    *ret_peer = peer;
    return (size_t)length < sizeof(peer) ? (size_t)length : sizeof(peer);
}

__attribute__((noinline)) static bool inode_of(int fd, dev_t *ret_device, ino_t *ret_inode)
{
    struct stat file;

    if (sys_call2(SYS_fstat, fd, (long)&file) < 0)
        return false;
    *ret_device = file.st_dev;
    *ret_inode = file.st_ino;
    return true;
}

bool socket_is_same(int fd, int other)
{
    dev_t devices[2];
    ino_t inodes[2];

    return inode_of(fd, &devices[0], &inodes[0]) && inode_of(other, &devices[1], &inodes[1]) &&
           devices[0] == devices[1] && inodes[0] == inodes[1];
}

bool socket_written(int fd, uint64_t *ret_bytes)
{
    enum { KNOWN = offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(uint64_t) }; /* the rest is not asked for */
    _Alignas(struct tcp_info) char info[KNOWN];
    uint64_t sent, sent_again;
    uint32_t waiting;
    int length = KNOWN;

    if (sys_call6(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, (long)info, (long)&length, 0) < 0 || length < KNOWN)
        return false;
    memcpy(&sent, info + offsetof(struct tcp_info, tcpi_bytes_sent), sizeof(sent));
    memcpy(&sent_again, info + offsetof(struct tcp_info, tcpi_bytes_retrans), sizeof(sent_again));
    memcpy(&waiting, info + offsetof(struct tcp_info, tcpi_notsent_bytes), sizeof(waiting));
    *ret_bytes = sent - sent_again + waiting;
    return true;
}
