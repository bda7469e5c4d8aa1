/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/xray_pace.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/udp_backlog.h"

#include <errno.h>
#include <unistd.h>

enum {
    STUCK_MS = 2000,        /* without reading anything */
    ROUND_BYTES = 32 << 10, /* of a receiver that isn't seen: read in a round; Linux gives a socket 208 KiB */
    ROUNDS_MAX = 1000,      /* what has passed since the last look, at most */
    DATAGRAM_BYTES =
        768, /* what a datagram takes of a buffer, beside twice its length, which it may be rounded up to */
};

void xray_pace_init(struct xray_pace *pace)
{
    *pace = (struct xray_pace){.netlink = -1};
}

void xray_pace_deinit(struct xray_pace *pace)
{
    if (pace->netlink >= 0)
        (void)close(pace->netlink);
    pace->netlink = -1;
}

/* A quarter of the buffer is left to others. */
static void take_backlog(struct xray_pace *pace, const struct udp_backlog *backlog, uint64_t now_ns)
{
    if (pace->held_bytes != backlog->held_bytes)
        pace->moved_ns = now_ns;
    pace->held_bytes = backlog->held_bytes;
    pace->is_empty = backlog->held_bytes == 0;
    pace->room_bytes = (int64_t)backlog->buffer_bytes * 3 / 4 - backlog->held_bytes;
    pace->dropped_count = backlog->dropped_count - pace->dropped_before;
}

void xray_pace_begin(struct xray_pace *pace, int fd, bool is_local, uint64_t now_ns)
{
    struct udp_backlog backlog;

    if (is_local && pace->netlink < 0)
        pace->netlink = udp_backlog_open();
    pace->is_seen = is_local && udp_backlog_look(pace->netlink, fd, &backlog) == 0;
    pace->dropped_count = 0;
    if (!pace->is_seen)
        return;
    pace->inode = backlog.inode;
    pace->dropped_before = backlog.dropped_count;
    take_backlog(pace, &backlog, now_ns);
    pace->moved_ns = now_ns;
}

/* What the receiver has had the time to read is free again. */
static void take_time(struct xray_pace *pace, uint64_t now_ns)
{
    const uint64_t round_ns = XRAY_PACE_ROUND_MS * NS_PER_MS;
    uint64_t passed_ns = now_ns - pace->looked_ns;

    if (passed_ns > ROUNDS_MAX * round_ns)
        passed_ns = ROUNDS_MAX * round_ns;
    pace->room_bytes += (int64_t)(passed_ns * ROUND_BYTES / round_ns);
    if (pace->room_bytes > ROUND_BYTES)
        pace->room_bytes = ROUND_BYTES;
}

int xray_pace_look(struct xray_pace *pace, int fd, uint64_t now_ns)
{
    struct udp_backlog backlog;
    int r = pace->is_seen ? udp_backlog_look(pace->netlink, fd, &backlog) : -ENOTSUP;

    if (r == -ENOENT || (r == 0 && backlog.inode != pace->inode))
        return -ECONNREFUSED;
    if (r == 0)
        take_backlog(pace, &backlog, now_ns);
    else
        take_time(pace, now_ns);
    pace->looked_ns = now_ns;
    return r == 0 && !pace->is_empty && now_ns - pace->moved_ns > STUCK_MS * NS_PER_MS ? -ETIMEDOUT : 0;
}

bool xray_pace_take(struct xray_pace *pace, size_t length)
{
    int64_t bytes = (int64_t)(2 * length + DATAGRAM_BYTES);

    /* An empty buffer takes a datagram of any length. One that isn't seen is empty after some time. */
    if (pace->is_seen ? bytes > pace->room_bytes && !pace->is_empty : pace->room_bytes <= 0)
        return false;
    pace->room_bytes -= bytes;
    pace->is_empty = false;
    return true;
}

bool xray_pace_is_read(const struct xray_pace *pace)
{
    return !pace->is_seen || pace->is_empty;
}
