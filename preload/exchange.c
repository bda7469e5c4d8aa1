// SPDX-License-Identifier: Apache-2.0
/* The messages on a connection: requests go one way, responses the other in the same order. */
#include "preload/conn_internal.h"

#include "preload/arena.h"
#include "preload/clock.h"
#include "preload/ring.h"
#include "preload/span.h"

#include <string.h>

static struct arena_pool heads = {.block_size = sizeof(struct span_head)};

/* While a line is cut its beginning waits here. The first bytes are the arena's link while the block is free. */
struct stash {
    _Atomic uint32_t pool_link;
    char bytes[HTTP1_STASH_SIZE];
};
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

/* The time of the bytes in hand, read once for all that they lead to. */
static inline uint64_t moment(struct conn_direction *direction)
{
    if (direction->moment_ns == 0)
        direction->moment_ns = clock_mono_ns();
    return direction->moment_ns;
}

static struct wire_slot *slot_of(uintptr_t open)
{
    return (struct wire_slot *)(open & ~(uintptr_t)CONN_OPEN_FLAGS);
}

static void head_set(struct conn *conn, struct span_head *head)
{
    /* release: who answers a request whose head is complete finds all that came of it */
    __atomic_store_n(&conn->head, head, __ATOMIC_RELEASE);
}

void exchange_head_release(struct conn *conn)
{
    if (conn->head) {
        span_head_release(conn->head);
        arena_pool_put(&heads, conn->head);
    }
    head_set(conn, NULL);
}

/* The parser's line is cut: lend it a stash. Without one it has lost its way. */
__attribute__((cold)) static enum http1_event lend_stash(struct conn_direction *direction)
{
    direction->stash = arena_pool_get(&stashes);
    if (direction->stash)
        return HTTP1_NEED_STASH;
    direction->parser.state = HTTP1_FAILED;
    return HTTP1_BAD;
}

static inline size_t feed(struct conn_direction *direction, const char *bytes, size_t length,
                          enum http1_event *ret_event, struct http1_out *ret_out)
{
    char *stash = direction->stash ? direction->stash->bytes : NULL;
    size_t used = http1_feed(&direction->parser, bytes, length, stash, ret_event, ret_out);

    if (__builtin_expect(*ret_event == HTTP1_NEED_STASH, 0))
        *ret_event = lend_stash(direction);
    return used;
}

/* Is there nothing left to learn from these bytes? Saves the call that would say so. */
static inline bool fed_up(const struct conn_direction *direction, enum http1_event event, size_t left)
{
    return event == HTTP1_NEED_MORE || (left == 0 && direction->parser.state == HTTP1_AT_START);
}

/* To be called when the last event's slices are done with. */
static void feed_done(struct conn_direction *direction)
{
    if (!direction->stash || direction->parser.stash_length > 0)
        return;
    arena_pool_put(&stashes, direction->stash);
    direction->stash = NULL;
}

/* The end of a request. */

/* Has another process answered it, or given it up? After a fork several may hold the connection, and the slot of a
 * request that one of them has ended may be another request's already. */
static bool was_ended_elsewhere(const struct conn *conn, uint32_t number)
{
    const struct conn_open *open = &conn->open[number % CONN_PIPELINE_MAX];
    struct wire_slot *slot = slot_of(open->slot);

    if (!slot)
        return false;
    if (wire_slot_request(slot)->start_ns != open->start_ns)
        return true;
    /* acquire: when its head has ended it is seen open */
    if (__atomic_load_n(&conn->head, __ATOMIC_ACQUIRE) &&
        number + 1 == atomic_load_explicit(&conn->opened, memory_order_acquire))
        return false;
    return atomic_load_explicit(&slot->open, memory_order_relaxed) != WIRE_SLOT_OPEN;
}

/* The oldest open request; false when there is none. */
static bool oldest(const struct conn *conn, uintptr_t *ret_open)
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
    if (conn_is_client(conn) && atomic_load_explicit(&conn->answered, memory_order_relaxed) ==
                                    atomic_load_explicit(&conn->opened, memory_order_relaxed))
        tie_answered(&conn->tie);
}

