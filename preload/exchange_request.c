/* SPDX-License-Identifier: Apache-2.0 */
/* The requests on a connection. */
#include "preload/exchange_internal.h"

/* The response before this request has no visible framing: the request shows that it has ended, with the last bytes
 * that were sent. */
__attribute__((cold, noinline)) static enum exchange_result unseen_response_end(struct conn *conn)
{
    if (atomic_exchange_explicit(&conn->responses.claimed, 1, memory_order_acquire) != 0)
        return EXCHANGE_CONTENDED;
    if (atomic_load_explicit(&conn->response_unseen, memory_order_relaxed)) {
        atomic_store_explicit(&conn->response_unseen, 0, memory_order_relaxed);
        (void)http1_end(&conn->responses.parser);
        exchange_request_end(conn, 0, WIRE_ERROR_NONE);
    }
    atomic_store_explicit(&conn->responses.claimed, 0, memory_order_release);
    return EXCHANGE_ON;
}

/* A request comes although the one before has no whole answer yet. */
__attribute__((noinline)) static enum exchange_result request_queue(struct conn *conn, uint32_t waiting)
{
    if (atomic_load_explicit(&conn->response_unseen, memory_order_relaxed))
        return unseen_response_end(conn);
    return waiting >= CONN_PIPELINE_MAX ? EXCHANGE_TOO_DEEP : EXCHANGE_ON;
}

/* The slot of request `number`, whose head begins. */
static struct wire_slot *open_span(struct conn *conn, uint32_t number)
{
    const struct conn *connection = conn->connection;
    struct span_ends ends = {
        .kind = WIRE_KIND_SERVER, .peer = &connection->peer, .local = &connection->local, .client = &conn->client};

    if (conn_is_client(conn)) {
        ends.kind = WIRE_KIND_CLIENT;
        ends.parent = current_parent_for(&connection->tie, number == 0 && connection == conn);
        if (number == 0)
            conn_first_request(conn);
    }
    return span_open(conn->head, conn->begun_ns ? conn->begun_ns : exchange_moment(&conn->requests), &ends);
}

static enum exchange_result request_begin(struct conn *conn, const struct http1_out *line)
{
    uint32_t number = atomic_load_explicit(&conn->opened, memory_order_relaxed);
    struct slice method = line->a;
    uint32_t waiting = number - atomic_load_explicit(&conn->answered, memory_order_acquire);
    struct wire_slot *slot = NULL;
    uintptr_t flags = 0;

    if (__builtin_expect(waiting > 0, 0)) {
        enum exchange_result result = request_queue(conn, waiting);

        if (result != EXCHANGE_ON)
            return result;
    }
    if (slice_equals(method, "HEAD", 4))
        flags = CONN_OPEN_HEAD;
    if (slice_equals(method, "CONNECT", 7))
        flags = CONN_OPEN_CONNECT;
    if (exchange_head_new(conn))
        slot = open_span(conn, number);
    conn->begun_ns = 0;
    if (slot)
        span_request_line(slot, conn->head, method, line->b, conn->requests.parser.version_minor);
    else
        exchange_head_release(conn);
    if (__builtin_expect(conn->requests.gateway != NULL, 0))
        flags |= exchange_gateway_begin(conn, slot);
    atomic_store_explicit(&conn->open[number % CONN_PIPELINE_MAX].body_length, 0, memory_order_relaxed);
    conn->open[number % CONN_PIPELINE_MAX].slot = (uintptr_t)slot | flags;
    conn->open[number % CONN_PIPELINE_MAX].start_ns = slot ? wire_slot_request(slot)->start_ns : 0;
    atomic_store_explicit(&conn->opened, number + 1, memory_order_release);
    return EXCHANGE_ON;
}

/* The youngest request's slot. Only while its head is coming in is it certain that the slot is still this request's. */
inline struct wire_slot *exchange_arriving(struct conn *conn)
{
    uint32_t number = atomic_load_explicit(&conn->opened, memory_order_relaxed);

    return conn->head ? exchange_slot(conn->open[(number - 1) % CONN_PIPELINE_MAX].slot) : NULL;
}

/* Store how much of the youngest request's body has come. Not between messages: there the parser's count may be that
 * of the next request, whose first line has begun. */
static void request_body(struct conn *conn, bool is_end)
{
    uint32_t number = atomic_load_explicit(&conn->opened, memory_order_relaxed);

    if (is_end || http1_is_in_body(&conn->requests.parser))
        atomic_store_explicit(&conn->open[(number - 1) % CONN_PIPELINE_MAX].body_length,
                              conn->requests.parser.body_length, memory_order_relaxed);
}

