/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that go by FastCGI, SCGI and uwsgi. */
#include "preload/exchange_internal.h"

#include "preload/arena.h"
#include "preload/gateway.h"
#include "preload/ring.h"

static struct arena_pool gateways = {.block_size = sizeof(struct gateway)};

bool exchange_gateway_lend(struct conn *conn, enum wire_protocol protocol)
{
    struct gateway *gateway = arena_pool_get(&gateways);

    if (!gateway) {
        ring_drop(WIRE_DROP_CONN_TABLE_FULL);
        return false;
    }
    gateway_begin(gateway, protocol, &conn->requests.parser, &conn->responses.parser);
    conn->requests.gateway = gateway;
    conn->responses.gateway = protocol == WIRE_PROTOCOL_UWSGI ? NULL : gateway;
    /* the web server answers the client, and names its own request */
    gateway->is_client = conn->looks_ahead = conn_is_client(conn);
    return true;
}

bool exchange_has_records(const struct conn *conn)
{
    return conn->requests.gateway->protocol == WIRE_PROTOCOL_FASTCGI;
}

void exchange_recognise(struct conn *conn, const char *bytes, size_t length)
{
    enum wire_protocol protocol = gateway_begins(bytes, length);

    if (protocol != WIRE_PROTOCOL_NONE)
        (void)exchange_gateway_lend(conn, protocol);
}

void exchange_gateway_release(struct conn *conn)
{
    if (conn->requests.gateway)
        arena_pool_put(&gateways, conn->requests.gateway);
    conn->requests.gateway = conn->responses.gateway = NULL;
}

size_t exchange_feed_gateway(struct conn_direction *direction, const char *bytes, size_t length,
                             enum http1_event *ret_event, struct http1_out *ret_out)
{
    char *stash = direction->stash ? direction->stash->bytes : NULL;
    size_t used = gateway_feed(direction->gateway, &direction->parser, bytes, length, stash, ret_event, ret_out);

    if (*ret_event == HTTP1_NEED_STASH)
        *ret_event = exchange_lend_stash(direction);
    return used;
}

int exchange_skip(struct conn_direction *direction, size_t length, enum http1_event *ret_event)
{
    if (direction->gateway)
        return gateway_skip(direction->gateway, &direction->parser, length, ret_event);
    return http1_skip(&direction->parser, length, ret_event);
}

uintptr_t exchange_gateway_begin(struct conn *conn, struct wire_slot *slot)
{
    const struct gateway *gateway = conn->requests.gateway;

    conn->client = gateway->client;
    if (slot)
        span_protocol(slot, (enum wire_protocol)gateway->protocol, gateway->is_https, gateway->server_port,
                      gateway->params.truncated);
    return gateway->protocol == WIRE_PROTOCOL_FASTCGI && !conn->requests.parser.keep_alive ? CONN_OPEN_LAST : 0;
}

/* What FastCGI's END_REQUEST says of a request that has no answer. */
static const char *refusal(const struct gateway *gateway)
{
    static const char *const reasons[] = {NULL, "fastcgi_cant_mpx_conn", "fastcgi_overloaded", "fastcgi_unknown_role"};

    return gateway->answer_end < sizeof(reasons) / sizeof(reasons[0]) ? reasons[gateway->answer_end] : NULL;
}

enum exchange_result exchange_gateway_end(struct conn *conn)
{
    const struct gateway *gateway = conn->responses.gateway;
    struct wire_slot *slot = exchange_answered(conn);
    enum wire_error error = WIRE_ERROR_NONE;
    uintptr_t open;

    if (!exchange_oldest(conn, &open))
        return EXCHANGE_DOUBT; /* an end of nothing */
    if (conn->responses.parser.status == 0) {
        const char *reason = refusal(gateway);

        error = exchange_answering(conn) ? WIRE_ERROR_RESPONSE_INCOMPLETE : WIRE_ERROR_NO_RESPONSE;
        if (gateway->aborted)
            error = WIRE_ERROR_CLIENT_CLOSED;
        if (reason && slot)
            span_text(slot, WIRE_TEXT_ERROR_TYPE, (struct slice){reason, strlen(reason)});
    }
    exchange_request_end(conn, 0, error);
    if (atomic_load_explicit(&conn->requests_over, memory_order_relaxed) && !exchange_oldest(conn, &open))
        return EXCHANGE_DOUBT; /* what comes is not understood */
    return EXCHANGE_ON;
}
