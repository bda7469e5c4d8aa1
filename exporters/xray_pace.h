/* SPDX-License-Identifier: Apache-2.0 */
/* How fast documents may go to X-Ray's daemon. What finds no room in its receive buffer is lost, and UDP doesn't say
 * so. For a daemon on this machine the kernel tells what it has not read yet, and documents wait for room; to another
 * one they go at a rate that leaves it time. Used by xray_daemon.c. */
#ifndef SPANSHIM_XRAY_PACE_H
#define SPANSHIM_XRAY_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { XRAY_PACE_ROUND_MS = 4 }; /* look again after so long */

struct xray_pace {
    int netlink;             /* -1: none */
    bool is_seen;            /* the kernel tells of the receiver */
    bool is_empty;           /* it has read everything, and nothing was sent since */
    int64_t room_bytes;      /* of its buffer; below 0: so much was sent too early */
    uint64_t looked_ns;      /* when that was so */
    uint32_t held_bytes;     /* while it is seen */
    uint64_t moved_ns;       /* when that was another number */
    uint32_t inode;          /* of the receiver, when the payload began */
    uint32_t dropped_before; /* datagrams, by its full buffer, before the payload */
    uint32_t dropped_count;
};

/* Context: loop, as all here. */
void xray_pace_init(struct xray_pace *pace);
void xray_pace_deinit(struct xray_pace *pace);

/* A payload begins, by this connected socket. is_local: to this machine. */
void xray_pace_begin(struct xray_pace *pace, int fd, bool is_local, uint64_t now_ns);

/* How it is now. 0; -ECONNREFUSED: the receiver has gone, with what it had not read, even if another one has its place;
 * -ETIMEDOUT: it has read nothing for long. */
int xray_pace_look(struct xray_pace *pace, int fd, uint64_t now_ns);

/* May a document of this length go now? If so, it takes its room. */
bool xray_pace_take(struct xray_pace *pace, size_t length);

/* Has everything been read, as far as can be told? */
bool xray_pace_is_read(const struct xray_pace *pace);

#endif
