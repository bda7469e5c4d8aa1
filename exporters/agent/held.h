/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper holds for its workers: a packet that can be sent again, with its descriptors. */
#ifndef SPANSHIM_HELD_H
#define SPANSHIM_HELD_H

#include "exporters/agent/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct held {
    struct held *next; /* in order of arrival */
    struct link_packet packet;
    uint8_t *bytes;
    int fds[LINK_FDS_MAX];
    unsigned fd_count;
    unsigned sent_count;  /* to how many workers */
    unsigned crash_count; /* of workers that were looking into it */
    bool sent;            /* this worker has it */
};

struct held_list {
    struct held *first;
    struct held **last; /* NULL: as first */
    size_t count;
};

/* Take a packet: bytes are copied, descriptors taken, also on failure. NULL when out of memory. Context: loop. */
struct held *held_add(struct held_list *list, const struct link_packet *packet, const void *bytes, const int *fds,
                      unsigned fd_count);

/* Context: loop. */
void held_remove(struct held_list *list, struct held *held);

/* The first of this type that this worker hasn't had; type 0: of any. NULL: none. Context: loop. */
struct held *held_next_unsent(const struct held_list *list, uint32_t type);

/* By its number; journals by their key. NULL: none. Context: loop. */
struct held *held_find(const struct held_list *list, uint32_t id);
struct held *held_find_journal(const struct held_list *list, const void *key, size_t length);

/* How many of this user. Context: loop. */
size_t held_count_of(const struct held_list *list, uint32_t uid);

/* A new worker starts: nothing was sent yet. Context: loop. */
void held_forget_sent(struct held_list *list);

/* Its image is gone: only the message is kept. Context: loop. */
void held_close_fds(struct held *held);

#endif
