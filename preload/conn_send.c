/* SPDX-License-Identifier: Apache-2.0 */
/* Heads to which we add lines: a client's requests and, if the settings want lines in responses, a server's
 * responses. A head is parsed before the real call, because our lines must be in it by then, and because another
 * thread may read the answer before the call returns. */
#include "preload/conn_internal.h"

#include "preload/arena.h"
#include "preload/clock.h"
#include "preload/config.h"
#include "preload/gateway_out.h"
#include "preload/outgoing.h"
#include "preload/process.h"
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
    struct conn *stream; /* that the head goes out on; NULL: it has not begun */
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

static bool is_in_head(const struct http1 *parser)
{
    return is_before_head_end(parser) && parser->state != HTTP1_AT_START;
}

/* HTTP message signatures (RFC 9421, and the drafts before it): what they cover is the signer's choice, so nothing is
 * added. AWS's and others' signatures name the headers that they cover, and bear more. */
static bool is_signature(struct slice name, struct slice value)
{
    return slice_is(name, "signature") || slice_is(name, "signature-input") ||
           (slice_is(name, "authorization") && value.length > 10 &&
            slice_is((struct slice){value.bytes, 10}, "signature "));
}

/* A trace header of a client's request. It ends with the bytes from..from + used. */
static void plan_context(struct plan *plan, const char *from, size_t used, const struct http1_out *line)
{
    struct conn *conn = plan->conn;

    if (conn->requests.gateway)
        gateway_note_context(conn->sends->requests.gateway);
    else if (line->a.bytes < from || line->a.bytes >= from + used || /* it began in an earlier call, or buffer */
             !outgoing_omit(plan->outgoing, plan->at + (size_t)(line->a.bytes - from),
                            used - (size_t)(line->a.bytes - from)))
        conn->is_cut = true;
}

/* A line of the head, which ends with the bytes from..from + used. */
static void plan_field(struct plan *plan, const char *from, size_t used, const struct http1_out *line)
{
    struct conn *conn = plan->conn;

    conn->head_fields++;
    if (is_signature(line->a, line->b))
        conn->is_signed = true;
    if (!conn_is_client(conn))
        conn->program_lines |= propagation_response_lines(line->a, line->b);
    else if (conn->sends->head && conn->sends->head->was_context)
        plan_context(plan, from, used, line);
}

/* How long the blank line is of which these are the last bytes; its CR may stand at the end of the buffer before. */
static size_t blank_line(const struct plan *plan, const char *from, size_t used)
{
    char before = used > 1 ? from[used - 2] : plan->last;

    return before == '\r' ? 2 : 1;
}

/* Is it an answer that another one follows (RFC 9110 15.2)? */
static bool is_interim(const struct conn *conn)
{
    uint16_t status = conn->responses.parser.status;

    return !conn_is_client(conn) && status < 200 && status != 101;
}

static void head_begins(struct conn *conn)
{
    conn->head_length = conn->head_fields = 0;
    conn->is_settled = conn->is_cut = conn->is_signed = false;
    conn->program_lines = 0;
}

/* Where the request that is answered can be set back to. */
static void note_answered(struct conn *conn)
{
    struct wire_slot *slot = conn_is_client(conn) ? NULL : exchange_sending(conn);

    if (slot)
        conn->text_before = wire_slot_request(slot)->text_length;
}

static void plan_event(struct plan *plan, enum http1_event event, const char *from, size_t used,
                       const struct http1_out *out)
{
    if (event == HTTP1_START_LINE) {
        note_answered(plan->conn);
    } else if (event == HTTP1_FIELD) {
        plan_field(plan, from, used, out);
    } else if (event == HTTP1_HEAD_END && is_interim(plan->conn)) {
        head_begins(plan->conn);
    } else if (event == HTTP1_HEAD_END) {
        plan->is_over = true;
        plan->own_before = plan->at + used - blank_line(plan, from, used);
    }
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
        result = exchange_step(conn, bytes, length, &used, &event, &out);
        if (plan->stream && plan->stream != conn->sends) /* another request's record */
            conn->is_cut = true;
        plan->stream = conn->sends;
        conn->head_length += (uint32_t)used;
        plan_event(plan, event, bytes, used, &out);
        if (used > 0)
            plan->last = bytes[used - 1];
        plan->at += used;
        bytes += used;
        length -= used;
    }
    return result;
}

/* Why our lines can't be added. */
static enum wire_withhold obstacle(const struct plan *plan, bool fits)
{
    const struct conn *conn = plan->conn;

