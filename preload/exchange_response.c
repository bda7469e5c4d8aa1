/* SPDX-License-Identifier: Apache-2.0 */
/* The responses on a connection. */
#include "preload/exchange_internal.h"

#include "preload/current.h"

/* An answer to a request whose head has not ended (it is too long, or broken): the span has what was read of it. */
__attribute__((cold)) static bool head_cut_short(struct conn *conn)
{
    uint32_t number = atomic_load_explicit(&conn->answered, memory_order_relaxed);

    if (number + 1 != atomic_load_explicit(&conn->opened, memory_order_acquire))
        return true;
    if (!conn_claim(&conn->connection->requests))
        return false;
    if (conn->head) {
        span_head_end(exchange_arriving(conn), conn->head);
        exchange_head_release(conn);
        conn->requests.parser.state = HTTP1_FAILED;
        atomic_store_explicit(&conn->requests_over, 1, memory_order_relaxed);
    }
    conn_unclaim(&conn->connection->requests);
    return true;
}

/* A client's: HTTP is spoken on this connection. */
__attribute__((noinline)) static void first_answer(struct conn *conn, struct wire_slot *slot)
{
    if (slot && span_is_recorded(wire_slot_request(slot)))
        conn_answered(conn->connection);
}

static enum exchange_result response_begin(struct conn *conn)
{
    uint32_t number = atomic_load_explicit(&conn->answered, memory_order_relaxed);
    uintptr_t open;

    while (exchange_oldest(conn, &open) && exchange_was_ended_elsewhere(conn, number)) /* that answer isn't this one */
        atomic_store_explicit(&conn->answered, ++number, memory_order_release);
    if (!exchange_oldest(conn, &open))
        return conn->responses.gateway ? EXCHANGE_DOUBT : EXCHANGE_OVER; /* of the latter the server may speak first */
    /* Only a look from outside: the head belongs to the requests. */
    if (__atomic_load_n(&conn->head, __ATOMIC_ACQUIRE) && !head_cut_short(conn))
        return EXCHANGE_CONTENDED;
    if (number == 0 && conn_is_client(conn))
        first_answer(conn, exchange_slot(open));
    conn->responses.parser.answers_head = (open & CONN_OPEN_HEAD) != 0;
    conn->responses.parser.answers_connect = (open & CONN_OPEN_CONNECT) != 0;
    if (exchange_slot(open) && (conn->responses.parser.status >= 200 || conn->responses.parser.status == 101)) {
        struct wire_request *request = wire_slot_request(exchange_slot(open));

        if (!conn_is_client(conn))
            current_answer(exchange_slot(open));
        request_note_answer(exchange_slot(open), exchange_moment(&conn->responses));
        request->status = conn->responses.parser.status;
    }
    return EXCHANGE_ON;
}

/* The response can't be followed to its end, or its beginning was not understood. */
__attribute__((cold)) static enum exchange_result response_lost(struct conn *conn)
{
    if (exchange_answering(conn))
        exchange_request_end(conn, WIRE_REQUEST_FRAMING_INVALID, WIRE_ERROR_BAD_FRAMING);
    return EXCHANGE_DOUBT;
}

enum exchange_result exchange_response_event(struct conn *conn, enum http1_event event, const struct http1_out *out)
{
    uint16_t status = conn->responses.parser.status;
    bool tunnel = conn->responses.parser.state == HTTP1_TUNNEL;
    uintptr_t open;

    switch (event) {
    case HTTP1_START_LINE:
        return response_begin(conn);
    case HTTP1_FIELD:
        if (exchange_oldest(conn, &open) && exchange_slot(open))
            span_response_field(exchange_slot(open), out->a, out->b);
        return EXCHANGE_ON;
    case HTTP1_HEAD_END:
        if (__builtin_expect(conn->responses.gateway != NULL, 0) && exchange_answered(conn))
            wire_slot_request(exchange_answered(conn))->status = status; /* a field's, and 200 until now */
        if (conn->responses.parser.ambiguous && exchange_oldest(conn, &open) && exchange_slot(open))
            wire_slot_request(exchange_slot(open))->flags |= WIRE_REQUEST_FRAMING_AMBIGUOUS;
        return EXCHANGE_ON;
    case HTTP1_NEED_MORE:
    case HTTP1_NEED_STASH:
        return EXCHANGE_ON;
    case HTTP1_MESSAGE_END:
        if (__builtin_expect(conn->responses.gateway != NULL, 0))
            return exchange_gateway_end(conn);
        if (status < 200 && status != 101)
            return EXCHANGE_ON; /* the final response is still to come */
        exchange_request_end(conn, tunnel ? WIRE_REQUEST_UPGRADED : 0, WIRE_ERROR_NONE);
        if (tunnel ||
            (atomic_load_explicit(&conn->requests_over, memory_order_relaxed) && !exchange_oldest(conn, &open)))
            return EXCHANGE_OVER;
        return EXCHANGE_ON;
    case HTTP1_NOT_MINE:
        return exchange_oldest(conn, &open) ? EXCHANGE_DOUBT : EXCHANGE_OVER;
    case HTTP1_BAD:
        break;
    }
    return response_lost(conn);
}

