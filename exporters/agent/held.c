/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/held.h"

#include <stdlib.h>
#include <string.h>

struct held *held_add(struct held_list *list, const struct link_packet *packet, const void *bytes, const int *fds,
                      unsigned fd_count)
{
    struct held *held = calloc(1, sizeof(*held));

    if (held && packet->length) {
        held->bytes = malloc(packet->length);
        if (held->bytes)
            memcpy(held->bytes, bytes, packet->length);
    }
    if (!held || (packet->length && !held->bytes)) {
        link_close_fds(fds, fd_count);
        free(held);
        return NULL;
    }
    held->packet = *packet;
    memcpy(held->fds, fds, fd_count * sizeof(*fds));
    held->fd_count = fd_count;
    *(list->last ? list->last : &list->first) = held;
    list->last = &held->next;
    list->count++;
    return held;
}

void held_close_fds(struct held *held)
{
    link_close_fds(held->fds, held->fd_count);
    held->fd_count = 0;
}

void held_remove(struct held_list *list, struct held *held)
{
    struct held **link = &list->first;

    while (*link != held)
        link = &(*link)->next;
    *link = held->next;
    if (!held->next)
        list->last = link;
    list->count--;
    held_close_fds(held);
    if (held->bytes)
        explicit_bzero(held->bytes, held->packet.length); /* it may hold a token */
    free(held->bytes);
    free(held);
}

struct held *held_next_unsent(const struct held_list *list, uint32_t type)
{
    struct held *held = list->first;

    while (held && (held->sent || (type && held->packet.type != type)))
        held = held->next;
    return held;
}

struct held *held_find(const struct held_list *list, uint32_t id)
{
    struct held *held = list->first;

    while (held && (held->packet.id != id || held->packet.type == LINK_JOURNAL))
        held = held->next;
    return held;
}

struct held *held_find_journal(const struct held_list *list, const void *key, size_t length)
{
    struct held *held = list->first;

    while (held && (held->packet.type != LINK_JOURNAL || held->packet.length != length ||
                    memcmp(held->bytes, key, length) != 0))
        held = held->next;
    return held;
}

size_t held_count_of(const struct held_list *list, uint32_t uid)
{
    size_t count = 0;

    for (const struct held *held = list->first; held; held = held->next)
        count += held->packet.uid == uid && held->packet.type != LINK_JOURNAL;
    return count;
}

void held_forget_sent(struct held_list *list)
{
    for (struct held *held = list->first; held; held = held->next)
        held->sent = false;
}