    if (conn->is_cut)
        return WIRE_WITHHOLD_HEAD_CUT;
    if (conn->is_signed)
        return WIRE_WITHHOLD_SIGNED;
    if (!fits)
        return WIRE_WITHHOLD_HEAD_TOO_LONG;
    if (conn->head_fields >= (conn_is_client(conn) ? OUTGOING_FIELDS_MAX : OUTGOING_RESPONSE_FIELDS_MAX))
        return WIRE_WITHHOLD_TOO_MANY_FIELDS;
    if (plan->count >= OUTGOING_VECTOR_MAX)
        return WIRE_WITHHOLD_TOO_MANY_BUFFERS;
    return WIRE_WITHHOLD_NONE;
}

/* Are there lines to be added at all? */
static bool wants_lines(const struct conn *conn)
{
    if (conn_is_client(conn))
        return conn->sends->head && span_wants_headers(conn->sends->head);
    return conn->responses.parser.status >= 200 && (config.response_lines & ~conn->program_lines) != 0;
}

/* Write our lines into `own`. The program's head has `head` bytes: together they must stay below what servers take.
 * False: there is no room. */
static bool own_lines(struct plan *plan, struct wire_slot *slot, size_t head, size_t *ret_length)
{
    struct conn *conn = plan->conn;
    size_t most = conn_is_client(conn) ? OUTGOING_HEAD_MAX : OUTGOING_RESPONSE_HEAD_MAX;
    size_t room = head < most ? most - head : 0;

    if (conn_is_client(conn))
        return span_context_lines(slot, conn->head, plan->outgoing->own, room, ret_length);
    *ret_length = span_response_lines(slot, conn->program_lines, plan->outgoing->own, room);
    return *ret_length > 0;
}

/* The same for a request of another protocol than HTTP. False: the program's bytes go out as they are. */
__attribute__((cold, noinline)) static bool plan_gateway(struct plan *plan, struct wire_slot *slot)
{
    struct conn *stream = plan->conn->sends;
    struct gateway *gateway = stream->requests.gateway;
    const struct gateway_head head = {plan->iov, plan->at};
    struct slice lines = {gateway->params.text, 0}; /* the variables were told */
    enum wire_withhold reason = WIRE_WITHHOLD_HEAD_TOO_LONG;
    size_t own_before, own;

    if (span_context_lines(slot, stream->head, gateway->params.text, PARAMS_SIZE, &lines.length)) {
        if (lines.length == 0)
            return false;
        reason = obstacle(plan, true);
        if (reason == WIRE_WITHHOLD_NONE)
            reason = gateway_put_lines(gateway, &head, lines, plan->outgoing, &own_before, &own);
    }
    if (reason != WIRE_WITHHOLD_NONE) {
        exchange_withhold(slot, reason);
        return false;
    }
    outgoing_build(plan->outgoing, plan->iov, plan->at, own_before, own);
    ring_count(WIRE_COUNT_INJECTED);
    return true;
}

/* The head is complete: put together what goes out. False: the program's bytes go out as they are. Not inlined: the
 * size of frames is bounded. */
__attribute__((noinline)) static bool plan_head(struct plan *plan)
{
    struct conn *conn = plan->conn;
    struct outgoing *outgoing = plan->outgoing;
    struct wire_slot *slot = exchange_sending(conn->sends);
    enum wire_withhold reason;
    size_t own = 0;
    bool fits;

    if (!slot || !wants_lines(conn))
        return false;
    if (conn->requests.gateway)
        return plan_gateway(plan, slot);
    fits = own_lines(plan, slot, conn->head_length - outgoing->omitted_length, &own);
    if (fits && own == 0)
        return false; /* nothing to tell */
    reason = obstacle(plan, fits);
    if (reason != WIRE_WITHHOLD_NONE) {
        exchange_withhold(slot, reason);
        return false;
    }
    outgoing_build(outgoing, plan->iov, plan->at, plan->own_before, own);
    ring_count(WIRE_COUNT_INJECTED);
    return true;
}

