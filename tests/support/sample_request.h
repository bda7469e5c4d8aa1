/* SPDX-License-Identifier: Apache-2.0 */
/* A finished request as the shim records it, for tests and benchmarks of the agent. */
#ifndef SPANSHIM_SAMPLE_REQUEST_H
#define SPANSHIM_SAMPLE_REQUEST_H

#include "preload/wire.h"

#include <string.h>

/* Room for the longest request. */
union sample_request {
    struct wire_request request;
    uint8_t bytes[WIRE_RECORD_MAX];
};

static inline void sample_put(struct wire_request *request, enum wire_text id, const char *bytes, size_t length)
{
    uint16_t length16 = (uint16_t)length;
    uint8_t *out = request->text + request->text_length;

    out[0] = (uint8_t)id;
    out[1] = 0;
    memcpy(out + 2, &length16, sizeof(length16));
    memcpy(out + 4, bytes, length);
    request->text_length = (uint16_t)(request->text_length + 4 + length);
}

static inline void sample_put_text(struct wire_request *request, enum wire_text id, const char *text)
{
    sample_put(request, id, text, strlen(text));
}

/* GET /orders/<n> answered by 200 with 612 bytes after 200 us; n also makes its ids. */
static inline void sample_fill(struct wire_request *request, unsigned n)
{
    *request = (struct wire_request){
        .start_ns = 1000000 + n,
        .first_byte_ns = 1150000 + n,
        .end_ns = 1200000 + n,
        .response_body_size = 612,
        .status = 200,
        .flags = WIRE_REQUEST_SAMPLED | WIRE_REQUEST_BODY_SEEN | WIRE_REQUEST_RESPONSE_BODY_SEEN,
        .server_port = 8080,
        .trace_flags = 3,
        .kind = WIRE_KIND_SERVER,
        .method = WIRE_METHOD_GET,
        .version = 11,
        .peer = {.family = WIRE_FAMILY_INET, .port = 40000, .ip = {127, 0, 0, 1}},
        .local = {.family = WIRE_FAMILY_INET, .port = 8080, .ip = {127, 0, 0, 1}},
    };
    memset(request->trace_id, 0xab, sizeof(request->trace_id));
    memcpy(request->trace_id, &n, sizeof(n));
    memset(request->span_id, 0xcd, sizeof(request->span_id));
    memcpy(request->span_id, &n, sizeof(n));
    sample_put_text(request, WIRE_TEXT_PATH, "/orders/4711");
    sample_put_text(request, WIRE_TEXT_QUERY, "page=2&sort=date");
    sample_put_text(request, WIRE_TEXT_SERVER_ADDRESS, "shop.example.com");
    sample_put_text(request, WIRE_TEXT_USER_AGENT, "curl/8.5.0");
}

static inline size_t sample_size(const struct wire_request *request)
{
    return sizeof(*request) + request->text_length;
}

#endif