/* RFC 9112 9.6: after the request that was to be the last one, none has to be answered. */
__attribute__((cold, noinline)) static void note_close(struct conn *conn)
{
    struct wire_slot *slot = exchange_arriving(conn);

    if (slot && conn->asked_close)
        wire_slot_request(slot)->flags |= WIRE_REQUEST_AFTER_CLOSE;
    conn->asked_close = true;
}

/* The request can't be understood. Those before it will still be answered, and so may this one be. */
__attribute__((cold)) static enum exchange_result request_lost(struct conn *conn, enum http1_event event)
{
    struct wire_slot *slot = exchange_arriving(conn);
    uint32_t opened = atomic_load_explicit(&conn->opened, memory_order_relaxed);

    atomic_store_explicit(&conn->requests_over, 1, memory_order_relaxed);
    if (slot) {
        wire_slot_request(slot)->flags |= WIRE_REQUEST_FRAMING_INVALID;
        span_head_end(slot, conn->head);
        note_close(conn);
    } else if (event == HTTP1_BAD && conn->requests.parser.framing != HTTP1_NO_BODY) {
        atomic_store_explicit(&conn->open[(opened - 1) % CONN_PIPELINE_MAX].body_length,
                              conn->requests.parser.body_length | CONN_BODY_BAD, memory_order_relaxed);
    }
    exchange_head_release(conn);
    if (atomic_load_explicit(&conn->answered, memory_order_acquire) != opened)
        return EXCHANGE_ON;
    return event == HTTP1_BAD ? EXCHANGE_DOUBT : EXCHANGE_OVER;
}

/* A client's request goes out: its answer is its parent's. */
static void ask_for(struct conn *conn, struct wire_slot *slot)
{
    tie_ask(&conn->connection->tie, slot ? &conn->head->parent : &(struct request_ref){0},
            conn_waiting(conn->connection) > 1);
}

/* The thread has read bytes of a server's connection: if the youngest request's head is complete, what the thread
 * does next is done for that request. */
static void work_on_youngest(struct conn *conn)
{
    uint32_t number = atomic_load_explicit(&conn->opened, memory_order_relaxed);
    const struct conn_open *open = &conn->open[(number - 1) % CONN_PIPELINE_MAX];

    if (conn->head || number == atomic_load_explicit(&conn->answered, memory_order_relaxed) ||
        !exchange_slot(open->slot))
        current_clear();
    else
        current_set(&(struct request_ref){exchange_slot(open->slot), open->start_ns});
}

void exchange_touched(const struct conn *conn)
{
    uint32_t opened = atomic_load_explicit(&conn->opened, memory_order_acquire);
    const struct conn_open *open = &conn->open[(opened - 1) % CONN_PIPELINE_MAX];
    struct request_ref ref = {exchange_slot(open->slot), open->start_ns};

    if (conn_waiting(conn) == 1 && request_live(&ref) && request_answered(ref.slot) == 0)
        current_touch(&ref);
}

/* A server's head can be freed now; a client's is looked at once more. */
void exchange_request_head_end(struct conn *conn, struct wire_slot *slot)
{
    if (slot) {
        if (conn->requests.parser.ambiguous)
            wire_slot_request(slot)->flags |= WIRE_REQUEST_FRAMING_AMBIGUOUS;
        span_head_end(slot, conn->head);
    }
    if (conn_is_client(conn)) {
        ask_for(conn, slot);
        return;
    }
    if (__builtin_expect(conn->asked_close || !conn->requests.parser.keep_alive, 0))
        note_close(conn);
    exchange_head_release(conn);
    work_on_youngest(conn);
}

/* Of a list whose line was cut only whole members count. */
__attribute__((cold, noinline)) static struct slice whole_members(const struct http1_out *field)
{
    struct slice list = field->b;

    if (!slice_is(field->a, "tracestate") && !slice_is(field->a, "baggage"))
        return list;
    while (list.length > 0 && list.bytes[list.length - 1] != ',')
        list.length--;
    return list;
}

enum exchange_result exchange_request_event(struct conn *conn, enum http1_event event, const struct http1_out *out)
{
    struct wire_slot *slot = exchange_arriving(conn);

