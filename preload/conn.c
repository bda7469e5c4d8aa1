/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a connection: which descriptors name it, which thread may touch it, when it ends. */
#include "preload/conn.h"

#include "preload/arena.h"
#include "preload/config.h"
#include "preload/conn_internal.h"

#include "preload/applog.h"
#include "preload/current.h"
#include "preload/echo.h"
#include "preload/fdtab.h"
#include "preload/process.h"
#include "preload/ring.h"
#include "preload/socket.h"
#include "preload/span.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static struct arena_pool conns = {.block_size = sizeof(struct conn)};

struct conn *conn_of(uint64_t entry)
{
    uint32_t value = fdtab_value(entry);

    return value >= FDTAB_CONN ? arena_at(value - FDTAB_CONN) : NULL;
}

/* The connection that the descriptor names and its generation, both as of the same moment. */
static inline struct conn *look_up(int fd, uint64_t *ret_entry, uint32_t *ret_generation)
{
    struct conn *conn;

    do { /* a second look: in between, the connection may have been closed and its memory given to another one */
        *ret_entry = fdtab_get(fd);
        conn = conn_of(*ret_entry);
        *ret_generation = conn ? atomic_load_explicit(&conn->generation, memory_order_acquire) : 0;
    } while (conn && __builtin_expect(fdtab_get(fd) != *ret_entry, 0));
    return conn;
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
    if (role == CONN_CLIENT)
        echo_expect();
    conn->looks_ahead = role == CONN_CLIENT || (role == CONN_SERVER && config.response_lines != 0);
    conn->requests.gateway = conn->responses.gateway = NULL;
    conn->connection = conn->sends = conn;
    atomic_store_explicit(&conn->next_stream, NULL, memory_order_relaxed);
    atomic_store_explicit(&conn->stream_id, 0, memory_order_relaxed);
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
    memset(&conn->database, 0, sizeof(conn->database));
    atomic_store_explicit(&conn->sent_number, UINT32_MAX, memory_order_relaxed);
    conn->outgoing = NULL;
    conn->ahead = conn->planned_to = 0;
    atomic_store_explicit(&conn->sending, conn_idle(atomic_load_explicit(&conn->generation, memory_order_relaxed)),
                          memory_order_relaxed);
    atomic_store_explicit(&conn->response_unseen, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->opened, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->answered, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->requests_over, 0, memory_order_relaxed);
    /* release: a thread that still has a reference to the connection before claims this one and finds another
     * generation */
    atomic_store_explicit(&conn->requests.claimed, 0, memory_order_release);
    atomic_store_explicit(&conn->responses.claimed, 0, memory_order_release);
    atomic_store_explicit(&conn->refs, 1, memory_order_release);
    return conn;
}

uint32_t conn_waiting(const struct conn *conn)
{
    uint32_t count = 0;

    for (const struct conn *stream = conn; stream; stream = conn_next_stream(stream))
        count += atomic_load_explicit(&stream->opened, memory_order_relaxed) -
                 atomic_load_explicit(&stream->answered, memory_order_relaxed);
    return count;
}

bool conn_left_to_other(const struct conn *conn)
{
    if (atomic_load_explicit(&conn->pid, memory_order_relaxed) != process_pid())
        return true;
    return conn->forks != atomic_load_explicit(&process_page->forks, memory_order_relaxed) &&
           !atomic_load_explicit(&conn->peer_done, memory_order_relaxed) &&
           atomic_load_explicit(&conn->failure, memory_order_relaxed) == WIRE_ERROR_NONE && !exchange_answering(conn);
}

/* Drop the requests that are open on a passive connection. One loss was counted when it turned passive; the others
 * are counted now. */
static void discard(struct conn *conn)
{
    unsigned cause = atomic_load_explicit(&conn->passive, memory_order_relaxed) - CONN_PASSIVE;

    uint32_t count = 0;

    for (struct conn *stream = conn; stream; stream = conn_next_stream(stream))
        count += exchange_discard(stream);
    for (; count > 1 && cause < WIRE_DROP_COUNT; count--)
        ring_drop((enum wire_drop)cause);
}

void conn_end_requests(struct conn *conn)
{
    enum wire_error error = atomic_load_explicit(&conn->failure, memory_order_relaxed);
    bool peer_done = atomic_load_explicit(&conn->peer_done, memory_order_relaxed) != 0;
    bool waited = atomic_load_explicit(&conn->waited, memory_order_relaxed) != 0;
    bool is_client = conn_is_client(conn);
    bool is_server_left = !is_client && peer_done && error == WIRE_ERROR_NONE;

    for (struct conn *stream = conn; stream; stream = conn_next_stream(stream)) {
        if (!is_client && error == WIRE_ERROR_NONE)
            exchange_responses_end(stream);
        if (is_client && error == WIRE_ERROR_NONE && !peer_done)
            exchange_give_up(stream, waited);
        else
            exchange_abandon(stream, is_server_left ? WIRE_ERROR_CLIENT_CLOSED : error);
    }
}

