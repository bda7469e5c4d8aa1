// SPDX-License-Identifier: Apache-2.0
/* The life of a connection: who names it, who may touch it, when it ends. */
#include "preload/conn.h"

#include "preload/arena.h"
#include "preload/config.h"
#include "preload/conn_internal.h"
#include "preload/current.h"
#include "preload/fdtab.h"
#include "preload/process.h"
#include "preload/ring.h"
#include "preload/socket.h"
#include "preload/span.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static struct arena_pool conns = {.block_size = sizeof(struct conn)};

struct conn *conn_of(uint64_t entry)
{
    uint32_t value = fdtab_value(entry);

    return value >= FDTAB_CONN ? arena_at(value - FDTAB_CONN) : NULL;
}

/* What the descriptor names, and the generation of that: of this moment, both. */
static struct conn *look_up(int fd, uint64_t *ret_entry, uint32_t *ret_generation)
{
    struct conn *conn;

    do { /* a second look: between the two the connection may have been closed, and its memory be another's */
        *ret_entry = fdtab_get(fd);
        conn = conn_of(*ret_entry);
        *ret_generation = conn ? atomic_load_explicit(&conn->generation, memory_order_acquire) : 0;
    } while (conn && __builtin_expect(fdtab_get(fd) != *ret_entry, 0));
    return conn;
}

static bool has_role(const struct conn *conn, enum conn_role role)
{
    return atomic_load_explicit(&conn->role, memory_order_relaxed) == role;
}

/* Is its traffic read as HTTP? */
static bool is_followed(const struct conn *conn)
{
    return (has_role(conn, CONN_SERVER) || has_role(conn, CONN_CLIENT)) &&
           !atomic_load_explicit(&conn->passive, memory_order_relaxed);
}

struct conn *conn_new(enum conn_role role)
{
    struct conn *conn = arena_pool_get(&conns);

    if (!conn) {
        ring_drop(WIRE_DROP_CONN_TABLE_FULL);
        return NULL;
    }
    atomic_store_explicit(&conn->role, (uint8_t)role, memory_order_relaxed);
    atomic_store_explicit(&conn->passive, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->doomed, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->peer_done, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->waited, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->deaf, 0, memory_order_relaxed);
    conn->sent = 0;
    atomic_store_explicit(&conn->failure, WIRE_ERROR_NONE, memory_order_relaxed);
    atomic_store_explicit(&conn->pid, process_pid(), memory_order_relaxed);
    conn->forks = atomic_load_explicit(&process_page->forks, memory_order_relaxed);
    memset(&conn->peer, 0, sizeof(conn->peer));
    memset(&conn->local, 0, sizeof(conn->local));
    conn->looks_ahead = role == CONN_CLIENT || (role == CONN_SERVER && config.response_lines != 0);
    conn->requests.parser = (struct http1){.role = HTTP1_REQUESTS, .unreported = span_unused_request_letters()};
    conn->responses.parser = (struct http1){.role = HTTP1_RESPONSES, .unreported = span_unused_response_letters()};
    if (conn->looks_ahead)
        conn_outward(conn)->parser.unreported = 0;
    memset(&conn->client, 0, sizeof(conn->client));
    conn->proxy.state = role == CONN_CLIENT ? PROXY_OVER : PROXY_IN_HEADER;
    conn->proxy.length = 0;
    conn->head = NULL;
    conn->asked_close = false;
    conn->begun_ns = 0;
    conn->connect_start_ns = conn->connect_end_ns = conn->resolve_ns = 0;
    conn->lookup = (struct lookup_ref){0};
    atomic_store_explicit(&conn->sent_number, UINT32_MAX, memory_order_relaxed);
    conn->outgoing = NULL;
    conn->ahead = conn->planned_to = 0;
    atomic_store_explicit(&conn->sending, conn_idle(atomic_load_explicit(&conn->generation, memory_order_relaxed)),
                          memory_order_relaxed);
    atomic_store_explicit(&conn->response_unseen, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->opened, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->answered, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->requests_over, 0, memory_order_relaxed);
    /* release: who still has a reference to what was here before claims it, and finds another generation */
    atomic_store_explicit(&conn->requests.claimed, 0, memory_order_release);
    atomic_store_explicit(&conn->responses.claimed, 0, memory_order_release);
    atomic_store_explicit(&conn->refs, 1, memory_order_release);
    return conn;
}

/* Another process goes on with the connection: one that moved bytes on it after us, or a child that it was left to
 * (made since, while nobody had given the request up and no answer had begun). */