/* Take the oldest request out of the queue and end it. */
static void request_end(struct conn *conn, uint16_t flags, enum wire_error error)
{
    uint32_t number = atomic_load_explicit(&conn->answered, memory_order_relaxed);
    struct wire_slot *slot = slot_of(conn->open[number % CONN_PIPELINE_MAX].slot);

    if (slot && !was_ended_elsewhere(conn, number)) {
        struct wire_request *request = wire_slot_request(slot);

        uint64_t body = atomic_load_explicit(&conn->open[number % CONN_PIPELINE_MAX].body_length, memory_order_relaxed);

        request->request_body_size = body & ~CONN_BODY_BAD;
        if (body & CONN_BODY_BAD)
            flags |= WIRE_REQUEST_FRAMING_INVALID;
        if (request->first_byte_ns && !(request->flags & WIRE_REQUEST_FRAMING_UNSEEN)) {
            request->response_body_size = conn->responses.parser.body_length;
            flags |= WIRE_REQUEST_RESPONSE_BODY_SEEN;
        }
        request->flags |= flags | WIRE_REQUEST_BODY_SEEN;
        if (conn_is_client(conn))
            conn_add_way(conn, number, slot);
        span_end(slot, moment(&conn->responses), error);
    }
    atomic_store_explicit(&conn->answered, number + 1, memory_order_release);
    note_answered(conn);
}

/* Take the oldest request out of the queue: it is no span. */
static void request_drop(struct conn *conn, struct wire_slot *slot)
{
    if (slot && !was_ended_elsewhere(conn, atomic_load_explicit(&conn->answered, memory_order_relaxed)))
        span_discard(slot);
    atomic_fetch_add_explicit(&conn->answered, 1, memory_order_release);
    note_answered(conn);
}

/* Requests */

/* The next request shows that the response whose framing isn't seen has ended, with the last bytes that went out. */
__attribute__((cold, noinline)) static enum exchange_result unseen_response_end(struct conn *conn)
{
    if (atomic_exchange_explicit(&conn->responses.claimed, 1, memory_order_acquire) != 0)
        return EXCHANGE_CONTENDED;
    if (atomic_load_explicit(&conn->response_unseen, memory_order_relaxed)) {
        atomic_store_explicit(&conn->response_unseen, 0, memory_order_relaxed);
        (void)http1_end(&conn->responses.parser);
        request_end(conn, 0, WIRE_ERROR_NONE);
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
    struct span_ends ends = {
        .kind = WIRE_KIND_SERVER, .peer = &conn->peer, .local = &conn->local, .client = &conn->client};

    if (conn_is_client(conn)) {
        ends.kind = WIRE_KIND_CLIENT;
        ends.parent = current_parent_for(&conn->tie, number == 0);
        if (number == 0)
            conn_first_request(conn);
    }
    return span_open(conn->head, conn->begun_ns ? conn->begun_ns : moment(&conn->requests), &ends);
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
    head_set(conn, arena_pool_get(&heads));
    if (conn->head)
        slot = open_span(conn, number);
    conn->begun_ns = 0;
    if (slot)
        span_request_line(slot, conn->head, method, line->b, conn->requests.parser.version_minor);
    else
        exchange_head_release(conn);
    atomic_store_explicit(&conn->open[number % CONN_PIPELINE_MAX].body_length, 0, memory_order_relaxed);
    conn->open[number % CONN_PIPELINE_MAX].slot = (uintptr_t)slot | flags;
    conn->open[number % CONN_PIPELINE_MAX].start_ns = slot ? wire_slot_request(slot)->start_ns : 0;
    atomic_store_explicit(&conn->opened, number + 1, memory_order_release);
    return EXCHANGE_ON;
}

/* The youngest request's slot; only while its head is coming in is it certain to be ours. */
struct wire_slot *exchange_arriving(struct conn *conn)
{
    uint32_t number = atomic_load_explicit(&conn->opened, memory_order_relaxed);

    return conn->head ? slot_of(conn->open[(number - 1) % CONN_PIPELINE_MAX].slot) : NULL;
}

/* How much of the youngest request's body has come. Between messages the parser's count is none of its any more: the
 * next one's first line may have begun. */
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

/* Not a request that can be understood. What was asked before it will still be answered, and so may this be. */
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
    uint32_t others = atomic_load_explicit(&conn->opened, memory_order_relaxed) - 1 -
                      atomic_load_explicit(&conn->answered, memory_order_relaxed);

    tie_ask(&conn->tie, slot ? &conn->head->parent : &(struct request_ref){0}, others > 0);
}

