/* SPDX-License-Identifier: Apache-2.0 */
/* What exchange.c (the bytes of a direction, the queue of requests) shares with exchange_request.c, exchange_response.c
 * and exchange_end.c. Context of all: hook; signal-safe; the direction that is touched is claimed. */
#ifndef SPANSHIM_EXCHANGE_INTERNAL_H
#define SPANSHIM_EXCHANGE_INTERNAL_H

#include "preload/clock.h"
#include "preload/conn_internal.h"
#include "preload/span.h"

#include <stdatomic.h>

/* While a line is cut its beginning waits here. The first bytes are the arena's link while the block is free. */
struct stash {
    _Atomic uint32_t pool_link;
    char bytes[HTTP1_STASH_SIZE];
};

/* The time of the bytes in hand, read once for all that they lead to. */
static inline uint64_t exchange_moment(struct conn_direction *direction)
{
    if (direction->moment_ns == 0)
        direction->moment_ns = clock_mono_ns();
    return direction->moment_ns;
}

static inline struct wire_slot *exchange_slot(uintptr_t open)
{
    return (struct wire_slot *)(open & ~(uintptr_t)CONN_OPEN_FLAGS);
}

/* The head that a request has from now on; NULL: there is no memory for it. */
struct span_head *exchange_head_new(struct conn *conn);

/* The parser's line is cut: lend it a stash. Without one it has lost its way. */
__attribute__((cold)) enum http1_event exchange_lend_stash(struct conn_direction *direction);

static inline size_t exchange_feed(struct conn_direction *direction, const char *bytes, size_t length,
                                   enum http1_event *ret_event, struct http1_out *ret_out)
{
    char *stash = direction->stash ? direction->stash->bytes : NULL;
    size_t used = http1_feed(&direction->parser, bytes, length, stash, ret_event, ret_out);

    if (__builtin_expect(*ret_event == HTTP1_NEED_STASH, 0))
        *ret_event = exchange_lend_stash(direction);
    return used;
}

/* Is there nothing left to learn from these bytes? Saves the call that would say so: between messages, and before a
 * body that is still to come. */
static inline bool exchange_fed_up(const struct conn_direction *direction, enum http1_event event, size_t left)
{
    return event == HTTP1_NEED_MORE ||
           (left == 0 && (direction->parser.state == HTTP1_AT_START || direction->parser.remaining > 0));
}

/* To be called when the last event's slices are done with. */
void exchange_feed_done(struct conn_direction *direction);

/* Has another process answered it, or given it up? After a fork several may hold the connection, and the slot of a
 * request that one of them has ended may be another request's already. */
bool exchange_was_ended_elsewhere(const struct conn *conn, uint32_t number);

/* The oldest open request; false when there is none. */
bool exchange_oldest(const struct conn *conn, uintptr_t *ret_open);

/* Take the oldest request out of the queue and end it; or it is no span. */
void exchange_request_end(struct conn *conn, uint16_t flags, enum wire_error error);
void exchange_request_drop(struct conn *conn, struct wire_slot *slot);

/* The request that is answered, if this process still has it; else NULL. */
struct wire_slot *exchange_answered(const struct conn *conn);

/* What follows from an event of a direction's parser. */
enum exchange_result exchange_request_event(struct conn *conn, enum http1_event event, const struct http1_out *out);
enum exchange_result exchange_response_event(struct conn *conn, enum http1_event event, const struct http1_out *out);

/* The head of the request in this slot (NULL: it has none) is complete. */
void exchange_request_head_end(struct conn *conn, struct wire_slot *slot);

/* Why a head that went out already has nothing of ours. */
enum wire_withhold exchange_late_reason(const struct conn *conn);

/* What was sent was not sent after all: what it led to is taken back. */
void exchange_request_undo(struct conn *conn);
void exchange_response_undo(struct conn *conn);

#endif
