/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that do not end with their response but with the connection or the process, or because they are given up. */
#include "preload/exchange_internal.h"

static void release_memory(struct conn *conn)
{
    exchange_gateway_release(conn);
    exchange_head_release(conn);
    conn->requests.parser.stash_length = conn->responses.parser.stash_length = 0;
    exchange_feed_done(&conn->requests);
    exchange_feed_done(&conn->responses);
}

/* The youngest request does not count yet if its head has not ended. */
static void discard_unfinished_head(struct conn *conn)
{
    struct wire_slot *slot = exchange_arriving(conn);

    if (!conn->head)
        return;
    if (slot)
        span_discard(slot);
    atomic_fetch_sub_explicit(&conn->opened, 1, memory_order_relaxed);
    exchange_head_release(conn);
}

static bool is_after_close(struct wire_slot *slot)
{
    return slot && (wire_slot_request(slot)->flags & WIRE_REQUEST_AFTER_CLOSE);
}

void exchange_abandon(struct conn *conn, enum wire_error error)
{
    uintptr_t open;

    conn->responses.moment_ns = 0;
    discard_unfinished_head(conn);
    while (exchange_oldest(conn, &open)) {
        bool answering = exchange_answering(conn);

        if (!answering && is_after_close(exchange_slot(open)))
            exchange_request_drop(conn, exchange_slot(open));
        else if (error != WIRE_ERROR_NONE)
            exchange_request_end(conn, 0, error);
        else
            exchange_request_end(conn, 0, answering ? WIRE_ERROR_RESPONSE_INCOMPLETE : WIRE_ERROR_NO_RESPONSE);
    }
    release_memory(conn);
}

/* A program may leave the rest of a body, but of a head that has not come whole nobody has had an answer. */
static enum wire_error left_error(const struct conn *conn)
{
    uint8_t state = conn->responses.parser.state;

    if (!exchange_answering(conn))
        return WIRE_ERROR_NO_RESPONSE;
    return state == HTTP1_IN_START_LINE || state == HTTP1_IN_FIELDS ? WIRE_ERROR_RESPONSE_INCOMPLETE : WIRE_ERROR_NONE;
}

void exchange_give_up(struct conn *conn, bool waited)
{
    uintptr_t open;

    conn->responses.moment_ns = 0;
    discard_unfinished_head(conn);
    while (exchange_oldest(conn, &open))
        exchange_request_end(conn, 0, waited ? WIRE_ERROR_TIMEOUT : left_error(conn));
    release_memory(conn);
}

uint32_t exchange_discard(struct conn *conn)
{
    uint32_t count = 0;
    uintptr_t open;

    discard_unfinished_head(conn);
    while (exchange_oldest(conn, &open)) {
        struct wire_slot *slot = exchange_slot(open);

        if (slot && !exchange_was_ended_elsewhere(conn, atomic_load_explicit(&conn->answered, memory_order_relaxed)))
            count += span_is_recorded(wire_slot_request(slot));
        exchange_request_drop(conn, slot);
    }
    release_memory(conn);
    return count;
}

/* The requests left to other processes. Those may never answer (a CGI program has no hooks on the connection), so
 * only the last ones keep their slots. */
enum { LEFT_MAX = 64 };
static struct {
    _Atomic(struct wire_slot *) slot;
    _Atomic uint64_t start_ns;
} left[LEFT_MAX];
static _Atomic uint32_t left_count;

static void leave(struct wire_slot *slot, uint64_t start_ns)
{
    uint32_t at = atomic_fetch_add_explicit(&left_count, 1, memory_order_relaxed) % LEFT_MAX;
    uint64_t old_start_ns = atomic_exchange_explicit(&left[at].start_ns, start_ns, memory_order_relaxed);
    struct wire_slot *old = atomic_exchange_explicit(&left[at].slot, slot, memory_order_relaxed);

    if (old)
        span_reclaim(old, old_start_ns);
}

void exchange_at_exit(void)
{
    for (uint32_t i = 0; i < LEFT_MAX; i++)
        leave(NULL, 0);
}

void exchange_forget(struct conn *conn)
{
    uint32_t opened = atomic_load_explicit(&conn->opened, memory_order_relaxed);

    for (uint32_t number = atomic_load_explicit(&conn->answered, memory_order_relaxed); number != opened; number++)
        if (exchange_slot(conn->open[number % CONN_PIPELINE_MAX].slot) && !exchange_was_ended_elsewhere(conn, number))
            leave(exchange_slot(conn->open[number % CONN_PIPELINE_MAX].slot),
                  conn->open[number % CONN_PIPELINE_MAX].start_ns);
    atomic_store_explicit(&conn->answered, opened, memory_order_relaxed);
    release_memory(conn);
}
