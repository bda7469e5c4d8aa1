/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/url.h"

#include <stdio.h>
#include <string.h>

static bool is_https(const struct span *span)
{
    return (span->request->flags & WIRE_REQUEST_HTTPS) != 0;
}

static uint16_t usual_port(const struct span *span)
{
    return is_https(span) ? 443 : 80;
}

void url_server(const struct span *span, struct url_server *ret_server)
{
    const struct wire_request *request = span->request;
    bool is_client = request->kind == WIRE_KIND_CLIENT;
    const struct wire_address *end = is_client ? &request->peer : &request->local;
    struct url_server *server = ret_server;

    server->host = span->text[WIRE_TEXT_SERVER_ADDRESS];
    server->port = request->server_port != 0 ? request->server_port : usual_port(span);
    server->is_path = false;
    if (server->host.length > 0)
        return;
    server->host = (struct slice){server->text, address_format(end, server->text)};
    server->port = end->port;
    if (end->family == WIRE_FAMILY_UNIX) {
        server->host = span->text[is_client ? WIRE_TEXT_PEER_PATH : WIRE_TEXT_LOCAL_PATH];
        server->port = 0;
        server->is_path = true;
    }
}

static char *put(char *out, struct slice text)
{
    return text.length > 0 ? mempcpy(out, text.bytes, text.length) : out;
}

static char *put_authority(char *out, const struct span *span, const struct url_server *server)
{
    bool is_ipv6 = memchr(server->host.bytes, ':', server->host.length) != NULL;

    if ((span->request->flags & WIRE_REQUEST_CREDENTIALS) != 0)
        out = stpcpy(out, "REDACTED:REDACTED@");
    if (span->request->kind == WIRE_KIND_SERVER && span->text[WIRE_TEXT_HOST].length > 0)
        return put(out, span->text[WIRE_TEXT_HOST]);
    if (is_ipv6)
        *out++ = '[';
    out = put(out, server->host);
    if (is_ipv6)
        *out++ = ']';
    if (server->port != 0 && server->port != usual_port(span))
        out += sprintf(out, ":%u", (unsigned)server->port);
    return out;
}

size_t url_write(const struct span *span, enum url_form form, char out[URL_SIZE])
{
    struct slice path = span->text[WIRE_TEXT_PATH];
    struct slice query = span->text[WIRE_TEXT_QUERY];
    struct url_server server;
    char *end = out;

    url_server(span, &server);
    if (server.host.length == 0 || server.is_path)
        return 0;
    if (is_https(span))
        end = stpcpy(end, "https://");
    else if (form != URL_FOR_PEOPLE)
        end = stpcpy(end, "http://");
    end = put_authority(end, span, &server);
    /* "OPTIONS *" asks of the server as a whole (RFC 9110 7.1); what has no known form came without a slash. */
    if (path.length == 1 && path.bytes[0] == '*')
        path.length = 0;
    if (path.length > 0 && path.bytes[0] != '/')
        *end++ = '/';
    end = put(end, path);
    if (query.length > 0 && form != URL_WITHOUT_QUERY) {
        *end++ = '?';
        end = put(end, query);
    }
    return (size_t)(end - out);
}
