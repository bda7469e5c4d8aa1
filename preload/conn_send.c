// SPDX-License-Identifier: Apache-2.0
/* What a client sends. A request's head is parsed before it goes out: by then our trace header must stand in it, and
 * its answer may come, to another thread, before the call returns. */
#include "preload/conn_internal.h"

#include "preload/arena.h"
#include "preload/outgoing.h"
#include "preload/ring.h"
#include "preload/slice.h"
#include "preload/span.h"

#include <errno.h>
#include <stdint.h>
#include <sys/uio.h>

static struct arena_pool outgoings = {.block_size = sizeof(struct outgoing)};

/* Where the planning of a call stands. */
struct plan {
    struct conn *conn;
    struct outgoing *outgoing;
    const struct iovec *iov;
    int count;
    uint64_t at;         /* bytes of the call that are parsed */
    uint64_t own_before; /* where our lines are to stand */
    bool is_over;        /* all of the head was seen */
    char last;           /* byte that is parsed; none yet: 0 */
};

static bool is_passive(const struct conn *conn)
{
    return atomic_load_explicit(&conn->passive, memory_order_relaxed) != 0;
}

static bool is_before_head_end(const struct http1 *parser)
{
    return parser->state <= HTTP1_IN_FIELDS;
}

/* HTTP message signatures (RFC 9421, and the drafts before it): what they cover is the signer's choice, so nothing is
 * added. AWS's and others' signatures name the headers that they cover, and bear more. */
static bool is_signature(struct slice name, struct slice value)
{
    return slice_is(name, "signature") || slice_is(name, "signature-input") ||
           (slice_is(name, "authorization") && value.length > 10 &&
            slice_is((struct slice){value.bytes, 10}, "signature "));
}

/* A line of the head, which ends with the bytes from..from + used. */
static void plan_field(struct plan *plan, const char *from, size_t used, const struct http1_out *line)
{
    struct conn *conn = plan->conn;

    conn->head_fields++;
    if (is_signature(line->a, line->b))
        conn->is_signed = true;
    if (!conn->head || !conn->head->was_context)
        return;
    if (line->a.bytes < from || line->a.bytes >= from + used || /* it began in an earlier call, or buffer */
        !outgoing_omit(plan->outgoing, plan->at + (size_t)(line->a.bytes - from),
                       used - (size_t)(line->a.bytes - from)))
        conn->context_sent = true;
}

/* How long the blank line is of which these are the last bytes; its CR may stand at the end of the buffer before. */
static size_t blank_line(const struct plan *plan, const char *from, size_t used)
{
    char before = used > 1 ? from[used - 2] : plan->last;

    return before == '\r' ? 2 : 1;
}

/* Parse one buffer, to the head's end at most. */
static enum exchange_result plan_buffer(struct plan *plan, const char *bytes, size_t length)
{
    struct conn *conn = plan->conn;
    enum exchange_result result = EXCHANGE_ON;
    enum http1_event event;
    struct http1_out out;
    size_t used;

    while (length > 0 && result == EXCHANGE_ON && !plan->is_over) {
        result = exchange_request_step(conn, bytes, length, &used, &event, &out);
        conn->head_length += (uint32_t)used;
        if (event == HTTP1_FIELD) {
            plan_field(plan, bytes, used, &out);
        } else if (event == HTTP1_HEAD_END) {
            plan->is_over = true;
            plan->own_before = plan->at + used - blank_line(plan, bytes, used);
        }
        if (used > 0)
            plan->last = bytes[used - 1];
        plan->at += used;
        bytes += used;
        length -= used;
    }
    return result;
}

/* Why our lines, which are so long, can't be added. */
static enum wire_withhold obstacle(const struct plan *plan, size_t own_length)
{
    const struct conn *conn = plan->conn;

    if (conn->context_sent)
        return WIRE_WITHHOLD_HEAD_CUT;
    if (conn->is_signed)
        return WIRE_WITHHOLD_SIGNED;
    if (own_length == 0)
        return WIRE_WITHHOLD_HEAD_TOO_LONG;
    if (conn->head_fields >= OUTGOING_FIELDS_MAX)
        return WIRE_WITHHOLD_TOO_MANY_FIELDS;
    if (plan->count >= OUTGOING_VECTOR_MAX)
        return WIRE_WITHHOLD_TOO_MANY_BUFFERS;
    return WIRE_WITHHOLD_NONE;
}