/* A response whose framing isn't seen ends, as far as we know, with the last bytes before something else happens. */
__attribute__((cold, noinline)) static void note_last_bytes(struct conn *conn)
{
    (void)exchange_moment(&conn->responses);
}

/* More bytes moved unseen than the body or chunk has left. In a chunked response these can be chunks with their size
 * lines: from here on only what comes after the response tells that it has ended. If another request waits already,
 * that can't be told. */
__attribute__((cold)) static enum exchange_result response_unseen(struct conn *conn)
{
    uint32_t waiting;
    uintptr_t open;

    if (!exchange_answering(conn) || conn->responses.parser.framing != HTTP1_CHUNKED ||
        atomic_exchange_explicit(&conn->requests.claimed, 1, memory_order_acquire) != 0)
        return response_lost(conn);
    waiting = atomic_load_explicit(&conn->opened, memory_order_relaxed) -
              atomic_load_explicit(&conn->answered, memory_order_relaxed);
    if (waiting == 1 && exchange_oldest(conn, &open)) {
        wire_slot_request(exchange_slot(open))->flags |= WIRE_REQUEST_FRAMING_UNSEEN;
        conn->responses.parser.state = HTTP1_UNTIL_CLOSE;
        note_last_bytes(conn);
        atomic_store_explicit(&conn->response_unseen, 1, memory_order_relaxed);
    }
    atomic_store_explicit(&conn->requests.claimed, 0, memory_order_release);
    return waiting == 1 ? EXCHANGE_ON : response_lost(conn);
}

/* The head of a final response had been sent before its end was seen: without the lines that the settings want in
 * it. */
__attribute__((cold, noinline)) static void answer_seen_late(struct conn *conn)
{
    struct wire_slot *slot = exchange_answered(conn);

    if (slot && !conn_is_client(conn) && conn->responses.parser.status >= 200)
        exchange_withhold(slot, exchange_late_reason(conn));
}

static enum exchange_result responses_of_stream(struct conn *conn, const char *bytes, size_t length)
{
    struct http1_out out;
    enum http1_event event;
    enum exchange_result result;
    uintptr_t open;

    if (exchange_oldest(conn, &open)) /* read after the parsing, in which time it comes from memory */
        __builtin_prefetch(exchange_slot(open));
    conn->responses.moment_ns = 0;
    if (__builtin_expect(atomic_load_explicit(&conn->response_unseen, memory_order_relaxed), 0))
        note_last_bytes(conn);
    if (!bytes) {
        if (exchange_skip(&conn->responses, length, &event) < 0)
            return response_unseen(conn);
        return exchange_response_event(conn, event, NULL);
    }
    do {
        size_t used = exchange_feed(&conn->responses, bytes, length, &event, &out);

        bytes += used;
        length -= used;
        result = exchange_response_event(conn, event, &out);
        if (event == HTTP1_HEAD_END && conn->looks_ahead)
            answer_seen_late(conn);
    } while (result == EXCHANGE_ON && !exchange_fed_up(&conn->responses, event, length));
    exchange_feed_done(&conn->responses);
    return result;
}

enum exchange_result exchange_responses(struct conn *conn, const char *bytes, size_t length)
{
    if (__builtin_expect(conn->responses.gateway != NULL, 0))
        return exchange_streams(conn, &conn->responses, responses_of_stream, bytes, length);
    return responses_of_stream(conn, bytes, length);
}

void exchange_response_undo(struct conn *conn)
{
    struct wire_slot *slot = exchange_answered(conn);

    if (!slot || request_answered(slot) == 0)
        return;
    request_note_answer(slot, 0);
    wire_slot_request(slot)->status = 0;
    wire_slot_request(slot)->text_length = conn->text_before;
}

void exchange_responses_end(struct conn *conn)
{
    uintptr_t open;

    if (!atomic_exchange_explicit(&conn->response_unseen, 0, memory_order_relaxed))
        conn->responses.moment_ns = 0;
    if (exchange_oldest(conn, &open) && conn->responses.parser.state == HTTP1_UNTIL_CLOSE &&
        http1_end(&conn->responses.parser) == HTTP1_MESSAGE_END)
        exchange_request_end(conn, 0, WIRE_ERROR_NONE);
}