/* The thread has read of a server's request: what it does next is done for it, if its head is complete. Two that are
 * read at once are both worked on; current.h sees to that. */
static void work_on_youngest(struct conn *conn)
{
    uint32_t number = atomic_load_explicit(&conn->opened, memory_order_relaxed);
    const struct conn_open *open = &conn->open[(number - 1) % CONN_PIPELINE_MAX];

    if (conn->head || number == atomic_load_explicit(&conn->answered, memory_order_relaxed) || !slot_of(open->slot))
        current_clear();
    else
        current_set(&(struct request_ref){slot_of(open->slot), open->start_ns});
}

/* A server's head is done with now; a client's is looked at once more. */
static inline void request_head_end(struct conn *conn, struct wire_slot *slot)
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

static enum exchange_result request_event(struct conn *conn, enum http1_event event, const struct http1_out *out)
{
    struct wire_slot *slot = exchange_arriving(conn);

    switch (event) {
    case HTTP1_START_LINE:
        return request_begin(conn, out);
    case HTTP1_FIELD:
        if (slot)
            span_request_field(slot, conn->head, out->a, out->b);
        return EXCHANGE_ON;
    case HTTP1_HEAD_END:
        request_head_end(conn, slot);
        return EXCHANGE_ON;
    case HTTP1_NEED_MORE:
        if (conn->requests.parser.state == HTTP1_IN_START_LINE && conn->begun_ns == 0)
            conn->begun_ns = moment(&conn->requests);
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

void exchange_withhold(struct wire_slot *slot, enum wire_withhold reason)
{
    wire_slot_request(slot)->withheld = (uint8_t)reason;
    ring_withhold(wire_slot_request(slot)->kind == WIRE_KIND_CLIENT ? reason : WIRE_WITHHOLD_RESPONSE);
}

static enum wire_withhold late_reason(const struct conn *conn)
{
    return atomic_load_explicit(&conn->sending, memory_order_relaxed) & 1 ? WIRE_WITHHOLD_PIPELINED
                                                                          : WIRE_WITHHOLD_UNSUITED_CALL;
}

/* The end of a client's head was found among bytes that have gone out already. */
__attribute__((cold, noinline)) static void head_seen_late(struct conn *conn)
{
    if (span_wants_headers(conn->head))
        exchange_withhold(exchange_arriving(conn), late_reason(conn));
    exchange_head_release(conn);
}

/* The connection's first bytes: a PROXY header or the beginning of one is taken off them. What was kept of something
 * that turned out to be none is read now. */
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
            conn->begun_ns = moment(&conn->requests);
        return EXCHANGE_ON;
    case PROXY_COMPLETE:
        conn->begun_ns = 0;
        return EXCHANGE_ON;
    case PROXY_NONE:
        break;
    }
    return conn->proxy.length > 0 ? exchange_requests(conn, conn->proxy.bytes, conn->proxy.length) : EXCHANGE_ON;
}

enum exchange_result exchange_requests(struct conn *conn, const char *bytes, size_t length)
{
    struct http1_out out;
    enum http1_event event;
    enum exchange_result result = EXCHANGE_ON;

    conn->requests.moment_ns = 0;
    if (conn->requests.parser.state == HTTP1_FAILED)
        return EXCHANGE_ON; /* the responses decide when the last answer is given */
    if (!bytes) {
        if (http1_skip(&conn->requests.parser, length, &event) < 0)
            return EXCHANGE_DOUBT;
        return request_event(conn, event, NULL);
    }
    if (__builtin_expect(conn->proxy.state != PROXY_OVER, 0)) {
        result = first_bytes(conn, &bytes, &length);
        if (result != EXCHANGE_ON || length == 0)
            return result;
    }
    do {
        size_t used = feed(&conn->requests, bytes, length, &event, &out);

        bytes += used;
        length -= used;
        result = request_event(conn, event, &out);
        if (event == HTTP1_HEAD_END && conn->head) /* a client's, too late to add to it */
            head_seen_late(conn);
    } while (result == EXCHANGE_ON && !fed_up(&conn->requests, event, length) &&
             conn->requests.parser.state != HTTP1_FAILED);
    feed_done(&conn->requests);
    return result;
}

/* Responses */