/* May requests be served on it that we do not see (TLS, HTTP/2, broken framing)? Not after an upgrade, which was a
 * request itself. */
static bool hides_requests(const struct conn *conn, unsigned cause)
{
    return conn_has_role(conn, CONN_SERVER) &&
           (cause != WIRE_DROP_COUNT || atomic_load_explicit(&conn->opened, memory_order_relaxed) == 0);
}

static void forget(struct conn *conn)
{
    for (struct conn *stream = conn; stream; stream = conn_next_stream(stream))
        exchange_forget(stream);
}

static void free_streams(struct conn *conn)
{
    for (struct conn *stream = conn_next_stream(conn); stream;) {
        struct conn *next = conn_next_stream(stream);

        atomic_store_explicit(&stream->refs, 0, memory_order_relaxed);
        arena_pool_put(&conns, stream);
        stream = next;
    }
}

/* Both directions are claimed, and stay so while the connection is free: a thread that comes late fails to claim. */
static void conn_end(struct conn *conn)
{
    unsigned passive = atomic_load_explicit(&conn->passive, memory_order_relaxed);

    if (conn_has_role(conn, CONN_SERVER) || conn_has_role(conn, CONN_CLIENT)) {
        if (passive)
            discard(conn);
        else if (conn_left_to_other(conn))
            forget(conn);
        else
            conn_end_requests(conn);
        conn_send_end(conn);
        free_streams(conn);
    }
    if (passive && hides_requests(conn, passive - CONN_PASSIVE))
        echo_hide(-1);
    tie_end(&conn->tie);
    atomic_store_explicit(&conn->doomed, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&conn->generation, 1, memory_order_release);
    arena_pool_put(&conns, conn);
}

/* Two things wait until no thread parses: freeing a connection without descriptors, and dropping the requests of a
 * passive one. Called by the thread that asks for it and by each thread that gives a claim back; the one that gets
 * both claims does it. */
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
    int hidden = hides_requests(conn, cause) ? 1 : 0;

    echo_hide(hidden);
    if (atomic_exchange_explicit(&conn->passive, (uint8_t)(CONN_PASSIVE + cause), memory_order_seq_cst) != 0) {
        echo_hide(-hidden);
        return;
    }
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

/* A descriptor of it stands for something else now, although no hook saw it closed. If it was the last one, it is
 * not known when and how the connection ended. */
static void conn_lose(struct conn *conn)
{
    if (atomic_load_explicit(&conn->refs, memory_order_relaxed) == 1 && conn_is_busy(conn))
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
    if (fdtab_value(ref->entry) - FDTAB_IGNORED < FDTAB_CONN - FDTAB_IGNORED)
        return false; /* ignored, or a log */
    process_check_fork();
    if (!ref->conn)
        return true;
    return conn_is_followed(ref->conn) || conn_is_client(ref->conn) || conn_has_role(ref->conn, CONN_WAKEUP);
}

bool conn_looks_ahead(const struct conn_ref *ref)
{
    return ref->conn && ref->conn->looks_ahead && (conn_is_followed(ref->conn) || ref->conn->outgoing);
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

void conn_give_up(const struct conn_ref *ref)
{
    if (!ref->conn) {
        if (socket_may_ask() && socket_is_stream(ref->fd))
            ring_drop(WIRE_DROP_BLIND);
        conn_rule_out(ref);
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

/* Between requests it belongs to no process: the one that reads the next request follows it. */
void conn_passed(int fd)
{
    struct conn_ref ref;

    if (!conn_capture(&ref, fd) || !ref.conn)
        return;
    if (conn_is_busy(ref.conn))
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
    if (from && conn_has_role(from, CONN_LISTENER))
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

static bool is_current_in(const struct conn *stream)
{
    uint32_t youngest = atomic_load_explicit(&stream->opened, memory_order_relaxed) - 1;
    uintptr_t slot = stream->open[youngest % CONN_PIPELINE_MAX].slot & ~(uintptr_t)CONN_OPEN_FLAGS;

    return current_is_in((struct wire_slot *)slot);
}

enum conn_work conn_brings(int fd)
{
    struct conn *conn = fd < 0 ? NULL : conn_of(fdtab_get(fd));

    if (!conn)
        return CONN_BRINGS_NONE;
    switch ((enum conn_role)atomic_load_explicit(&conn->role, memory_order_relaxed)) {
    case CONN_LISTENER:
        return CONN_BRINGS_CONNECTIONS;
    case CONN_SERVER:
        for (; conn; conn = conn_next_stream(conn))
            if (is_current_in(conn))
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
    /* A pipe in the place of standard error goes to who keeps the log. */
    bool may_be_log = !conn || conn_has_role(conn, CONN_WAKEUP);
    uint32_t log = may_be_log ? applog_value_of_copy(fd, conn ? FDTAB_UNKNOWN : fdtab_value(entry)) : FDTAB_UNKNOWN;

    if (!conn || log != FDTAB_UNKNOWN) {
        (void)fd_name(fd, log, conn_unref);
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
