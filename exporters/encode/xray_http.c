/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/xray_http.h"

#include "exporters/agent/span.h"
#include "exporters/encode/json_access.h"
#include "exporters/encode/url.h"
#include "exporters/encode/xray_text.h"

#include <stdbool.h>
#include <stdint.h>

static json_t *make_url(const struct span *span)
{
    char url[URL_SIZE];

    return xray_text((struct slice){url, url_write(span, URL_WITHOUT_QUERY, url)}, XRAY_STRING_MAX);
}

/* As it was sent. */
static json_t *make_method(const struct span *span)
{
    struct slice sent = span->method_original.length > 0 ? span->method_original : span->method;

    return xray_text(sent, XRAY_STRING_MAX);
}

/* All of X-Forwarded-For, else what another header or the socket says. */
static void set_client(json_t *request, const struct span *span)
{
    struct slice forwarded = span->text[WIRE_TEXT_FORWARDED_FOR];
    struct slice client = forwarded.length > 0 ? forwarded : span->text[WIRE_TEXT_CLIENT_ADDRESS];
    char peer[ADDRESS_SIZE];

    if (client.length == 0)
        client = (struct slice){peer, address_format(&span->request->peer, peer)};
    json_set(request, "client_ip", xray_text(client, XRAY_STRING_MAX));
    if (forwarded.length > 0)
        json_set(request, "x_forwarded_for", json_true());
}

static json_t *make_request(const struct span *span)
{
    json_t *request = json_object();

    json_set(request, "url", make_url(span));
    json_set(request, "method", make_method(span));
    if (span->request->kind == WIRE_KIND_SERVER) {
        json_set(request, "user_agent", xray_text(span->text[WIRE_TEXT_USER_AGENT], XRAY_STRING_MAX));
        set_client(request, span);
    }
    return request;
}

/* Zero is left out, as the SDK does: an answer to HEAD has a length, but no bytes that were counted. */
static json_t *make_response(const struct span *span)
{
    const struct wire_request *request = span->request;
    json_t *response = json_object();
    bool has_length = request->kind == WIRE_KIND_SERVER && (request->flags & WIRE_REQUEST_RESPONSE_LENGTH) != 0 &&
                      (request->flags & WIRE_REQUEST_RESPONSE_BODY_SEEN) != 0;

    if (request->status != 0)
        json_set(response, "status", json_integer(request->status));
    if (has_length && request->response_body_size > 0 && request->response_body_size <= INT64_MAX)
        json_set(response, "content_length", json_integer((json_int_t)request->response_body_size));
    return response;
}

json_t *xray_http(const struct span *span)
{
    json_t *http = json_object();

    json_set_unless_empty(http, "request", make_request(span));
    json_set_unless_empty(http, "response", make_response(span));
    return http;
}
