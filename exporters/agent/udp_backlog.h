/* SPDX-License-Identifier: Apache-2.0 */
/* What a receiver of datagrams on this machine has not read yet, as the kernel tells it (sock_diag(7)). UDP itself says
 * nothing to a sender. */
#ifndef SPANSHIM_UDP_BACKLOG_H
#define SPANSHIM_UDP_BACKLOG_H

#include <stdint.h>

struct udp_backlog {
    uint32_t held_bytes;    /* of its receive buffer, by what it has not read */
    uint32_t buffer_bytes;  /* the buffer's size */
    uint32_t dropped_count; /* datagrams that found no room, since the socket is there */
    uint32_t inode;         /* which socket it is */
};

/* A socket to ask by; -errno where there is none. Context: loop. */
int udp_backlog_open(void);

/* Of the socket that gets what is sent by `fd`, a connected one. 0; -ENOENT: nobody has it in this network namespace;
 * else -errno: it can't be told. Context: loop. */
int udp_backlog_look(int netlink, int fd, struct udp_backlog *ret_backlog);

#endif