static bool left_to_other(const struct conn *conn)
{
    if (atomic_load_explicit(&conn->pid, memory_order_relaxed) != process_pid())
        return true;
    return conn->forks != atomic_load_explicit(&process_page->forks, memory_order_relaxed) &&
           !atomic_load_explicit(&conn->peer_done, memory_order_relaxed) &&
           atomic_load_explicit(&conn->failure, memory_order_relaxed) == WIRE_ERROR_NONE && !exchange_answering(conn);
}

/* Give up what is open on a passive connection. One loss was counted when it turned passive, each further request is
 * now. */
static void discard(struct conn *conn)
{
    unsigned cause = atomic_load_explicit(&conn->passive, memory_order_relaxed) - CONN_PASSIVE;

    for (uint32_t count = exchange_discard(conn); count > 1 && cause < WIRE_DROP_COUNT; count--)
        ring_drop((enum wire_drop)cause);
}

/* What is open on it ends with it. */
static void end_requests(struct conn *conn)
{
    enum wire_error error = atomic_load_explicit(&conn->failure, memory_order_relaxed);
    bool peer_done = atomic_load_explicit(&conn->peer_done, memory_order_relaxed) != 0;

    if (error != WIRE_ERROR_NONE) {
        exchange_abandon(conn, error);
    } else if (!conn_is_client(conn)) {
        exchange_responses_end(conn);
        exchange_abandon(conn, peer_done ? WIRE_ERROR_CLIENT_CLOSED : WIRE_ERROR_NONE);
    } else if (peer_done) {
        exchange_abandon(conn, WIRE_ERROR_NONE);
    } else {
        exchange_give_up(conn, atomic_load_explicit(&conn->waited, memory_order_relaxed) != 0);
    }
}

/* Both directions are claimed, and stay so while the connection is free: a late visitor fails to claim. */
static void conn_end(struct conn *conn)
{
    if (has_role(conn, CONN_SERVER) || has_role(conn, CONN_CLIENT)) {
        if (atomic_load_explicit(&conn->passive, memory_order_relaxed))
            discard(conn);
        else if (left_to_other(conn))
            exchange_forget(conn);
        else
            end_requests(conn);
        conn_send_end(conn);
    }
    tie_end(&conn->tie);
    atomic_store_explicit(&conn->doomed, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&conn->generation, 1, memory_order_release);
    arena_pool_put(&conns, conn);
}

/* What waits until nobody parses: the end of a connection without descriptors, and dropping what is open on a passive
 * one. Called by whoever asked for it and by whoever gives a claim back; the one that gets both claims does it. */
void conn_settle_now(struct conn *conn)
{
    if (!conn_claim(&conn->requests))
        return;
    if (!conn_claim(&conn->responses)) {
        conn_unclaim(&conn->requests);
        return;
    }
    if (atomic_load_explicit(&conn->doomed, memory_order_relaxed)) {
        conn_end(conn);
        return;
    }
    if (atomic_load_explicit(&conn->passive, memory_order_relaxed))
        discard(conn);
    conn_unclaim(&conn->responses);
    conn_unclaim(&conn->requests);
}

void conn_turn_passive(struct conn *conn, enum wire_drop cause)
{
    if (atomic_exchange_explicit(&conn->passive, (uint8_t)(CONN_PASSIVE + cause), memory_order_seq_cst) != 0)
        return;
    ring_count(WIRE_COUNT_PASSIVE);
    if (cause != WIRE_DROP_COUNT)
        ring_drop(cause);
}

void conn_unref(struct conn *conn)
{
    if (atomic_fetch_sub_explicit(&conn->refs, 1, memory_order_acq_rel) != 1)
        return;
    atomic_store_explicit(&conn->doomed, 1, memory_order_seq_cst);
    conn_settle(conn);
}

/* Does a request wait for its answer? Only a look: by the next moment it may be answered. */
static bool is_busy(const struct conn *conn)
{
    return atomic_load_explicit(&conn->opened, memory_order_relaxed) !=
           atomic_load_explicit(&conn->answered, memory_order_relaxed);
}

/* One of its descriptors has another meaning although no hook saw it closed. If it was the last one, nobody knows when
 * the connection ended, and how. */
static void conn_lose(struct conn *conn)
{
    if (atomic_load_explicit(&conn->refs, memory_order_relaxed) == 1 && is_busy(conn))
        conn_turn_passive(conn, WIRE_DROP_BLIND);
    conn_unref(conn);
}

/* What becomes of a connection that loses a descriptor. */
typedef void leave_function(struct conn *conn);