/* The head is complete: put together what goes out. False: the program's bytes go as they are. */
static bool plan_head(struct plan *plan)
{
    struct conn *conn = plan->conn;
    struct outgoing *outgoing = plan->outgoing;
    struct wire_slot *slot = exchange_arriving(conn);
    size_t head = conn->head_length - outgoing->omitted_length, own = 0;
    enum wire_withhold reason;

    if (!slot || !span_wants_headers(conn->head))
        return false;
    if (head < OUTGOING_HEAD_MAX)
        own = span_context_lines(slot, conn->head, outgoing->own, OUTGOING_HEAD_MAX - head);
    reason = obstacle(plan, own);
    if (reason != WIRE_WITHHOLD_NONE) {
        exchange_withhold(slot, reason);
        return false;
    }
    outgoing_build(outgoing, plan->iov, plan->at, plan->own_before, own);
    ring_count(WIRE_COUNT_INJECTED);
    return true;
}

/* Parse what the call would send of a head, and decide what goes out in its place. */
static enum exchange_result plan_call(struct plan *plan)
{
    struct conn *conn = plan->conn;
    enum exchange_result result = EXCHANGE_ON;
    uint64_t skip = conn->ahead;

    conn->requests.moment_ns = 0;
    for (int i = 0; i < plan->count && result == EXCHANGE_ON && !plan->is_over; i++) {
        size_t skipped = skip < plan->iov[i].iov_len ? (size_t)skip : plan->iov[i].iov_len;

        skip -= skipped;
        plan->at += skipped;
        result = plan_buffer(plan, (const char *)plan->iov[i].iov_base + skipped, plan->iov[i].iov_len - skipped);
    }
    if (plan->at > conn->ahead)
        conn->ahead = plan->at;
    if (result == EXCHANGE_ON && !plan->is_over && plan->at > 0 && exchange_request_is_all_but_over(conn)) {
        exchange_request_head_end(conn);
        plan->is_over = true;
        plan->own_before = plan->at - 1;
    }
    if (result == EXCHANGE_ON && plan->is_over && conn->head) {
        if (plan_head(plan))
            conn->outgoing = plan->outgoing;
        exchange_head_release(conn);
    }
    if (result == EXCHANGE_ON && plan->is_over)
        result = exchange_requests(conn, "", 0); /* one without a body is over */
    return result;
}

/* Before the real call. */
static void prepare(struct conn *conn, const struct iovec *iov, int count)
{
    struct plan plan = {.conn = conn, .iov = iov, .count = count};
    enum exchange_result result;

    if (!is_before_head_end(&conn->requests.parser))
        return;
    if (conn->requests.parser.state == HTTP1_AT_START) {
        conn->head_length = conn->head_fields = 0;
        conn->context_sent = conn->is_signed = false;
        conn->before = conn->requests.parser;
        conn->opened_before = atomic_load_explicit(&conn->opened, memory_order_relaxed);
        conn->is_fresh = conn->ahead == 0;
    }
    if (conn->is_fresh && conn->opened_before == 0 && !conn_begins_request(iov, count)) {
        conn_turn_passive(conn, WIRE_DROP_COUNT);
        return;
    }
    plan.outgoing = arena_pool_get(&outgoings);
    if (!plan.outgoing)
        return;
    outgoing_begin(plan.outgoing);
    result = plan_call(&plan);
    if (!conn->outgoing)
        arena_pool_put(&outgoings, plan.outgoing);
    if (result != EXCHANGE_ON)
        conn_turn_passive(conn, exchange_drop(result));
}

static void give_back(struct conn *conn)
{
    arena_pool_put(&outgoings, conn->outgoing);
    conn->outgoing = NULL;
}

/* What the call left of what was prepared. */
static enum exchange_result reckon(struct conn *conn, const struct iovec *iov, int count, ssize_t n)
{
    uint64_t taken = n > 0 ? (uint64_t)n : 0, skip;
    enum exchange_result result = EXCHANGE_ON;