/* An answer to a request whose head has not ended (it is too long, or broken): what came of it must do. */
__attribute__((cold)) static bool head_cut_short(struct conn *conn)
{
    uint32_t number = atomic_load_explicit(&conn->answered, memory_order_relaxed);

    if (number + 1 != atomic_load_explicit(&conn->opened, memory_order_acquire))
        return true;
    if (atomic_exchange_explicit(&conn->requests.claimed, 1, memory_order_acquire) != 0)
        return false;
    if (conn->head) {
        span_head_end(exchange_arriving(conn), conn->head);
        exchange_head_release(conn);
        conn->requests.parser.state = HTTP1_FAILED;
        atomic_store_explicit(&conn->requests_over, 1, memory_order_relaxed);
    }
    atomic_store_explicit(&conn->requests.claimed, 0, memory_order_release);
    return true;
}

static enum exchange_result response_begin(struct conn *conn)
{
    uint32_t number = atomic_load_explicit(&conn->answered, memory_order_relaxed);
    uintptr_t open;

    while (oldest(conn, &open) && was_ended_elsewhere(conn, number)) /* that answer isn't this one */
        atomic_store_explicit(&conn->answered, ++number, memory_order_release);
    if (!oldest(conn, &open))
        return EXCHANGE_OVER; /* a protocol in which the server speaks first */
    /* Only a look from outside: the head belongs to the requests. */
    if (__atomic_load_n(&conn->head, __ATOMIC_ACQUIRE) && !head_cut_short(conn))
        return EXCHANGE_CONTENDED;
    if (number == 0 && conn_is_client(conn) && slot_of(open) &&
        wire_slot_request(slot_of(open))->flags & WIRE_REQUEST_SAMPLED)
        conn_answered(conn);
    conn->responses.parser.answers_head = (open & CONN_OPEN_HEAD) != 0;
    conn->responses.parser.answers_connect = (open & CONN_OPEN_CONNECT) != 0;
    if (slot_of(open) && (conn->responses.parser.status >= 200 || conn->responses.parser.status == 101)) {
        struct wire_request *request = wire_slot_request(slot_of(open));

        request->first_byte_ns = moment(&conn->responses);
        request->status = conn->responses.parser.status;
    }
    return EXCHANGE_ON;
}

/* A response that can't be followed to its end, or to its beginning. */
__attribute__((cold)) static enum exchange_result response_lost(struct conn *conn)
{
    if (exchange_answering(conn))
        request_end(conn, WIRE_REQUEST_FRAMING_INVALID, WIRE_ERROR_BAD_FRAMING);
    return EXCHANGE_DOUBT;
}

static enum exchange_result response_event(struct conn *conn, enum http1_event event, const struct http1_out *out)
{
    uint16_t status = conn->responses.parser.status;
    bool tunnel = conn->responses.parser.state == HTTP1_TUNNEL;
    uintptr_t open;

    switch (event) {
    case HTTP1_START_LINE:
        return response_begin(conn);
    case HTTP1_FIELD:
        if (oldest(conn, &open) && slot_of(open))
            span_response_field(slot_of(open), out->a, out->b);
        return EXCHANGE_ON;
    case HTTP1_HEAD_END:
        if (conn->responses.parser.ambiguous && oldest(conn, &open) && slot_of(open))
            wire_slot_request(slot_of(open))->flags |= WIRE_REQUEST_FRAMING_AMBIGUOUS;
        return EXCHANGE_ON;
    case HTTP1_NEED_MORE:
    case HTTP1_NEED_STASH:
        return EXCHANGE_ON;
    case HTTP1_MESSAGE_END:
        if (status < 200 && status != 101)
            return EXCHANGE_ON; /* the final response is still to come */
        request_end(conn, tunnel ? WIRE_REQUEST_UPGRADED : 0, WIRE_ERROR_NONE);
        if (tunnel || (atomic_load_explicit(&conn->requests_over, memory_order_relaxed) && !oldest(conn, &open)))
            return EXCHANGE_OVER;
        return EXCHANGE_ON;
    case HTTP1_NOT_MINE:
        return oldest(conn, &open) ? EXCHANGE_DOUBT : EXCHANGE_OVER;
    case HTTP1_BAD:
        break;
    }
    return response_lost(conn);
}

/* When a response whose framing isn't seen ends is the time of the last bytes before something else happens. */
__attribute__((cold, noinline)) static void note_last_bytes(struct conn *conn)
{
    (void)moment(&conn->responses);
}

