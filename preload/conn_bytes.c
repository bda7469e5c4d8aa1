/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes that calls moved on a connection: to which direction they belong, and what their end or a failure means. */
#include "preload/conn_internal.h"

#include "preload/current.h"
#include "preload/fdtab.h"
#include "preload/process.h"

#include <errno.h>
#include <sys/uio.h>

typedef enum exchange_result exchange_function(struct conn *conn, const char *bytes, size_t length);

/* Claim the direction, parse, give it back. Inlined for the sake of a direct call. */
__attribute__((always_inline)) static inline void move_bytes(const struct conn_ref *ref,
                                                             struct conn_direction *direction,
                                                             exchange_function *exchange, const struct iovec *iov,
                                                             int count, size_t left)
{
    struct conn *conn = ref->conn;
    enum exchange_result result = EXCHANGE_ON;

    if (!conn_claim(direction)) {
        if (conn_is_current(ref))
            conn_turn_passive(conn, WIRE_DROP_CONTENDED);
        return;
    }
    if (conn_is_current(ref) && !atomic_load_explicit(&conn->passive, memory_order_relaxed)) {
        atomic_store_explicit(&conn->pid, process_pid(), memory_order_relaxed);
        if (direction == conn_outward(conn))
            conn->sent += left;
        for (int i = 0; i < count && left > 0 && result == EXCHANGE_ON; i++) {
            size_t length = iov[i].iov_len < left ? iov[i].iov_len : left;

            if (length > 0)
                result = exchange(conn, iov[i].iov_base, length);
            left -= length;
        }
        if (result != EXCHANGE_ON)
            conn_turn_passive(conn, exchange_drop(result));
    }
    conn_unclaim(direction);
    conn_settle(conn);
}

void conn_note_failure(const struct conn_ref *ref)
{
    enum wire_error error = WIRE_ERROR_NONE;

    if (errno == ECONNRESET)
        error = WIRE_ERROR_CONNECTION_RESET;
    else if (errno == EPIPE)
        error = conn_is_client(ref->conn) ? WIRE_ERROR_CONNECTION_RESET : WIRE_ERROR_CLIENT_CLOSED;
    else if (errno == ECONNREFUSED)
        error = WIRE_ERROR_CONNECTION_REFUSED;
    else if (errno == ETIMEDOUT)
        error = WIRE_ERROR_TIMEOUT;
    if (error != WIRE_ERROR_NONE && conn_is_current(ref))
        atomic_store_explicit(&ref->conn->failure, (uint8_t)error, memory_order_relaxed);
}

/* A server's response that ends with the connection is complete now. */
static void end_response(struct conn *conn)
{
    if (!conn_claim(&conn->responses))
        return;
    if (!atomic_load_explicit(&conn->passive, memory_order_relaxed))
        exchange_responses_end(conn);
    conn_unclaim(&conn->responses);
    conn_settle(conn);
}

/* Nothing came although there was room for something: the peer will send no more. */
static void note_end(const struct conn_ref *ref, const struct iovec *iov, int count)
{
    size_t room = 0;

    for (int i = 0; i < count; i++)
        room |= iov[i].iov_len;
    if (room == 0 || !conn_is_current(ref) || atomic_load_explicit(&ref->conn->deaf, memory_order_relaxed))
        return;
    atomic_store_explicit(&ref->conn->peer_done, 1, memory_order_relaxed);
    if (conn_is_client(ref->conn))
        end_response(ref->conn);
}

/* A client's bytes that are no HTTP: they may be a database's. */
static void count_answers(const struct conn_ref *ref, struct conn_direction *direction, const struct iovec *iov,
                          int count, ssize_t n)
{
    struct answers *answers = &ref->conn->database;
    size_t left = n > 0 ? (size_t)n : 0;

    if (atomic_load_explicit(&answers->is_odd, memory_order_relaxed))
        return;
    if (!conn_claim(direction)) {
        answers_give_up(answers);
        return;
    }
    for (int i = 0; i < count && left > 0 && conn_is_current(ref); i++) {
        size_t length = iov[i].iov_len < left ? iov[i].iov_len : left;

        if (length > 0)
            answers_feed(answers, direction == &ref->conn->requests, iov[i].iov_base, length);
        left -= length;
    }
    conn_unclaim(direction);
    conn_settle(ref->conn);
}

