/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of which nothing is known (inherited, passed by another process, files): their first bytes decide what
 * they are. */
#include "preload/conn_internal.h"

#include "preload/applog.h"
#include "preload/arena.h"
#include "preload/config.h"
#include "preload/fdtab.h"
#include "preload/gateway.h"
#include "preload/ring.h"
#include "preload/socket.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/uio.h>

enum { METHOD_MAX = 20 };

/* How most programs' first bytes differ from a request's: a method in capitals, one blank, a target's first byte (any
 * for CONNECT). What has come so far may end anywhere: shells read byte by byte. */
static bool begins_http(const char *bytes, size_t length)
{
    const char *end = bytes + (length < METHOD_MAX ? length : METHOD_MAX);
    const char *c = bytes;

    while (c < end && *c >= 'A' && *c <= 'Z')
        c++;
    if (c == bytes || (c < bytes + length && *c != ' ') || !http1_looks_like(HTTP1_REQUESTS, bytes, length))
        return false;
    return c + 1 >= bytes + length || c[1] == '/' || c[1] == '*' || c[1] == 'h' ||
           slice_equals((struct slice){bytes, (size_t)(c - bytes)}, "CONNECT", 7);
}

static bool begins_request(const char *bytes, size_t length)
{
    return begins_http(bytes, length) ||
           (length >= GATEWAY_FIRST_BYTES && gateway_begins(bytes, length) != WIRE_PROTOCOL_NONE);
}

bool conn_begins_response(const struct iovec *iov, int count, ssize_t n)
{
    return count > 0 && n >= 7 && iov[0].iov_base && iov[0].iov_len >= 7 && memcmp(iov[0].iov_base, "HTTP/1.", 7) == 0;
}

/* inetd gives one connection as all three standard descriptors: what is read from one is answered on another. */
static void adopt_standard(int fd)
{
    for (int other = 0; other <= 2 && fd <= 2; other++)
        if (other != fd && fdtab_value(fdtab_get(other)) == FDTAB_UNKNOWN && socket_is_same(fd, other))
            conn_duplicated(fd, other);
}

void conn_rule_out(const struct conn_ref *ref)
{
    if (!applog_looks_at(ref->fd))
        (void)fdtab_replace(ref->fd, ref->entry, FDTAB_IGNORED);
}

/* A socket that came by inheritance or from another process, and speaks HTTP, unless it is a file that holds a
 * request. */
__attribute__((cold)) static void adopt(struct conn_ref *ref, enum conn_role role)
{
    struct sockaddr_in6 peer;
    struct conn *conn;

    if (!socket_may_ask())
        return;
    if (!socket_is_stream(ref->fd)) {
        conn_rule_out(ref);
        return;
    }
    conn = conn_new(role);
    if (!conn)
        return;
    conn_address_set(&conn->peer, (struct sockaddr *)&peer, socket_peer(ref->fd, &peer));
    (void)socket_written(ref->fd, &conn->sent);
    ref->generation = atomic_load_explicit(&conn->generation, memory_order_relaxed);
    if (!fdtab_replace(ref->fd, ref->entry, arena_number(conn) + FDTAB_CONN)) {
        conn_unref(conn);
        return;
    }
    ref->conn = conn;
    if (role != CONN_SERVER)
        return;
    ring_count(WIRE_COUNT_CONNECTIONS);
    adopt_standard(ref->fd);
}

void conn_classify(struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n)
{
    if (count > 0 && n > 0 && iov[0].iov_base &&
        begins_request(iov[0].iov_base, iov[0].iov_len < (size_t)n ? iov[0].iov_len : (size_t)n))
        adopt(ref, CONN_SERVER);
    else
        conn_rule_out(ref);
}

bool conn_classify_out(struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n)
{
    struct iovec first = count > 0 ? iov[0] : (struct iovec){0};

    if (n > 0 && first.iov_len > (size_t)n)
        first.iov_len = (size_t)n;
    if (config.client_mode != CLIENT_OFF && n > 0 && first.iov_base && conn_begins_request(&first, 1))
        adopt(ref, CONN_CLIENT);
    return ref->conn != NULL;
}

bool conn_begins_request(const struct iovec *iov, int count)
{
    while (count > 0 && iov->iov_len == 0) {
        iov++;
        count--;
    }
    return count > 0 && begins_request(iov->iov_base, iov->iov_len);
}
