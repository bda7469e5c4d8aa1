/* SPDX-License-Identifier: Apache-2.0 */
/* Making a client's connection: how long it takes, and the span of an attempt that failed. */
#include "preload/conn_internal.h"

#include "preload/clock.h"
#include "preload/config.h"
#include "preload/fdtab.h"
#include "preload/process.h"
#include "preload/span.h"

#include <errno.h>
#include <sys/socket.h>

/* Addresses that have answered in HTTP, by their hash, which is long enough to be taken for the address. A later one
 * with the same place takes it. Written by any hook; a fork's child goes on with a copy. */
enum { SPEAKERS = 256 };
static _Atomic uint64_t speakers[SPEAKERS];

/* Never 0. */
static uint64_t hash_of(const struct wire_address *address)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    hash = (hash ^ address->family) * UINT64_C(0x100000001b3);
    hash = (hash ^ address->port) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < sizeof(address->ip); i++)
        hash = (hash ^ address->ip[i]) * UINT64_C(0x100000001b3);
    return hash | 1;
}

static _Atomic uint64_t *place_of(uint64_t hash)
{
    return &speakers[(hash >> 32) % SPEAKERS];
}

void conn_answered(const struct conn *conn)
{
    uint64_t hash = hash_of(&conn->peer);

    if (conn->peer.port != 0)
        atomic_store_explicit(place_of(hash), hash, memory_order_relaxed);
}

static bool speaks_http(const struct wire_address *address)
{
    uint64_t hash = hash_of(address);

    return atomic_load_explicit(place_of(hash), memory_order_relaxed) == hash;
}

/* The error as it stands in a span; NONE: it says nothing of the network or the peer. */
static enum wire_error error_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return WIRE_ERROR_CONNECTION_REFUSED;
    case ECONNRESET:
        return WIRE_ERROR_CONNECTION_RESET;
    case ETIMEDOUT:
        return WIRE_ERROR_TIMEOUT;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
        return WIRE_ERROR_HOST_UNREACHABLE;
    case EADDRNOTAVAIL: /* no port of ours is left */
        return WIRE_ERROR_OTHER;
    default:
        return WIRE_ERROR_NONE;
    }
}

/* No request was sent yet, and perhaps none was meant. So a failed connect() becomes a span only if a request waits
 * for it and the address is known to speak HTTP. */
__attribute__((cold)) static void not_connected(const struct wire_address *peer, const struct request_ref *cause,
                                                uint64_t start_ns, int error)
{
    enum wire_error what = error_of(error);

    if (what != WIRE_ERROR_NONE && speaks_http(peer) && request_live(cause))
        exchange_not_connected(peer, cause, start_ns, what);
}

/* What has become of an attempt that had begun before. */
static void settle_attempt(int fd, struct conn *conn, int error)
{
    bool has_requests = atomic_load_explicit(&conn->opened, memory_order_relaxed) != 0;
    struct request_ref cause;

    if (has_requests || error == EINPROGRESS || error == EALREADY || error == EINTR)
        return;
    if (error == 0 || error == EISCONN) {
        conn->connect_end_ns = clock_mono_ns();
        return;
    }
    cause = tie_maker(&conn->tie);
    not_connected(&conn->peer, &cause, conn->connect_start_ns, error);
    conn_forget(fd); /* the next attempt is another connection */
}

static void begin_attempt(int fd, const struct wire_address *peer, uint64_t start_ns, int error)
{
    struct conn *conn = conn_new(CONN_CLIENT);

    if (!conn) {
        conn_forget(fd);
        return;
    }
    conn->peer = *peer;
    tie_make(&conn->tie);
    conn->connect_start_ns = start_ns;
    conn->connect_end_ns = error == 0 ? clock_mono_ns() : 0;
    conn->resolve_ns = lookup_find(peer, &conn->lookup);
    (void)conn_name(fd, conn);
}

void conn_connecting(int fd, const struct sockaddr *address, size_t length, uint64_t start_ns, int error)
{
    uint64_t entry = fdtab_get(fd);
    struct conn *conn = conn_of(entry);
    struct wire_address peer = {.family = WIRE_FAMILY_NONE};
    bool is_begun = error == 0 || error == EINPROGRESS || error == EINTR;

    if (fdtab_value(entry) == FDTAB_IGNORED)
        return; /* a datagram socket */
    if (config.client_mode == CLIENT_OFF) {
        if (is_begun)
            conn_ignore(fd);
        return;
    }
    process_check_fork();
    if (conn && atomic_load_explicit(&conn->role, memory_order_relaxed) == CONN_CLIENT) {
        settle_attempt(fd, conn, error);
        return;
    }
    if (is_begun) {
        conn_address_set(&peer, address, length);
        begin_attempt(fd, &peer, start_ns, error);
    } else if (error_of(error) != WIRE_ERROR_NONE) {
        struct request_ref cause = current_certain();

        conn_address_set(&peer, address, length);
        not_connected(&peer, &cause, start_ns, error);
    }
}

void conn_told(const struct conn_ref *ref, int error)
{
    if (!ref->conn || !conn_is_current(ref))
        return;
    if (atomic_load_explicit(&ref->conn->role, memory_order_relaxed) == CONN_CLIENT &&
        atomic_load_explicit(&ref->conn->opened, memory_order_relaxed) == 0) {
        tie_told(&ref->conn->tie);
        settle_attempt(ref->fd, ref->conn, error);
    } else if (error != 0) {
        errno = error;
        conn_note_failure(ref);
    }
}

void conn_touched(const struct conn_ref *ref)
{
    if (ref->conn && conn_is_current(ref) && conn_has_role(ref->conn, CONN_SERVER) && conn_is_followed(ref->conn))
        exchange_touched(ref->conn);
}

void conn_first_request(struct conn *conn)
{
    if (conn->lookup.lookup && !lookup_take(&conn->lookup))
        conn->resolve_ns = 0;
    conn->lookup = (struct lookup_ref){0};
}

void conn_add_way(struct conn *conn, uint32_t number, struct wire_slot *slot)
{
    const uint64_t start_ns = wire_slot_request(slot)->start_ns;
    struct wire_client client = {0};

    if (number == 0 && conn->connect_start_ns > 0) {
        client.resolve_ns = conn->resolve_ns;
        client.connect_ns = (conn->connect_end_ns ? conn->connect_end_ns : start_ns) - conn->connect_start_ns;
    }
    if (atomic_load_explicit(&conn->sent_number, memory_order_acquire) == number) {
        uint64_t sent_ns = atomic_load_explicit(&conn->sent_ns, memory_order_relaxed);

        client.sent_ns = sent_ns > start_ns ? sent_ns - start_ns : 0;
    }
    span_client(slot, &client);
}
