/* SPDX-License-Identifier: Apache-2.0 */
/* What exchange.c (the bytes of a direction, the queue of requests) shares with its other parts, exchange_*.c.
 * Context of all: hook; signal-safe; the direction that is touched is claimed. */
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

/* The same in another protocol than HTTP. */
__attribute__((cold)) size_t exchange_feed_gateway(struct conn_direction *direction, const char *bytes, size_t length,
                                                   enum http1_event *ret_event, struct http1_out *ret_out);

static inline size_t exchange_feed(struct conn_direction *direction, const char *bytes, size_t length,
                                   enum http1_event *ret_event, struct http1_out *ret_out)
{
    char *stash = direction->stash ? direction->stash->bytes : NULL;
    size_t used;

    if (__builtin_expect(direction->gateway != NULL, 0))
        return exchange_feed_gateway(direction, bytes, length, ret_event, ret_out);
    used = http1_feed(&direction->parser, bytes, length, stash, ret_event, ret_out);

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

/* Bytes that nobody saw, as http1_skip. */
int exchange_skip(struct conn_direction *direction, size_t length, enum http1_event *ret_event);

/* What else a request tells that did not come in HTTP, after its first line; slot may be NULL. Returns its enum
 * conn_open_flag. */
__attribute__((cold)) uintptr_t exchange_gateway_begin(struct conn *conn, struct wire_slot *slot);

/* What is needed to follow a connection in this protocol. False: there is no memory for it, which is counted. */
bool exchange_gateway_lend(struct conn *conn, enum wire_protocol protocol);

/* Bytes on a connection that has a gateway, to be fed to the streams that they belong to. */
typedef enum exchange_result exchange_function(struct conn *conn, const char *bytes, size_t length);
__attribute__((cold)) enum exchange_result exchange_streams(struct conn *conn, struct conn_direction *direction,
                                                            exchange_function *feed, const char *bytes, size_t length);

/* Does it consist of streams? It has a gateway. */
__attribute__((cold)) bool exchange_has_records(const struct conn *conn);

/* How many of the bytes are this stream's; NULL: of a header, which were taken. 0: more requests are open than are
 * followed. Those that were not used after all are given back. */
size_t exchange_route(struct conn *conn, struct conn_direction *direction, const char *bytes, size_t length,
                      struct conn **ret_stream);
void exchange_unroute(struct conn *conn, struct conn_direction *direction, size_t length);

/* The end of an answer to one. */
__attribute__((cold)) enum exchange_result exchange_gateway_end(struct conn *conn);

/* The connection is done with. */
void exchange_gateway_release(struct conn *conn);

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
