/* SPDX-License-Identifier: Apache-2.0 */
/* What a request brings along for the requests that are made on its behalf, beside its trace context: baggage, the
 * further pieces of X-Amzn-Trace-Id. It is filled while the head is read, attached to the request's slot when the head
 * is complete, and given back when the request ends. Requests that bring nothing have none.
 *
 * The blocks are this process's own; a fork's child has a copy of each and serves its parent's requests with it.
 */
#ifndef SPANSHIM_CARRIED_H
#define SPANSHIM_CARRIED_H

#include "preload/slice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct propagation_carried;
struct request_ref;
struct wire_slot;

enum {
    CARRIED_BAGGAGE_MAX = 8192, /* W3C: carry at least this much */
    CARRIED_XRAY_SIZE = 256,    /* as X-Ray's SDK for Node does */
};

struct carried {
    _Atomic uint32_t pool_link; /* the arena's while it is free */
    bool b3_debug;
    bool xray_asked; /* the response is to say whether the request is recorded */
    uint8_t baggage_members;
    uint16_t xray_length;
    uint16_t baggage_length;
    uint32_t baggage_room;
    _Atomic(struct wire_slot *) slot; /* the request's, from carried_attach on */
    _Atomic uint64_t start_ns;        /* and its start */
    char xray[CARRIED_XRAY_SIZE];
    char baggage[];
};

/* A block in *carried (NULL at first) with room for so many bytes of baggage in all; a larger one takes over what the
 * smaller one holds. At most CARRIED_BAGGAGE_MAX. False: no memory is left; *carried is as it was. Context: hook;
 * signal-safe. */
bool carried_reserve(struct carried **carried, size_t baggage_length);

/* Add a member of baggage that room is reserved for; a piece of X-Amzn-Trace-Id, if it has room. Context: pure. */
void carried_add_baggage(struct carried *carried, struct slice member);
void carried_add_xray(struct carried *carried, struct slice piece);

/* Give a block back that is not attached; NULL is none. Context: hook; signal-safe. */
void carried_free(struct carried *carried);

/* The request's head is complete: the block is its slot's now. Context: hook; signal-safe. */
void carried_attach(struct wire_slot *slot, uint64_t start_ns, struct carried *carried);

/* The request's block; NULL when it has none. Another thread may end the request meanwhile: what was read counts only
 * if carried_is_attached() says so afterwards. Context: hook; signal-safe. */
const struct carried *carried_of(const struct request_ref *request);
bool carried_is_attached(const struct carried *carried, const struct request_ref *request);

/* The slot's request has ended. Before the slot is given back. Context: hook; signal-safe. */
void carried_end(struct wire_slot *slot);

#endif