/* Bytes that nobody saw are more than what is left of the body or chunk. Of a chunked response it can be chunks with
 * their lines: from here on its end is told by what follows. If another request is waiting, nothing tells it. */
__attribute__((cold)) static enum exchange_result response_unseen(struct conn *conn)
{
    uint32_t waiting;
    uintptr_t open;

    if (!exchange_answering(conn) || conn->responses.parser.framing != HTTP1_CHUNKED ||
        atomic_exchange_explicit(&conn->requests.claimed, 1, memory_order_acquire) != 0)
        return response_lost(conn);
    waiting = atomic_load_explicit(&conn->opened, memory_order_relaxed) -
              atomic_load_explicit(&conn->answered, memory_order_relaxed);
    if (waiting == 1 && oldest(conn, &open)) {
        wire_slot_request(slot_of(open))->flags |= WIRE_REQUEST_FRAMING_UNSEEN;
        conn->responses.parser.state = HTTP1_UNTIL_CLOSE;
        note_last_bytes(conn);
        atomic_store_explicit(&conn->response_unseen, 1, memory_order_relaxed);
    }
    atomic_store_explicit(&conn->requests.claimed, 0, memory_order_release);
    return waiting == 1 ? EXCHANGE_ON : response_lost(conn);
}

/* The request that is answered, if this process still has it. */
static struct wire_slot *answered_slot(const struct conn *conn)
{
    uintptr_t open;

    if (!oldest(conn, &open) || was_ended_elsewhere(conn, atomic_load_explicit(&conn->answered, memory_order_relaxed)))
        return NULL;
    return slot_of(open);
}

/* The end of a final response's head was found among bytes that have gone out already: without the lines that responses
 * were to have. */
__attribute__((cold, noinline)) static void answer_seen_late(struct conn *conn)
{
    struct wire_slot *slot = answered_slot(conn);

    if (slot && !conn_is_client(conn) && conn->responses.parser.status >= 200)
        exchange_withhold(slot, late_reason(conn));
}

enum exchange_result exchange_responses(struct conn *conn, const char *bytes, size_t length)
{
    struct http1_out out;
    enum http1_event event;
    enum exchange_result result;

    conn->responses.moment_ns = 0;
    if (__builtin_expect(atomic_load_explicit(&conn->response_unseen, memory_order_relaxed), 0))
        note_last_bytes(conn);
    if (!bytes) {
        if (http1_skip(&conn->responses.parser, length, &event) < 0)
            return response_unseen(conn);
        return response_event(conn, event, NULL);
    }
    do {
        size_t used = feed(&conn->responses, bytes, length, &event, &out);

        bytes += used;
        length -= used;
        result = response_event(conn, event, &out);
        if (event == HTTP1_HEAD_END && conn->looks_ahead)
            answer_seen_late(conn);
    } while (result == EXCHANGE_ON && !fed_up(&conn->responses, event, length));
    feed_done(&conn->responses);
    return result;
}

enum exchange_result exchange_sent(struct conn *conn, const char *bytes, size_t length)
{
    return conn_is_client(conn) ? exchange_requests(conn, bytes, length) : exchange_responses(conn, bytes, length);
}

enum exchange_result exchange_step(struct conn *conn, const char *bytes, size_t length, size_t *ret_used,
                                   enum http1_event *ret_event, struct http1_out *ret_out)
{
    struct conn_direction *direction = conn_outward(conn);
    enum exchange_result result;

    *ret_used = feed(direction, bytes, length, ret_event, ret_out);
    result =
        conn_is_client(conn) ? request_event(conn, *ret_event, ret_out) : response_event(conn, *ret_event, ret_out);
    if (*ret_event != HTTP1_NEED_STASH)
        feed_done(direction);
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
        request_head_end(conn, exchange_arriving(conn));
}

struct wire_slot *exchange_sending(struct conn *conn)
{
    return conn_is_client(conn) ? exchange_arriving(conn) : answered_slot(conn);
}

static void request_undo(struct conn *conn)
{
    uint32_t number = conn->opened_before;
    struct wire_slot *slot = slot_of(conn->open[number % CONN_PIPELINE_MAX].slot);

    if (atomic_load_explicit(&conn->opened, memory_order_relaxed) != number) {
        if (slot)
            span_discard(slot);
        atomic_store_explicit(&conn->opened, number, memory_order_relaxed);
    }
    exchange_head_release(conn);
    conn->begun_ns = 0;
}

