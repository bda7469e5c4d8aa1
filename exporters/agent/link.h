/* SPDX-License-Identifier: Apache-2.0 */
/* What keeper and worker say to each other over their socketpair: one packet each, descriptors beside it. */
#ifndef SPANSHIM_LINK_H
#define SPANSHIM_LINK_H

#include "preload/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum link_type {
    /* keeper to worker, after its start in this order */
    LINK_HELLO = 1, /* bytes: struct link_hello */
    LINK_JOURNAL,   /* bytes: the key; descriptor: the memfd */
    LINK_SOURCE,    /* bytes: the hand-over; descriptors: ring, control, and the pidfd if there is one */
    LINK_FINISHED,  /* bytes: the hand-over of an image that is gone but still has records in a journal */
    LINK_READY,     /* that was all there was before this worker */
    LINK_COMMAND,   /* bytes: the message; descriptors: the connection, and what came with the message */
    LINK_STOP,      /* deliver what can be and end */
    /* worker to keeper */
    LINK_KEEP_JOURNAL, /* bytes: the key; descriptor: the memfd */
    LINK_DROP_JOURNAL, /* bytes: the key */
    LINK_UNMAPPED,     /* id: the image is gone, only the message is needed still */
    LINK_DROP,         /* id: the source or command is done with */
    LINK_IDLE, /* id: how many sources and commands this worker has had; nothing is left to do. May be refused */
};

enum { LINK_FDS_MAX = 3, LINK_BYTES_MAX = WIRE_MESSAGE_MAX };

struct link_hello {
    uint8_t seed[16]; /* of this agent, the same for each of its workers */
    uint32_t keeper_pid;
    uint32_t stays; /* 1: it doesn't end when idle */
    uint64_t started_unix_ns;
};

struct link_packet {
    uint32_t type; /* enum link_type */
    uint32_t id;   /* the keeper's number of a source or command */
    int32_t pid;   /* who sent it, by SO_PEERCRED */
    uint32_t uid;
    uint32_t length; /* bytes that follow */
    uint32_t pad;
};

/* A received packet; descriptors that aren't taken must be closed. */
struct link_message {
    struct link_packet packet;
    uint8_t bytes[LINK_BYTES_MAX];
    int fds[LINK_FDS_MAX];
    unsigned fd_count;
    bool is_cut; /* there was no room for its descriptors: it has none */
};

/* Send a packet; packet->length bytes. 0, -EAGAIN when the other end is slow and the socket doesn't block, or -errno.
 * Context: loop. */
int link_send(int socket, const struct link_packet *packet, const void *bytes, const int *fds, unsigned fd_count);

/* 1 and a message, 0 at the end, or -errno (-EAGAIN: nothing now, -EBADMSG: no packet of ours, link_is_short(): later).
 * Context: loop. */
int link_receive(int socket, struct link_message *ret_message);

/* Receive any packet with its descriptors: how many bytes, or -errno. Those that are too many are closed and make it
 * -EBADMSG, as does a cut packet; -EMFILE: there was no room for them. Context: loop. */
long link_receive_bytes(int socket, void *bytes, size_t size, int fds[LINK_FDS_MAX], unsigned *ret_fd_count);

/* Is this error of a socket a want of memory or descriptors, which may pass? Context: any. */
bool link_is_short(int error);

/* Context: loop. */
void link_close_fds(const int *fds, unsigned fd_count);

#endif
