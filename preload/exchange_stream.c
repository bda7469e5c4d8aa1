/* SPDX-License-Identifier: Apache-2.0 */
/* FastCGI's several requests at once on a connection. Each one is a stream: a connection that no descriptor names, with
 * parsers and a queue of its own. The connection itself is its first stream. A record's header says which request it
 * belongs to, so all of the record goes to that one's stream. */
#include "preload/exchange_internal.h"

#include "preload/applog.h"
#include "preload/arena.h"
#include "preload/gateway.h"
#include "preload/process.h"

enum { STREAMS_MAX = 16, BEGIN_REQUEST = 1 };

/* The stream of this id, else the first one. */
static struct conn *find(struct conn *conn, uint16_t id)
{
    for (struct conn *stream = conn; stream; stream = conn_next_stream(stream))
        if (atomic_load_explicit(&stream->stream_id, memory_order_acquire) == id)
            return stream;
    return conn;
}

static bool is_answered(const struct conn *stream)
{
    return atomic_load_explicit(&stream->opened, memory_order_relaxed) ==
           atomic_load_explicit(&stream->answered, memory_order_acquire);
}

/* One more stream, behind the last one; NULL: there is no memory for it. */
static struct conn *add_stream(struct conn *conn, struct conn *last)
{
    struct conn *stream = conn_new(conn_is_client(conn) ? CONN_CLIENT : CONN_SERVER);

    if (!stream)
        return NULL;
    stream->connection = conn;
    if (exchange_gateway_lend(stream, WIRE_PROTOCOL_FASTCGI))
        stream->requests.gateway->id = 1; /* what is none now is an error */
    /* release: the responses' side finds it whole */
    atomic_store_explicit(&last->next_stream, stream, memory_order_release);
    return stream->requests.gateway ? stream : NULL;
}

/* The stream of a request that begins: the one of the same id, or one that is done with its own, or a new one; NULL:
 * there are enough. */
static struct conn *stream_for(struct conn *conn, uint16_t id)
{
    struct conn *stream = conn, *last = NULL, *idle = NULL;
    unsigned count = 0;

    for (; stream; stream = conn_next_stream(stream), count++) {
        uint8_t *state = &stream->requests.parser.state;

        last = stream;
        if (atomic_load_explicit(&stream->stream_id, memory_order_relaxed) == id) {
            if (*state == HTTP1_IN_BODY && is_answered(stream))
                *state = HTTP1_AT_START; /* the rest of its body did not come */
            return stream;
        }
        if (*state == HTTP1_AT_START && is_answered(stream))
            idle = stream;
    }
    if (!idle && count < STREAMS_MAX)
        idle = add_stream(conn, last);
    if (idle)
        atomic_store_explicit(&idle->stream_id, id, memory_order_release);
    return idle;
}

/* The header says whose the record is. Of a request that is not known: the connection's parser sees to that. */
static void begin_record(struct conn *conn, bool is_request, struct gateway_records *records)
{
    const uint8_t *header = records->header;
    uint16_t id = (uint16_t)(header[2] << 8 | header[3]);
    struct conn *stream = is_request && header[1] == BEGIN_REQUEST ? stream_for(conn, id) : find(conn, id);
    enum http1_event event;
    struct http1_out out;

    records->header_length = 0;
    records->left = 1u + (uint32_t)(header[4] << 8 | header[5]) + header[6];
    records->stream = stream;
    if (!stream)
        return;
    if (is_request)
        conn->sends = stream;
    (void)exchange_feed_gateway(is_request ? &stream->requests : &stream->responses, (const char *)header,
                                GATEWAY_RECORD_HEADER, &event, &out); /* which needs its last byte */
}

/* What a program writes to a request's error stream is its log. Not so where it has started another program since,
 * whose errors it passes on (fcgiwrap): that one's standard error is taken from itself. */
static void take_errors(const struct conn *stream)
{
    struct gateway *gateway = stream->requests.gateway;
    struct wire_slot *slot = exchange_answered(stream);

    if (slot && stream->connection->forks == atomic_load_explicit(&process_page->forks, memory_order_relaxed))
        applog_errors(request_in(slot), gateway->errors, (uint32_t)(uintptr_t)stream | 1);
    gateway->errors.length = 0;
}

static struct gateway_records *records_of(struct conn *conn, const struct conn_direction *direction)
{
    return direction == &conn->requests ? &conn->requests.gateway->asked : &conn->requests.gateway->answered;
}

size_t exchange_route(struct conn *conn, struct conn_direction *direction, const char *bytes, size_t length,
                      struct conn **ret_stream)
{
    struct gateway_records *records = records_of(conn, direction);
    size_t used = 0;

    *ret_stream = NULL;
    if (records->left > 0) {
        used = length < records->left ? length : records->left;
        records->left -= (uint32_t)used;
        *ret_stream = records->stream;
        return used;
    }
    while (used < length && records->left == 0) {
        records->header[records->header_length++] = (uint8_t)bytes[used++];
        if (records->header_length < GATEWAY_RECORD_HEADER)
            continue;
        begin_record(conn, direction == &conn->requests, records);
        if (!records->stream)
            return 0;
    }
    return used;
}

void exchange_unroute(struct conn *conn, struct conn_direction *direction, size_t length)
{
    records_of(conn, direction)->left += (uint32_t)length;
}

enum exchange_result exchange_streams(struct conn *conn, struct conn_direction *direction, exchange_function *feed,
                                      const char *bytes, size_t length)
{
    enum exchange_result result = EXCHANGE_ON;
    struct conn *stream;

    if (!exchange_has_records(conn))
        return feed(conn, bytes, length);
    if (!bytes && length > records_of(conn, direction)->left)
        return EXCHANGE_DOUBT; /* nobody saw them: they can only be of one record */
    while (length > 0 && result == EXCHANGE_ON) {
        size_t used = exchange_route(conn, direction, bytes, length, &stream);

        if (used == 0)
            return EXCHANGE_TOO_DEEP;
        if (stream)
            result = feed(stream, bytes, used);
        if (stream && stream->requests.gateway->errors.length > 0)
            take_errors(stream);
        bytes = bytes ? bytes + used : NULL;
        length -= used;
    }
    return result;
}
