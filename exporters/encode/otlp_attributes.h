/* SPDX-License-Identifier: Apache-2.0 */
/* A span's attributes by the HTTP semantic conventions, as protobuf-c messages in reused storage. Called by
 * otlp_trace.c only. */
#ifndef SPANSHIM_OTLP_ATTRIBUTES_H
#define SPANSHIM_OTLP_ATTRIBUTES_H

#include "exporters/agent/span.h"
#include "exporters/encode/utf8.h"
#include "otlp.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The attributes that aren't headers, each at most once in a span. X(NAME, key) */
#define OTLP_KEYS(X)                                                                                                   \
    X(HTTP_REQUEST_METHOD, "http.request.method")                                                                      \
    X(HTTP_ROUTE, "http.route")                                                                                        \
    X(URL_FULL, "url.full")                                                                                            \
    X(URL_PATH, "url.path")                                                                                            \
    X(URL_SCHEME, "url.scheme")                                                                                        \
    X(HTTP_REQUEST_METHOD_ORIGINAL, "http.request.method_original")                                                    \
    X(URL_QUERY, "url.query")                                                                                          \
    X(HTTP_RESPONSE_STATUS_CODE, "http.response.status_code")                                                          \
    X(ERROR_TYPE, "error.type")                                                                                        \
    X(SERVER_ADDRESS, "server.address")                                                                                \
    X(SERVER_PORT, "server.port")                                                                                      \
    X(HTTP_REQUEST_RESEND_COUNT, "http.request.resend_count")                                                          \
    X(CLIENT_ADDRESS, "client.address")                                                                                \
    X(CLIENT_PORT, "client.port")                                                                                      \
    X(USER_ID, "user.id")                                                                                              \
    X(NETWORK_PEER_ADDRESS, "network.peer.address")                                                                    \
    X(NETWORK_PEER_PORT, "network.peer.port")                                                                          \
    X(NETWORK_PROTOCOL_NAME, "network.protocol.name")                                                                  \
    X(NETWORK_PROTOCOL_VERSION, "network.protocol.version")                                                            \
    X(NETWORK_TRANSPORT, "network.transport")                                                                          \
    X(HTTP_REQUEST_BODY_SIZE, "http.request.body.size")                                                                \
    X(HTTP_RESPONSE_BODY_SIZE, "http.response.body.size")                                                              \
    X(RESPONSE_TIME_TO_FIRST_BYTE, "spanshim.response.time_to_first_byte")                                             \
    X(REQUEST_TIME_TO_LAST_BYTE, "spanshim.request.time_to_last_byte")                                                 \
    X(DNS_DURATION, "spanshim.dns.duration")                                                                           \
    X(CONNECT_DURATION, "spanshim.connect.duration")                                                                   \
    X(TLS_DURATION, "spanshim.tls.duration")                                                                           \
    X(PROPAGATION_SKIPPED, "spanshim.propagation.skipped")                                                             \
    X(PARENT, "spanshim.parent")                                                                                       \
    X(UPGRADED, "spanshim.upgraded")                                                                                   \
    X(FRAMING, "spanshim.framing")                                                                                     \
    X(TRUNCATED, "spanshim.truncated")                                                                                 \
    X(USER_AGENT_ORIGINAL, "user_agent.original")

enum otlp_key {
#define X(NAME, text) OTLP_KEY_##NAME,
    OTLP_KEYS(X)
#undef X
        OTLP_KEY_COUNT
};

enum {
    OTLP_ATTRIBUTES_MAX = OTLP_KEY_COUNT + 2 * SPAN_HEADERS_MAX,
    /* All texts of a record and a route, repaired, each used twice, with their NULs and the prefixes of headers'
     * keys. */
    OTLP_TEXT_MAX = (2 * WIRE_RECORD_MAX + ROUTES_LENGTH_MAX) * UTF8_REPAIRED_MAX + OTLP_ATTRIBUTES_MAX * 32 + 256,
};

struct otlp_attributes {
    Otlp__KeyValue *list[OTLP_ATTRIBUTES_MAX];
    size_t count;
    uint32_t dropped_count;
    const char *trace_state;   /* "": none */
    const char *error_message; /* "": none */
    bool is_error;
    size_t packed_max; /* the attributes and these texts take no more bytes than this */
    /* Private. */
    uint32_t max_count;
    uint32_t max_length;
    size_t text_length;
    Otlp__KeyValue pairs[OTLP_ATTRIBUTES_MAX];
    Otlp__AnyValue values[OTLP_ATTRIBUTES_MAX];
    Otlp__ArrayValue arrays[OTLP_ATTRIBUTES_MAX];
    Otlp__AnyValue items[2 * SPAN_HEADERS_MAX];
    Otlp__AnyValue *item_list[2 * SPAN_HEADERS_MAX];
    size_t item_count;
    char text[OTLP_TEXT_MAX];
};

/* Once, before the first fill. Context: loop. */
void otlp_attributes_init(struct otlp_attributes *attributes);

/* Replace the content by this span's. Borrows from the span. Context: loop. */
void otlp_attributes_fill(struct otlp_attributes *attributes, const struct span *span, uint32_t max_count,
                          uint32_t max_length);

#endif