/* Answers of a kind that is counted. */
static void answered_in_order(const struct conn_ref *ref)
{
    tie_read(&ref->conn->tie, TIE_HTTP);
    if (answers_are_complete(&ref->conn->database))
        tie_answered(&ref->conn->tie);
}

/* Bytes came in on a client's connection: an answer, its end, or the news that there will be none. */
static void answered(const struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n)
{
    enum tie_kind kind = TIE_OTHER;

    if ((n < 0 && (errno == EAGAIN || errno == EINTR)) || !conn_is_current(ref))
        return;
    if (conn_has_role(ref->conn, CONN_WAKEUP))
        kind = TIE_WAKEUP;
    else if (conn_is_followed(ref->conn))
        kind = TIE_HTTP;
    else
        count_answers(ref, &ref->conn->responses, iov, count, n);
    if (kind == TIE_OTHER && n > 0 && answers_are_known(&ref->conn->database))
        answered_in_order(ref);
    else
        tie_read(&ref->conn->tie, kind);
}

void conn_data_in_vector(const struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n)
{
    struct conn_ref known = *ref;

    if (!known.conn && n > 0)
        conn_classify(&known, iov, count, n);
    if (!known.conn)
        return;
    if (!conn_has_role(known.conn, CONN_SERVER)) {
        answered(&known, iov, count, n);
        if (!conn_is_followed(known.conn))
            return;
    }
    if (n > 0 && conn_is_client(known.conn)) {
        atomic_store_explicit(&known.conn->waited, 0, memory_order_relaxed);
        move_bytes(&known, &known.conn->responses, exchange_responses, iov, count, (size_t)n);
    } else if (n > 0) {
        move_bytes(&known, &known.conn->requests, exchange_requests, iov, count, (size_t)n);
    } else if (n < 0) {
        conn_note_failure(&known);
    } else {
        note_end(&known, iov, count);
    }
}

void conn_data_in(const struct conn_ref *ref, const void *bytes, size_t room, ssize_t n)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, room};

    conn_data_in_vector(ref, &iov, 1, n);
}

void conn_written(const struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n)
{
    if (n <= 0 || !conn_is_current(ref))
        return;
    if (conn_is_client(ref->conn))
        count_answers(ref, &ref->conn->requests, iov, count, n);
    if (conn_is_current(ref))
        tie_write(&ref->conn->tie);
}

void conn_data_out_vector(const struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n)
{
    struct conn_ref known = *ref;

    if (!known.conn && conn_begins_response(iov, count, n))
        return; /* to a request that another process had read: the next one may be ours */
    if (!known.conn && !conn_classify_out(&known, iov, count, n))
        (void)fdtab_replace(ref->fd, ref->entry, FDTAB_IGNORED); /* who speaks first is no HTTP server */
    else if (!conn_has_role(known.conn, CONN_SERVER) && !conn_is_followed(known.conn))
        conn_written(&known, iov, count, n);
    else if (n > 0 && conn_is_client(known.conn))
        move_bytes(&known, &known.conn->requests, exchange_requests, iov, count, (size_t)n);
    else if (n > 0)
        move_bytes(&known, &known.conn->responses, exchange_responses, iov, count, (size_t)n);
    else if (n < 0)
        conn_note_failure(&known);
}

void conn_data_out(const struct conn_ref *ref, const void *bytes, ssize_t n)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, n > 0 ? (size_t)n : 0};

    conn_data_out_vector(ref, &iov, 1, n);
}

void conn_skip_in(const struct conn_ref *ref, ssize_t n)
{
    struct iovec unseen = {NULL, n > 0 ? (size_t)n : 0};

    conn_data_in_vector(ref, &unseen, 1, n);
}

void conn_skip_out(const struct conn_ref *ref, ssize_t n)
{
    conn_data_out(ref, NULL, n);
}