/* Parse what the call would send of a head, and decide what goes out in its place. */
__attribute__((noinline)) static enum exchange_result plan_call(struct plan *plan)
{
    struct conn *conn = plan->conn;
    enum exchange_result result = EXCHANGE_ON;
    uint64_t skip = conn->ahead;

    conn_outward(conn)->moment_ns = 0;
    for (int i = 0; i < plan->count && result == EXCHANGE_ON && !plan->is_over; i++) {
        size_t skipped = skip < plan->iov[i].iov_len ? (size_t)skip : plan->iov[i].iov_len;

        skip -= skipped;
        plan->at += skipped;
        result = plan_buffer(plan, (const char *)plan->iov[i].iov_base + skipped, plan->iov[i].iov_len - skipped);
    }
    if (plan->at > conn->ahead)
        conn->ahead = plan->at;
    if (result == EXCHANGE_ON && !plan->is_over && plan->at > 0 && exchange_is_all_but_over(conn) &&
        !is_interim(conn)) {
        exchange_head_end(conn);
        plan->is_over = true;
        plan->own_before = plan->at - 1;
    }
    if (result == EXCHANGE_ON && plan->is_over && !conn->is_settled) {
        conn->is_settled = true;
        if (plan_head(plan))
            conn->outgoing = plan->outgoing;
        if (conn_is_client(conn))
            exchange_head_release(conn->sends);
    }
    return result;
}

static bool has_bytes(const struct iovec *iov, int count)
{
    size_t length = 0;

    for (int i = 0; i < count; i++)
        length |= iov[i].iov_len;
    return length > 0;
}

/* A call's bytes of a request's body are counted before the call: another thread may read the answer before it
 * returns. */
static void count_ahead(struct conn *conn, const struct iovec *iov, int count)
{
    size_t length = 0;

    for (int i = 0; i < count; i++)
        length += iov[i].iov_len;
    if (conn->requests.parser.state != HTTP1_IN_BODY || length == 0 || length > conn->requests.parser.remaining)
        return;
    if (exchange_requests(conn, NULL, length) == EXCHANGE_ON)
        conn->ahead = length;
}

/* Do a client's first bytes begin a request? */
__attribute__((cold, noinline)) static bool begins_requests(struct conn *conn, const struct iovec *iov, int count)
{
    if (!conn_begins_request(iov, count))
        return false;
    while (iov->iov_len == 0)
        iov++;
    exchange_recognise(conn, iov->iov_base, iov->iov_len);
    return true;
}

/* Does FastCGI's next request begin, although not all of the one before has been sent? */
__attribute__((cold, noinline)) static bool begins_another(const struct conn *conn, const struct iovec *iov)
{
    const struct gateway *gateway = conn->requests.gateway;

    return gateway && gateway->protocol == WIRE_PROTOCOL_FASTCGI && gateway_is_between(gateway) && iov->iov_len > 1 &&
           gateway_begins(iov->iov_base, 2) == WIRE_PROTOCOL_FASTCGI;
}

/* Does a request begin that can be taken back? Then it is the only one. */
static bool may_be_undone(const struct conn *conn)
{
    if (conn->ahead > 0)
        return false;
    return !conn->requests.gateway ||
           (gateway_is_between(conn->requests.gateway) && !conn_next_stream(conn) && !conn_is_busy(conn));
}