/* The descriptor gets a new meaning; what it named before loses it. */
static bool fd_name(int fd, uint32_t value, leave_function *leave)
{
    uint64_t old;
    bool noted = fdtab_set(fd, value, &old);

    if (conn_of(old))
        leave(conn_of(old));
    return noted;
}

static bool fd_name_conn(int fd, struct conn *conn, leave_function *leave)
{
    if (fd_name(fd, arena_number(conn) + FDTAB_CONN, leave))
        return true;
    ring_drop(WIRE_DROP_FD_LIMIT);
    conn_unref(conn);
    return false;
}

bool conn_name(int fd, struct conn *conn)
{
    return fd_name_conn(fd, conn, conn_lose);
}

static void fd_clear(int fd, leave_function *leave)
{
    struct conn *conn = conn_of(fdtab_clear(fd));

    if (conn)
        leave(conn);
}

bool conn_capture(struct conn_ref *ref, int fd)
{
    ref->fd = fd;
    ref->conn = look_up(fd, &ref->entry, &ref->generation);
    if (fdtab_value(ref->entry) == FDTAB_IGNORED)
        return false;
    process_check_fork();
    if (!ref->conn)
        return true;
    return is_followed(ref->conn) || conn_is_client(ref->conn) || has_role(ref->conn, CONN_WAKEUP);
}

bool conn_looks_ahead(const struct conn_ref *ref)
{
    return ref->conn && ref->conn->looks_ahead && (is_followed(ref->conn) || ref->conn->outgoing);
}

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

/* A server's response that ends with the connection has ended, and the time is now. */
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

void conn_address_set(struct wire_address *address, const struct sockaddr *from, size_t length)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)from;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;

    if (!from || length < sizeof(from->sa_family))
        return;
    if (from->sa_family == AF_UNIX) {
        address->family = WIRE_FAMILY_UNIX;
    } else if (from->sa_family == AF_INET && length >= sizeof(*in)) {
        address->family = WIRE_FAMILY_INET;
        address->port = ntohs(in->sin_port);
        memcpy(address->ip, &in->sin_addr, 4);
    } else if (from->sa_family == AF_INET6 && length >= sizeof(*in6)) {
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);

        address->family = mapped ? WIRE_FAMILY_INET : WIRE_FAMILY_INET6;
        address->port = ntohs(in6->sin6_port);
        memcpy(address->ip, (const char *)&in6->sin6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    }
}

/* What came in on behalf of somebody: an answer, its end, or that there will be none. */
static void answered(const struct conn_ref *ref, ssize_t n)
{
    enum tie_kind kind = TIE_OTHER;

    if ((n < 0 && (errno == EAGAIN || errno == EINTR)) || !conn_is_current(ref))
        return;
    if (has_role(ref->conn, CONN_WAKEUP))
        kind = TIE_WAKEUP;
    else if (is_followed(ref->conn))
        kind = TIE_HTTP;
    tie_read(&ref->conn->tie, kind);
}