    switch (event) {
    case HTTP1_START_LINE:
        return request_begin(conn, out);
    case HTTP1_FIELD:
        if (slot)
            span_request_field(slot, conn->head, out->a,
                               __builtin_expect(out->truncated, 0) ? whole_members(out) : out->b);
        return EXCHANGE_ON;
    case HTTP1_HEAD_END:
        exchange_request_head_end(conn, slot);
        if (!conn_is_client(conn)) /* whose request is over when it is sent */
            (void)http1_ends_with_head(&conn->requests.parser);
        return EXCHANGE_ON;
    case HTTP1_NEED_MORE:
        if (conn->requests.parser.state == HTTP1_IN_START_LINE && conn->begun_ns == 0)
            conn->begun_ns = exchange_moment(&conn->requests);
        request_body(conn, false);
        if (!conn_is_client(conn))
            work_on_youngest(conn);
        return EXCHANGE_ON;
    case HTTP1_MESSAGE_END:
        request_body(conn, true);
        if (!conn_is_client(conn))
            work_on_youngest(conn);
        return EXCHANGE_ON;
    case HTTP1_NEED_STASH:
        return EXCHANGE_ON;
    case HTTP1_NOT_MINE:
    case HTTP1_BAD:
        break;
    }
    return request_lost(conn, event);
}

/* The head of a client's request had been sent before its end was seen. */
__attribute__((cold, noinline)) static void head_seen_late(struct conn *conn)
{
    if (span_wants_headers(conn->head))
        exchange_withhold(exchange_arriving(conn), exchange_late_reason(conn));
    exchange_head_release(conn);
}

/* Take a PROXY header, or the beginning of one, off the connection's first bytes. If it turns out to be none, the
 * bytes that were kept of it are parsed now. */
__attribute__((cold, noinline)) static enum exchange_result first_bytes(struct conn *conn, const char **bytes,
                                                                        size_t *length)
{
    enum proxy_result result;
    size_t used = proxy_header_feed(&conn->proxy, *bytes, *length, &result, &conn->client);

    *bytes += used;
    *length -= used;
    switch (result) {
    case PROXY_NEED_MORE:
        if (conn->begun_ns == 0 && conn->proxy.bytes[0] != '\r') /* it may be a request's first byte */
            conn->begun_ns = exchange_moment(&conn->requests);
        return EXCHANGE_ON;
    case PROXY_COMPLETE:
        conn->begun_ns = 0;
        return EXCHANGE_ON;
    case PROXY_NONE:
        break;
    }
    if (conn->proxy.length > 0)
        return exchange_requests(conn, conn->proxy.bytes, conn->proxy.length);
    exchange_recognise(conn, *bytes, *length);
    return EXCHANGE_ON;
}

static enum exchange_result requests_of_stream(struct conn *conn, const char *bytes, size_t length)
{
    struct http1_out out;
    enum http1_event event;
    enum exchange_result result = EXCHANGE_ON;

    conn->requests.moment_ns = 0;
    if (!bytes) {
        if (exchange_skip(&conn->requests, length, &event) < 0)
            return EXCHANGE_DOUBT;
        return exchange_request_event(conn, event, NULL);
    }
    do {
        size_t used = exchange_feed(&conn->requests, bytes, length, &event, &out);

        bytes += used;
        length -= used;
        result = exchange_request_event(conn, event, &out);
        if (event == HTTP1_HEAD_END && conn->head) /* a client's, too late to add to it */
            head_seen_late(conn);
    } while (result == EXCHANGE_ON && !exchange_fed_up(&conn->requests, event, length) &&
             conn->requests.parser.state != HTTP1_FAILED);
    exchange_feed_done(&conn->requests);
    return result;
}

enum exchange_result exchange_requests(struct conn *conn, const char *bytes, size_t length)
{
    if (conn->requests.parser.state == HTTP1_FAILED)
        return EXCHANGE_ON; /* the responses decide when the last answer is given */
    if (bytes && __builtin_expect(conn->proxy.state != PROXY_OVER, 0)) {
        conn->requests.moment_ns = 0;
        enum exchange_result result = first_bytes(conn, &bytes, &length);
        if (result != EXCHANGE_ON || length == 0)
            return result;
    }
    if (__builtin_expect(conn->requests.gateway != NULL, 0))
        return exchange_streams(conn, &conn->requests, requests_of_stream, bytes, length);
    return requests_of_stream(conn, bytes, length);
}

void exchange_request_undo(struct conn *conn)
{
    uint32_t number = conn->opened_before;
    struct wire_slot *slot = exchange_slot(conn->open[number % CONN_PIPELINE_MAX].slot);

    if (atomic_load_explicit(&conn->opened, memory_order_relaxed) != number) {
        if (slot)
            span_discard(slot);
        atomic_store_explicit(&conn->opened, number, memory_order_relaxed);
    }
    exchange_head_release(conn);
    conn->begun_ns = 0;
}

void exchange_requests_end(struct conn *conn)
{
    uintptr_t open;

    if (exchange_oldest(conn, &open))
        return;
    conn->requests.parser.state = HTTP1_FAILED;
    atomic_store_explicit(&conn->requests_over, 1, memory_order_relaxed);
}