/* Before the real call. */
static void prepare(struct conn *conn, const struct iovec *iov, int count)
{
    struct plan plan = {.conn = conn, .iov = iov, .count = count};
    struct conn_direction *direction = conn_outward(conn->sends);
    enum exchange_result result;

    if (!is_before_head_end(&direction->parser) && !begins_another(conn, iov)) {
        if (conn_is_client(conn) && conn->ahead == 0 && !conn->requests.gateway)
            count_ahead(conn, iov, count);
        return;
    }
    if (!has_bytes(iov, count))
        return;
    if (is_in_head(&direction->parser)) {
        plan.stream = conn->sends;
        if (conn->planned_to != conn->sent) {
            head_begins(conn);
            conn->is_cut = true;
        }
    } else {
        head_begins(conn);
        conn->before = direction->parser;
        conn->opened_before = atomic_load_explicit(&conn->opened, memory_order_relaxed);
        conn->is_fresh = may_be_undone(conn);
    }
    if (conn_is_client(conn) && conn->is_fresh && conn->opened_before == 0 && !conn->requests.gateway &&
        !begins_requests(conn, iov, count)) {
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
    uint64_t more = (uint64_t)conn->outgoing->sent - conn->outgoing->accepted;

    conn->sent += more;
    conn->planned_to += more;
    arena_pool_put(&outgoings, conn->outgoing);
    conn->outgoing = NULL;
}

/* Nothing of the head went out, and perhaps it never will: forget it. */
static void undo_head(struct conn *conn)
{
    exchange_undo(conn);
    conn->ahead = 0;
    if (conn->outgoing)
        give_back(conn);
}

/* Forget a client's request of which nothing went out. False: it stays, for it has been answered already. */
static bool undo_request(struct conn *conn)
{
    uint32_t opened = atomic_load_explicit(&conn->opened, memory_order_relaxed), answered;
    bool is_answered;

    if (!conn_claim(&conn->responses))
        return false;
    answered = atomic_load_explicit(&conn->answered, memory_order_relaxed);
    is_answered =
        opened != conn->opened_before &&
        (answered == opened || (answered == conn->opened_before && conn->responses.parser.state != HTTP1_AT_START));
    if (!is_answered)
        undo_head(conn);
    conn_unclaim(&conn->responses);
    return !is_answered;
}

/* All of a request has been sent. */
static void note_sent(struct conn *conn)
{
    struct conn *stream = conn->sends;
    uint32_t opened = atomic_load_explicit(&stream->opened, memory_order_relaxed);

    if (stream->requests.parser.state != HTTP1_AT_START || conn->ahead > 0 || opened == 0)
        return;
    atomic_store_explicit(&stream->sent_ns, clock_mono_ns(), memory_order_relaxed);
    atomic_store_explicit(&stream->sent_number, opened - 1, memory_order_release);
}

/* After a failed call: may the program send something else now? A client's request stays (as a failed one) unless
 * the call may be repeated; a response of which nothing went out is forgotten. */
static bool undo(struct conn *conn)
{
    if (!conn->is_fresh || (conn->outgoing && conn->outgoing->sent > 0))
        return false;
    if (conn_is_client(conn))
        return (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) && undo_request(conn);
    undo_head(conn);
    return true;
}

/* After the real call: compare what was prepared with the bytes that the kernel took. */
static enum exchange_result reckon(struct conn *conn, const struct iovec *iov, int count, ssize_t n)
{
    uint64_t taken = n > 0 ? (uint64_t)n : 0, skip;
    enum exchange_result result = EXCHANGE_ON;

    conn->sent += taken;
    atomic_store_explicit(&conn->pid, process_pid(), memory_order_relaxed);
    if (n < 0 && undo(conn))
        return EXCHANGE_ON;
    skip = conn->ahead < taken ? conn->ahead : taken;
    conn->ahead -= skip;
    taken -= skip;
    if (taken == 0)
        conn->planned_to = conn->sent;
    if (skip > 0 && conn->ahead == 0 && !(conn_is_client(conn) && http1_ends_with_head(&conn->requests.parser)))
        result = exchange_sent(conn, "", 0); /* a message without a body is over */
    for (int i = 0; i < count && taken > 0 && result == EXCHANGE_ON; i++) {
        size_t skipped = skip < iov[i].iov_len ? (size_t)skip : iov[i].iov_len;
        size_t length = iov[i].iov_len - skipped;

        skip -= skipped;
        if (length > taken)
            length = (size_t)taken;
        if (length > 0)
            result = exchange_sent(conn, (const char *)iov[i].iov_base + skipped, length);
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

/* Take `sending`. A call of this same thread that holds it still was left by siglongjmp, and is over. */
static bool sending_begin(const struct conn_ref *ref)
{
    struct conn *conn = ref->conn;
    uint64_t was = conn_idle(ref->generation);
    uintptr_t sender = (uintptr_t)&errno, frame = (uintptr_t)__builtin_frame_address(0);

    if (!atomic_compare_exchange_strong_explicit(&conn->sending, &was, was | 1, memory_order_acquire,
                                                 memory_order_relaxed)) {
        if (was != (conn_idle(ref->generation) | 1))
            return false; /* the connection has ended */
        if (atomic_load_explicit(&conn->sender, memory_order_relaxed) != sender ||
            atomic_load_explicit(&conn->frame, memory_order_relaxed) > frame) {
            conn_turn_passive(conn, WIRE_DROP_CONTENDED);
            return false;
        }
    }
    atomic_store_explicit(&conn->sender, sender, memory_order_relaxed);
    atomic_store_explicit(&conn->frame, frame, memory_order_relaxed);
    return true;
}

/* Give `sending` back. False: the connection has ended, and the caller frees what was to be sent on it. */
static bool sending_end(const struct conn_ref *ref)
{
    uint64_t was = conn_idle(ref->generation) | 1;

    return atomic_compare_exchange_strong_explicit(&ref->conn->sending, &was, was & ~UINT64_C(1), memory_order_release,
                                                   memory_order_relaxed);
}

static void cut(struct conn *conn, enum wire_drop cause)
{
    outgoing_cut(conn->outgoing);
    conn_turn_passive(conn, cause);
}

/* What goes out before or instead of the program's bytes; NULL: nothing. The caller holds `sending`. */
static struct outgoing *begin(const struct conn_ref *ref, const struct iovec *iov, int count)
{
    struct conn *conn = ref->conn;
    struct conn_direction *direction = conn_outward(conn); /* once: it may be another connection's, of another role */
    struct outgoing *outgoing;

    if (!conn_claim(direction)) {
        if (conn_is_current(ref))
            conn_turn_passive(conn, WIRE_DROP_CONTENDED);
        outgoing = conn->outgoing;
        return conn_is_current(ref) ? outgoing : NULL;
    }
    if (!conn_is_current(ref)) {
        conn_unclaim(direction);
        return NULL;
    }
    conn->is_fresh = false;
    if (conn->outgoing && !outgoing_is_offered(conn->outgoing, iov, count))
        cut(conn, WIRE_DROP_BAD_FRAMING);
    if (count > 0 && !is_passive(conn) && !conn->outgoing)
        prepare(conn, iov, count);
    outgoing = conn->outgoing;
    conn_unclaim(direction);
    return outgoing;
}

/* After the call. The connection may have been closed meanwhile, and its memory be another's. */
static void end(const struct conn_ref *ref, struct outgoing *outgoing, const struct iovec *iov, int count, ssize_t n)
{
    struct conn *conn = ref->conn;
    struct conn_direction *direction = conn_outward(conn);
    enum exchange_result result = EXCHANGE_ON;
    bool is_claimed;

    if (n < 0)
        conn_note_failure(ref);
    is_claimed = conn_claim(direction);
    if (is_claimed && conn_is_current(ref)) {
        if (!is_passive(conn))
            result = reckon(conn, iov, count, n);
        if (conn->outgoing && outgoing_is_over(conn->outgoing))
            give_back(conn);
        if (n > 0 && !conn->outgoing && conn_is_client(conn))
            note_sent(conn);
    } else if (conn_is_current(ref)) {
        conn_turn_passive(conn, WIRE_DROP_CONTENDED);
    }
    if (!sending_end(ref)) {
        if (outgoing)
            arena_pool_put(&outgoings, outgoing);
    } else if (result != EXCHANGE_ON) {
        conn_turn_passive(conn, exchange_drop(result));
    }
    if (is_claimed)
        conn_unclaim(direction);
    if (!conn_is_current(ref))
        return;
    if (is_passive(conn) && conn_is_client(conn))
        conn_written(ref, iov, count, n);
    conn_settle(conn);
}

/* A call that is not looked at before. */
static ssize_t send_unseen(const struct conn_ref *ref, const struct conn_sender *sender, const struct iovec *iov,
                           int count)
{
    ssize_t n;

    if (count > 0 && !conn_send_owed(ref, sender))
        return -1;
    n = sender->send(sender, iov, count);
    if (n > 0 && conn_is_current(ref)) {
        int saved_errno = errno;

        conn_give_up(ref);
        errno = saved_errno;
    }
    return n;
}

ssize_t conn_send(const struct conn_ref *ref, const struct conn_sender *sender, const struct iovec *iov, int count)
{
    struct outgoing *outgoing;
    int saved_errno = errno;
    ssize_t n;

    if (!may_all_be_read(iov, count))
        return send_unseen(ref, sender, iov, count);
    if (!sending_begin(ref)) {
        errno = saved_errno;
        return sender->send(sender, iov, count);
    }
    outgoing = begin(ref, iov, count);
    errno = saved_errno;
    n = outgoing ? outgoing_send(outgoing, sender, iov, count) : sender->send(sender, iov, count);
    saved_errno = errno;
    end(ref, outgoing, iov, count, n);
    errno = saved_errno;
    return n;
}

bool conn_send_owed(const struct conn_ref *ref, const struct conn_sender *sender)
{
    struct outgoing *outgoing;
    int saved_errno = errno;
    ssize_t n = 0;

    if (!ref->conn || !conn_looks_ahead(ref) || !ref->conn->outgoing || !sending_begin(ref))
        return true;
    outgoing = begin(ref, NULL, 0);
    if (outgoing) {
        cut(ref->conn, WIRE_DROP_BLIND);
        errno = saved_errno;
        n = outgoing_send_rest(outgoing, sender);
        saved_errno = errno;
    }
    end(ref, outgoing, NULL, 0, n);
    errno = saved_errno;
    return n >= 0;
}

/* A call that is under way frees what goes out by it. */
void conn_send_end(struct conn *conn)
{
    uint64_t was = atomic_exchange_explicit(&conn->sending, UINT64_MAX, memory_order_acq_rel);

    if (conn->outgoing && !(was & 1))
        arena_pool_put(&outgoings, conn->outgoing);
    conn->outgoing = NULL;
}