void conn_data_in_vector(const struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n)
{
    struct conn_ref known = *ref;

    if (!known.conn && n > 0)
        conn_classify(&known, iov, count, n);
    if (!known.conn)
        return;
    if (!has_role(known.conn, CONN_SERVER)) {
        answered(&known, n);
        if (!is_followed(known.conn))
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

void conn_written(const struct conn_ref *ref, ssize_t n)
{
    if (n > 0 && conn_is_current(ref))
        tie_write(&ref->conn->tie);
}

void conn_data_out_vector(const struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n)
{
    struct conn_ref known = *ref;

    if (!known.conn && conn_begins_response(iov, count, n))
        return; /* to a request that another process had read: the next one may be ours */
    if (!known.conn && !conn_classify_out(&known, iov, count, n))
        (void)fdtab_replace(ref->fd, ref->entry, FDTAB_IGNORED); /* who speaks first is no HTTP server */
    else if (!has_role(known.conn, CONN_SERVER) && !is_followed(known.conn))
        conn_written(&known, n);
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

void conn_give_up(const struct conn_ref *ref)
{
    if (!ref->conn) {
        if (socket_may_ask() && socket_is_stream(ref->fd))
            ring_drop(WIRE_DROP_BLIND);
        (void)fdtab_replace(ref->fd, ref->entry, FDTAB_IGNORED);
        return;
    }
    if (conn_is_current(ref))
        conn_turn_passive(ref->conn, WIRE_DROP_BLIND);
    conn_settle(ref->conn);
}

void conn_forget(int fd)
{
    fd_clear(fd, conn_lose);
}

/* Between requests it is nobody's: whoever reads the next one follows it. */
void conn_passed(int fd)
{
    struct conn_ref ref;

    if (!conn_capture(&ref, fd) || !ref.conn)
        return;
    if (is_busy(ref.conn))
        conn_give_up(&ref);
    else
        conn_forget(fd);
}

void conn_ignore(int fd)
{
    (void)fd_name(fd, FDTAB_IGNORED, conn_lose);
}

void conn_bound(int fd, const struct sockaddr *address, size_t length)
{
    struct conn *conn;

    if (fdtab_value(fdtab_get(fd)) != FDTAB_UNKNOWN)
        return;
    conn = conn_new(CONN_LISTENER);
    if (!conn)
        return;
    conn_address_set(&conn->local, address, length);
    (void)fd_name_conn(fd, conn, conn_lose);
}

void conn_accepted(int listener, int fd, const struct sockaddr *address, size_t length)
{
    struct conn *from = conn_of(fdtab_get(listener));
    struct conn *conn;

    process_check_fork();
    current_clear();
    conn = conn_new(CONN_SERVER);
    if (!conn) {
        conn_forget(fd);
        return;
    }
    conn_address_set(&conn->peer, address, length);
    if (from && has_role(from, CONN_LISTENER))
        conn->local = from->local;
    if (fd_name_conn(fd, conn, conn_lose))
        ring_count(WIRE_COUNT_CONNECTIONS);
}

void conn_wakeup(int fd, int other)
{
    struct conn *conn;

    process_check_fork();
    conn = conn_new(CONN_WAKEUP);
    if (!conn) {
        conn_forget(fd);
        return;
    }
    tie_make(&conn->tie);
    if (fd_name_conn(fd, conn, conn_lose) && other >= 0)
        conn_duplicated(fd, other);
}

void conn_waited_in_vain(int fd)
{
    struct conn *conn = fd < 0 ? NULL : conn_of(fdtab_get(fd));

    if (conn && conn_is_client(conn))
        atomic_store_explicit(&conn->waited, 1, memory_order_relaxed);
}

enum conn_work conn_brings(int fd)
{
    struct conn *conn = fd < 0 ? NULL : conn_of(fdtab_get(fd));
    uint32_t youngest;

    if (!conn)
        return CONN_BRINGS_NONE;
    switch ((enum conn_role)atomic_load_explicit(&conn->role, memory_order_relaxed)) {
    case CONN_LISTENER:
        return CONN_BRINGS_CONNECTIONS;
    case CONN_SERVER:
        youngest = atomic_load_explicit(&conn->opened, memory_order_relaxed) - 1;
        if (current_is_in(
                (struct wire_slot *)(conn->open[youngest % CONN_PIPELINE_MAX].slot & ~(uintptr_t)CONN_OPEN_FLAGS)))
            return CONN_BRINGS_NONE;
        return CONN_BRINGS_REQUESTS;
    case CONN_CLIENT:
    case CONN_WAKEUP:
        break;
    }
    return CONN_BRINGS_NONE;
}

void conn_duplicated(int of, int fd)
{
    uint64_t entry;
    uint32_t generation, refs;
    struct conn *conn = look_up(of, &entry, &generation);

    if (!conn) {
        (void)fd_name(fd, fdtab_value(entry), conn_unref);
        return;
    }
    refs = atomic_load_explicit(&conn->refs, memory_order_relaxed);
    do {
        if (refs == 0) { /* closed meanwhile by another thread */
            fd_clear(fd, conn_unref);
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&conn->refs, &refs, refs + 1, memory_order_acquire,
                                                    memory_order_relaxed));
    if (atomic_load_explicit(&conn->generation, memory_order_acquire) != generation) { /* closed and reused */
        conn_unref(conn);
        fd_clear(fd, conn_unref);
        return;
    }
    (void)fd_name_conn(fd, conn, conn_unref);
}

void conn_shut_in(const struct conn_ref *ref)
{
    if (ref->conn && conn_is_current(ref))
        atomic_store_explicit(&ref->conn->deaf, 1, memory_order_relaxed);
}

void conn_shut_out(const struct conn_ref *ref)
{
    struct conn *conn = ref->conn;

    if (!conn || conn_is_client(conn) || !conn_claim(&conn->responses))
        return;
    if (conn_is_current(ref)) {
        exchange_responses_end(conn);
        if (conn_claim(&conn->requests)) {
            exchange_requests_end(conn);
            conn_unclaim(&conn->requests);
        }
    }
    conn_unclaim(&conn->responses);
    conn_settle(conn);
}

/* Did the program write more than hooks saw (io_uring, AIO, assembly)? Also when the number is no socket any more. */
static bool has_written_unseen(const struct conn *conn, int fd)
{
    uint64_t written;

    return !socket_is_stream(fd) || (socket_written(fd, &written) && written > conn->sent);
}

/* Its last descriptor is about to be closed while a request waits for its answer: is it certain that none was given? */
__attribute__((cold)) static void doubt_silence(struct conn *conn, int fd)
{
    if (!socket_may_ask() || !conn_claim(&conn->responses))
        return;
    if (has_written_unseen(conn, fd))
        conn_turn_passive(conn, WIRE_DROP_BLIND);
    conn_unclaim(&conn->responses);
}

void conn_closing(int fd)
{
    struct conn *conn;

    if (fdtab_value(fdtab_get(fd)) == FDTAB_UNKNOWN)
        return;
    process_check_fork();
    conn = conn_of(fdtab_clear(fd));
    if (!conn)
        return;
    if (!conn_is_client(conn) && is_busy(conn) && atomic_load_explicit(&conn->refs, memory_order_relaxed) == 1 &&
        !left_to_other(conn))
        doubt_silence(conn, fd);
    conn_unref(conn);
}

void conn_closing_range(unsigned first, unsigned last)
{
    for (int fd = first < FDTAB_LIMIT ? fdtab_next((int)first) : -1; fd >= 0 && (unsigned)fd <= last;
         fd = fdtab_next(fd + 1))
        conn_closing(fd);
}

/* A connection on which a request that this process read waits for its answer? */
static bool capture_waiting(struct conn_ref *ref, int fd)
{
    return conn_capture(ref, fd) && ref->conn && is_busy(ref->conn) &&
           atomic_load_explicit(&ref->conn->pid, memory_order_relaxed) == process_pid();
}

/* The program leaves without waiting for its answers. */
static void cancel_requests(struct conn *conn)
{
    if (conn_claim(&conn->requests)) {
        if (conn_claim(&conn->responses)) {
            if (!left_to_other(conn))
                end_requests(conn);
            conn_unclaim(&conn->responses);
        }
        conn_unclaim(&conn->requests);
    }
    conn_settle(conn);
}

/* Another program goes on with the connection, and knows nothing of the request. */
void conn_at_exec(void)
{
    struct conn_ref ref;

    if (!atomic_load_explicit(&process_page->valid, memory_order_relaxed))
        return; /* a fork's child that has done nothing */
    for (int fd = fdtab_next(0); fd >= 0; fd = fdtab_next(fd + 1))
        if (capture_waiting(&ref, fd)) {
            if (conn_is_client(ref.conn))
                cancel_requests(ref.conn);
            else
                conn_give_up(&ref);
        }
}

/* The kernel is about to close it. What is still open then is reported by the agent: the process died. That must not be
 * said of a request that was answered, by a child or by this program's stdio, nor of an answer that ends with the
 * connection. */
static void end_at_exit(int fd)
{
    struct conn_ref ref;

    if (!capture_waiting(&ref, fd))
        return;
    if (conn_is_client(ref.conn)) {
        cancel_requests(ref.conn);
        return;
    }
    if (left_to_other(ref.conn))
        conn_turn_passive(ref.conn, WIRE_DROP_BLIND);
    else
        doubt_silence(ref.conn, fd);
    if (atomic_load_explicit(&ref.conn->passive, memory_order_relaxed))
        conn_settle(ref.conn);
    else
        conn_shut_out(&ref);
}

/* inetd's way with programs that use stdio: the connection is standard input and output, and no hook ever saw its
 * bytes. */
static bool was_served_by_stdio(void)
{
    struct sockaddr_in6 peer;

    return fdtab_value(fdtab_get(0)) == FDTAB_UNKNOWN && fdtab_value(fdtab_get(1)) == FDTAB_UNKNOWN &&
           socket_may_ask() && socket_is_internet(0) && socket_is_same(0, 1) && socket_peer(0, &peer) > 0;
}

void conn_at_exit(void)
{
    if (!atomic_load_explicit(&process_page->valid, memory_order_relaxed))
        return; /* a fork's child that has done nothing */
    for (int fd = fdtab_next(0); fd >= 0; fd = fdtab_next(fd + 1))
        end_at_exit(fd);
    exchange_at_exit();
    if (was_served_by_stdio())
        ring_drop(WIRE_DROP_BLIND);
}