    if (n < 0 && conn->is_fresh && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) &&
        (!conn->outgoing || conn->outgoing->sent == 0)) {
        exchange_request_undo(conn);
        conn->ahead = 0;
        if (conn->outgoing)
            give_back(conn);
        return EXCHANGE_ON;
    }
    skip = conn->ahead < taken ? conn->ahead : taken;
    conn->ahead -= skip;
    taken -= skip;
    for (int i = 0; i < count && taken > 0 && result == EXCHANGE_ON; i++) {
        size_t skipped = skip < iov[i].iov_len ? (size_t)skip : iov[i].iov_len;
        size_t length = iov[i].iov_len - skipped;

        skip -= skipped;
        if (length > taken)
            length = (size_t)taken;
        if (length > 0)
            result = exchange_requests(conn, (const char *)iov[i].iov_base + skipped, length);
        taken -= length;
    }
    return result;
}

static bool may_all_be_read(const struct iovec *iov, int count)
{
    if (count <= 0 || count > OUTGOING_VECTOR_MAX || !outgoing_may_read(iov, (size_t)count * sizeof(*iov)))
        return false;
    for (int i = 0; i < count; i++)
        if (!outgoing_may_read(iov[i].iov_base, iov[i].iov_len))
            return false;
    return true;
}

/* Begin a call: with what waits to go out before it, if anything. False: another one is under way. */
static bool begin(const struct conn_ref *ref, const struct iovec *iov, int count)
{
    struct conn *conn = ref->conn;
    bool is_ours = atomic_exchange_explicit(&conn->sending, 1, memory_order_acquire) == 0;

    if (!is_ours || !conn_claim(&conn->requests)) {
        if (conn_is_current(ref))
            conn_turn_passive(conn, WIRE_DROP_CONTENDED);
        if (is_ours)
            atomic_store_explicit(&conn->sending, 0, memory_order_release);
        return false;
    }
    conn->is_fresh = false;
    if (conn->outgoing && !outgoing_is_offered(conn->outgoing, iov, count)) {
        outgoing_cut(conn->outgoing);
        conn_turn_passive(conn, WIRE_DROP_BAD_FRAMING);
    }
    if (conn_is_current(ref) && !is_passive(conn) && !conn->outgoing)
        prepare(conn, iov, count);
    conn_unclaim(&conn->requests);
    return true;
}

/* After it. The connection may be gone, and what it was be another one. */
static void end(const struct conn_ref *ref, struct outgoing *outgoing, const struct iovec *iov, int count, ssize_t n)
{
    struct conn *conn = ref->conn;
    enum exchange_result result = EXCHANGE_ON;

    if (!conn_is_current(ref)) {
        if (outgoing)
            arena_pool_put(&outgoings, outgoing);
        return;
    }
    if (n < 0)
        conn_note_failure(ref);
    if (conn_claim(&conn->requests)) {
        if (!is_passive(conn))
            result = reckon(conn, iov, count, n);
        if (conn->outgoing && outgoing_is_over(conn->outgoing))
            give_back(conn);
        atomic_store_explicit(&conn->sending, 0, memory_order_release);
        conn_unclaim(&conn->requests);
        if (result != EXCHANGE_ON)
            conn_turn_passive(conn, exchange_drop(result));
    } else {
        conn_turn_passive(conn, WIRE_DROP_CONTENDED);
    }
    if (is_passive(conn))
        conn_written(ref, n);
    conn_settle(conn);
}

ssize_t conn_send(const struct conn_ref *ref, const struct conn_sender *sender, const struct iovec *iov, int count)
{
    struct outgoing *outgoing;
    int saved_errno = errno;
    ssize_t n;

    if (!may_all_be_read(iov, count) || !begin(ref, iov, count)) {
        errno = saved_errno;
        return sender->send(sender, iov, count);
    }
    outgoing = ref->conn->outgoing;
    errno = saved_errno;
    n = outgoing ? outgoing_send(outgoing, sender, iov, count) : sender->send(sender, iov, count);
    saved_errno = errno;
    end(ref, outgoing, iov, count, n);
    errno = saved_errno;
    return n;
}

void conn_send_end(struct conn *conn)
{
    if (conn->outgoing && !atomic_load_explicit(&conn->sending, memory_order_relaxed))
        arena_pool_put(&outgoings, conn->outgoing);
    conn->outgoing = NULL;
}
