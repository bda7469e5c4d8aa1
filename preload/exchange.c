/* SPDX-License-Identifier: Apache-2.0 */
/* The messages on a connection: requests go one way, responses the other in the same order. Here: the bytes of a
 * direction, and the queue of requests that wait for their answers. */
#include "preload/exchange_internal.h"

#include "preload/arena.h"
#include "preload/gateway.h"

#include "preload/ring.h"

static struct arena_pool heads = {.block_size = sizeof(struct span_head)};
static struct arena_pool stashes = {.block_size = sizeof(struct stash)};

enum wire_drop exchange_drop(enum exchange_result result)
{
    switch (result) {
    case EXCHANGE_DOUBT:
        return WIRE_DROP_BAD_FRAMING;
    case EXCHANGE_TOO_DEEP:
        return WIRE_DROP_PIPELINE_LIMIT;
    case EXCHANGE_CONTENDED:
        return WIRE_DROP_CONTENDED;
    case EXCHANGE_ON:
    case EXCHANGE_OVER:
        break;
    }
    return WIRE_DROP_COUNT;
}

static void head_set(struct conn *conn, struct span_head *head)
{
    /* release: a thread that answers a request whose head is complete finds all that came of it */
    __atomic_store_n(&conn->head, head, __ATOMIC_RELEASE);
}

struct span_head *exchange_head_new(struct conn *conn)
{
    head_set(conn, arena_pool_get(&heads));
    return conn->head;
}

void exchange_head_release(struct conn *conn)
{
    if (conn->head) {
        span_head_release(conn->head);
        arena_pool_put(&heads, conn->head);
    }
    head_set(conn, NULL);
}

enum http1_event exchange_lend_stash(struct conn_direction *direction)
{
    direction->stash = arena_pool_get(&stashes);
    if (direction->stash)
        return HTTP1_NEED_STASH;
    direction->parser.state = HTTP1_FAILED;
    return HTTP1_BAD;
}

inline void exchange_feed_done(struct conn_direction *direction)
{
    if (!direction->stash || direction->parser.stash_length > 0)
        return;
    arena_pool_put(&stashes, direction->stash);
    direction->stash = NULL;
}

bool exchange_was_ended_elsewhere(const struct conn *conn, uint32_t number)
{
    const struct conn_open *open = &conn->open[number % CONN_PIPELINE_MAX];
    struct wire_slot *slot = exchange_slot(open->slot);

    if (!slot)
        return false;
    if (request_start(slot) != open->start_ns)
        return true;
    /* acquire: when its head has ended it is seen open */
    if (__atomic_load_n(&conn->head, __ATOMIC_ACQUIRE) &&
        number + 1 == atomic_load_explicit(&conn->opened, memory_order_acquire))
        return false;
    return atomic_load_explicit(&slot->open, memory_order_relaxed) != WIRE_SLOT_OPEN;
}

inline bool exchange_oldest(const struct conn *conn, uintptr_t *ret_open)
{
    uint32_t number = atomic_load_explicit(&conn->answered, memory_order_relaxed);

    if (number == atomic_load_explicit(&conn->opened, memory_order_acquire))
        return false;
    *ret_open = conn->open[number % CONN_PIPELINE_MAX].slot;
    return true;
}

/* Has a client all the answers that it waits for? */
static void note_answered(struct conn *conn)
{
    uint32_t answered = atomic_load_explicit(&conn->answered, memory_order_relaxed);

    if (conn_is_client(conn) && conn_waiting(conn->connection) == 0 &&
        (conn->open[(answered - 1) % CONN_PIPELINE_MAX].slot & CONN_OPEN_LAST) == 0)
        tie_answered(&conn->connection->tie);
}

void exchange_request_end(struct conn *conn, uint16_t flags, enum wire_error error)
{
    uint32_t number = atomic_load_explicit(&conn->answered, memory_order_relaxed);
    struct wire_slot *slot = exchange_slot(conn->open[number % CONN_PIPELINE_MAX].slot);

    if (slot && !exchange_was_ended_elsewhere(conn, number)) {
        struct wire_request *request = wire_slot_request(slot);

        uint64_t body = atomic_load_explicit(&conn->open[number % CONN_PIPELINE_MAX].body_length, memory_order_relaxed);

        request->request_body_size = body & ~CONN_BODY_BAD;
        if (body & CONN_BODY_BAD)
            flags |= WIRE_REQUEST_FRAMING_INVALID;
        if (request->first_byte_ns && !(request->flags & WIRE_REQUEST_FRAMING_UNSEEN)) {
            request->response_body_size = conn->responses.parser.body_length;
            flags |= WIRE_REQUEST_RESPONSE_BODY_SEEN;
            if (http1_has_length(&conn->responses.parser))
                flags |= WIRE_REQUEST_RESPONSE_LENGTH;
        }
        request->flags |= flags | WIRE_REQUEST_BODY_SEEN;
        if (conn_is_client(conn))
            conn_add_way(conn, number, slot);
        span_end(slot, exchange_moment(&conn->responses), error);
    }
    atomic_store_explicit(&conn->answered, number + 1, memory_order_release);
    note_answered(conn);
}