static void response_undo(struct conn *conn)
{
    struct wire_slot *slot = answered_slot(conn);

    if (!slot || wire_slot_request(slot)->first_byte_ns == 0)
        return;
    wire_slot_request(slot)->first_byte_ns = 0;
    wire_slot_request(slot)->status = 0;
    wire_slot_request(slot)->text_length = conn->text_before;
}

void exchange_undo(struct conn *conn)
{
    struct conn_direction *direction = conn_outward(conn);

    if (conn_is_client(conn))
        request_undo(conn);
    else
        response_undo(conn);
    direction->parser.stash_length = 0;
    feed_done(direction);
    direction->parser = conn->before;
}

void exchange_responses_end(struct conn *conn)
{
    uintptr_t open;

    if (!atomic_exchange_explicit(&conn->response_unseen, 0, memory_order_relaxed))
        conn->responses.moment_ns = 0;
    if (oldest(conn, &open) && conn->responses.parser.state == HTTP1_UNTIL_CLOSE &&
        http1_end(&conn->responses.parser) == HTTP1_MESSAGE_END)
        request_end(conn, 0, WIRE_ERROR_NONE);
}

void exchange_requests_end(struct conn *conn)
{
    uintptr_t open;

    if (oldest(conn, &open))
        return;
    conn->requests.parser.state = HTTP1_FAILED;
    atomic_store_explicit(&conn->requests_over, 1, memory_order_relaxed);
}

bool exchange_answering(const struct conn *conn)
{
    uintptr_t open;

    return oldest(conn, &open) && slot_of(open) &&
           !was_ended_elsewhere(conn, atomic_load_explicit(&conn->answered, memory_order_relaxed)) &&
           wire_slot_request(slot_of(open))->first_byte_ns != 0;
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

static void release_memory(struct conn *conn)
{
    exchange_head_release(conn);
    conn->requests.parser.stash_length = conn->responses.parser.stash_length = 0;
    feed_done(&conn->requests);
    feed_done(&conn->responses);
}

/* The youngest request is no request yet when its head has not ended. */
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
    while (oldest(conn, &open)) {
        bool answering = exchange_answering(conn);

        if (!answering && is_after_close(slot_of(open)))
            request_drop(conn, slot_of(open));
        else if (error != WIRE_ERROR_NONE)
            request_end(conn, 0, error);
        else
            request_end(conn, 0, answering ? WIRE_ERROR_RESPONSE_INCOMPLETE : WIRE_ERROR_NO_RESPONSE);
    }
    release_memory(conn);
}

void exchange_give_up(struct conn *conn, bool waited)
{
    uintptr_t open;

    conn->responses.moment_ns = 0;
    discard_unfinished_head(conn);
    while (oldest(conn, &open)) {
        enum wire_error error = exchange_answering(conn) ? WIRE_ERROR_NONE : WIRE_ERROR_NO_RESPONSE;

        request_end(conn, 0, waited ? WIRE_ERROR_TIMEOUT : error);
    }
    release_memory(conn);
}

uint32_t exchange_discard(struct conn *conn)
{
    uint32_t count = 0;
    uintptr_t open;

    discard_unfinished_head(conn);
    while (oldest(conn, &open)) {
        struct wire_slot *slot = slot_of(open);

        if (slot && !was_ended_elsewhere(conn, atomic_load_explicit(&conn->answered, memory_order_relaxed)))
            count += (wire_slot_request(slot)->flags & WIRE_REQUEST_SAMPLED) != 0;
        request_drop(conn, slot);
    }
    release_memory(conn);
    return count;
}

/* Requests left to other processes. These may never answer (a CGI program has no hooks on it), so the slots of the last
 * ones only are kept for them. */
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
        if (slot_of(conn->open[number % CONN_PIPELINE_MAX].slot) && !was_ended_elsewhere(conn, number))
            leave(slot_of(conn->open[number % CONN_PIPELINE_MAX].slot),
                  conn->open[number % CONN_PIPELINE_MAX].start_ns);
    atomic_store_explicit(&conn->answered, opened, memory_order_relaxed);
    release_memory(conn);
}