void exchange_request_drop(struct conn *conn, struct wire_slot *slot)
{
    if (slot && !exchange_was_ended_elsewhere(conn, atomic_load_explicit(&conn->answered, memory_order_relaxed)))
        span_discard(slot);
    atomic_fetch_add_explicit(&conn->answered, 1, memory_order_release);
    note_answered(conn);
}

struct wire_slot *exchange_answered(const struct conn *conn)
{
    uintptr_t open;

    if (!exchange_oldest(conn, &open) ||
        exchange_was_ended_elsewhere(conn, atomic_load_explicit(&conn->answered, memory_order_relaxed)))
        return NULL;
    return exchange_slot(open);
}

bool exchange_answering(const struct conn *conn)
{
    uintptr_t open;

    return exchange_oldest(conn, &open) && exchange_slot(open) &&
           !exchange_was_ended_elsewhere(conn, atomic_load_explicit(&conn->answered, memory_order_relaxed)) &&
           wire_slot_request(exchange_slot(open))->first_byte_ns != 0;
}

void exchange_withhold(struct wire_slot *slot, enum wire_withhold reason)
{
    wire_slot_request(slot)->withheld = (uint8_t)reason;
    ring_withhold(wire_slot_request(slot)->kind == WIRE_KIND_CLIENT ? reason : WIRE_WITHHOLD_RESPONSE);
}

enum wire_withhold exchange_late_reason(const struct conn *conn)
{
    return atomic_load_explicit(&conn->connection->sending, memory_order_relaxed) & 1 ? WIRE_WITHHOLD_PIPELINED
                                                                                      : WIRE_WITHHOLD_UNSUITED_CALL;
}

void exchange_not_connected(const struct wire_address *peer, const struct request_ref *cause, uint64_t start_ns,
                            enum wire_error error)
{
    static const struct wire_address none;
    const struct span_ends ends = {
        .kind = WIRE_KIND_CLIENT, .peer = peer, .local = &none, .client = &none, .parent = *cause};
    struct span_head *head = arena_pool_get(&heads);
    struct wire_slot *slot = head ? span_open(head, start_ns, &ends) : NULL;

    if (slot) {
        uint64_t now_ns = clock_mono_ns();

        wire_slot_request(slot)->flags |= WIRE_REQUEST_NOT_CONNECTED;
        span_head_end(slot, head);
        span_end(slot, now_ns, error);
    }
    if (head)
        arena_pool_put(&heads, head);
}

/* The direction that the program sends in. */

enum exchange_result exchange_sent(struct conn *conn, const char *bytes, size_t length)
{
    return conn_is_client(conn) ? exchange_requests(conn, bytes, length) : exchange_responses(conn, bytes, length);
}

enum exchange_result exchange_step(struct conn *conn, const char *bytes, size_t length, size_t *ret_used,
                                   enum http1_event *ret_event, struct http1_out *ret_out)
{
    bool has_records = __builtin_expect(conn->requests.gateway != NULL, 0) && exchange_has_records(conn);
    struct conn *stream = conn;
    enum exchange_result result;

    if (has_records)
        length = exchange_route(conn, &conn->requests, bytes, length, &stream);
    if (!stream) {
        *ret_used = length;
        *ret_event = HTTP1_NEED_MORE;
        return length > 0 ? EXCHANGE_ON : EXCHANGE_TOO_DEEP;
    }
    *ret_used = exchange_feed(conn_outward(stream), bytes, length, ret_event, ret_out);
    if (has_records)
        exchange_unroute(conn, &conn->requests, length - *ret_used);
    result = conn_is_client(conn) ? exchange_request_event(stream, *ret_event, ret_out)
                                  : exchange_response_event(stream, *ret_event, ret_out);
    if (*ret_event != HTTP1_NEED_STASH)
        exchange_feed_done(conn_outward(stream));
    return result;
}

bool exchange_is_all_but_over(struct conn *conn)
{
    const struct conn_direction *direction = conn_outward(conn);

    return direction->parser.state == HTTP1_IN_FIELDS && direction->parser.stash_length == 1 &&
           direction->stash->bytes[0] == '\r';
}

void exchange_head_end(struct conn *conn)
{
    if (conn_is_client(conn))
        exchange_request_head_end(conn, exchange_arriving(conn));
}

struct wire_slot *exchange_sending(struct conn *conn)
{
    return conn_is_client(conn) ? exchange_arriving(conn) : exchange_answered(conn);
}

void exchange_undo(struct conn *conn)
{
    struct conn_direction *direction = conn_outward(conn);

    if (conn_is_client(conn))
        exchange_request_undo(conn);
    else
        exchange_response_undo(conn);
    direction->parser.stash_length = 0;
    exchange_feed_done(direction);
    direction->parser = conn->before;
    if (direction->gateway && conn_is_client(conn))
        gateway_forget_request(direction->gateway);
}
