/* SPDX-License-Identifier: Apache-2.0 */
/* What the lines of a head say of a request, as it is written into its slot: names, addresses, captured fields. */
#include "preload/span_internal.h"

#include "preload/config.h"
#include "preload/echo.h"
#include "preload/ip.h"
#include "preload/redact.h"
#include "preload/target.h"

#include <string.h>

enum {
    PATH_MAX_LENGTH = 1024,
    QUERY_MAX_LENGTH = 512,
    USER_AGENT_MAX_LENGTH = 256,
    USER_MAX_LENGTH = 256,
    METHOD_MAX_LENGTH = 32,
    HEADER_MAX_LENGTH = 256,
    /* Captured request headers leave this to what comes after them: server, user agent, client, trace state. */
    CAPTURE_LEAVES = 512,
};

static enum wire_method method_of(struct slice method)
{
    static const struct {
        char name[8];
        uint8_t length;
    } names[WIRE_METHOD_COUNT] = {
#define X(NAME) [WIRE_METHOD_##NAME] = {#NAME, sizeof(#NAME) - 1},
        WIRE_METHODS(X)
#undef X
    };

    for (int i = 1; i < WIRE_METHOD_COUNT; i++)
        if (slice_equals(method, names[i].name, names[i].length))
            return (enum wire_method)i;
    return WIRE_METHOD_OTHER;
}

typedef size_t redact_function(const char *text, size_t len, char *out, size_t out_size, enum redact_mode mode,
                               bool *ret_truncated);

__attribute__((always_inline)) static inline void add_redacted(struct wire_request *request, enum wire_text id,
                                                               struct slice text, size_t limit, redact_function *redact)
{
    size_t room;
    bool truncated = false;
    uint8_t *to = text.length > 0 ? span_text_reserve(request, limit, &room) : NULL;

    if (!to)
        return;
    size_t length = redact(text.bytes, text.length, (char *)to, room, config.query_mode, &truncated);
    if (truncated)
        request->flags |= WIRE_REQUEST_TRUNCATED;
    if (length > 0)
        span_text_commit(request, id, length);
}

static inline void print(struct span_head *head, enum echo_part part, struct slice value, uint32_t number)
{
    if (head->print)
        head->print = echo_add(head->print, part, value, number);
}

uint64_t span_print(const struct span_head *head)
{
    return head->print && !(head->has_host && head->has_user_agent) ? ECHO_NEVER : head->print;
}

/* The first to name the server wins: an absolute target before Host (RFC 9112 3.2.2), Forwarded before both (at the end
 * of the head). */
static void set_host(struct wire_request *request, struct span_head *head, struct slice host, uint16_t port)
{
    if (head->has_host || host.length == 0)
        return;
    head->has_host = true;
    head->host_port = port;
    span_text_add(request, WIRE_TEXT_SERVER_ADDRESS, host, FORWARDED_HOST_SIZE);
}

/* As the head itself names it. */
static void take_host(struct wire_request *request, struct span_head *head, struct slice host, uint16_t port)
{
    if (!head->has_host)
        print(head, ECHO_HOST, host, port);
    set_host(request, head, host, port);
}

/* Out of line, like capture(): who has no such rules does not pay for their registers. */
__attribute__((cold, noinline)) static bool is_ignored_path(const struct target *target)
{
    return glob_list_matches(&config.ignored_paths, target->path, GLOB_SAME_CASE);
}

__attribute__((cold, noinline)) static bool is_ignored_user_agent(struct slice name)
{
    return glob_list_matches(&config.ignored_user_agents, name, GLOB_ANY_CASE);
}

void span_request_line(struct wire_slot *slot, struct span_head *head, struct slice method, struct slice target,
                       unsigned version_minor)
{
    struct wire_request *request = wire_slot_request(slot);
    struct target parts;

    request->method = (uint8_t)method_of(method);
    request->version = (uint8_t)(10 + version_minor);
    if (request->method == WIRE_METHOD_OTHER)
        span_text_add(request, WIRE_TEXT_METHOD, method, METHOD_MAX_LENGTH);
    if (!target_split(target.bytes, target.length, request->method == WIRE_METHOD_CONNECT, &parts))
        parts = (struct target){.path = target}; /* of no known form: as it came */
    print(head, ECHO_PATH, parts.path, (uint32_t)method.length << 8 | request->method);
    if (parts.query.length > 0)
        print(head, ECHO_QUERY, parts.query, 0);
    add_redacted(request, WIRE_TEXT_PATH, parts.path, PATH_MAX_LENGTH, redact_path);
    add_redacted(request, WIRE_TEXT_QUERY, parts.query, QUERY_MAX_LENGTH, redact_query);
    take_host(request, head, parts.host, parts.port);
    if (slice_is_literal(parts.scheme, "https"))
        request->flags |= WIRE_REQUEST_HTTPS;
    if (parts.has_user)
        request->flags |= WIRE_REQUEST_CREDENTIALS;
    if (config.ignored_paths.count > 0 && request->kind == WIRE_KIND_SERVER)
        head->is_ignored = is_ignored_path(&parts);
}

void span_protocol(struct wire_slot *slot, enum wire_protocol protocol, bool is_https, uint16_t server_port,
                   bool is_truncated)
{
    struct wire_request *request = wire_slot_request(slot);

    request->version = (uint8_t)protocol;
    request->server_port = server_port;
    request->flags |= (is_https ? WIRE_REQUEST_HTTPS : 0) | (is_truncated ? WIRE_REQUEST_TRUNCATED : 0);
}

/* "name: value" with the name in lower case, if the user asked for this header; the last `leave` bytes are not used. */
__attribute__((cold, noinline)) static void capture(struct wire_request *request, enum wire_text id,
                                                    const struct glob_list *list, struct slice name, struct slice value,
                                                    size_t leave)
{
    if (!glob_list_matches(list, name, GLOB_ANY_CASE) ||
        !redact_header_allowed(name.bytes, name.length, config.client_ip_mode))
        return;

    size_t room;
    uint8_t *to = span_text_reserve(request, name.length + 2 + HEADER_MAX_LENGTH + leave, &room);

    room = to && room > leave ? room - leave : 0;
    if (room < name.length + 2) {
        request->flags |= WIRE_REQUEST_TRUNCATED;
        return;
    }
    bool truncated = false;
    for (size_t i = 0; i < name.length; i++)
        to[i] = (uint8_t)slice_lower(name.bytes[i]);
    memcpy(to + name.length, ": ", 2);
    size_t length = name.length + 2;
    length += redact_header_value(value.bytes, value.length, (char *)to + length, room - length, &truncated);
    if (truncated)
        request->flags |= WIRE_REQUEST_TRUNCATED;
    span_text_commit(request, id, length);
}

/* The value of the header that names the user; the first one counts. */
__attribute__((cold, noinline)) static void take_user(struct wire_request *request, struct span_head *head,
                                                      struct slice name, struct slice value)
{
    bool truncated = false;
    size_t room;

    if (head->has_user || request->kind != WIRE_KIND_SERVER || !slice_is_same(name, config.user_header))
        return;
    uint8_t *to = value.length > 0 ? span_text_reserve(request, USER_MAX_LENGTH, &room) : NULL;
    if (!to)
        return;
    head->has_user = true;
    span_text_commit(request, WIRE_TEXT_USER,
                     redact_header_value(value.bytes, value.length, (char *)to, room, &truncated));
    if (truncated)
        request->flags |= WIRE_REQUEST_TRUNCATED;
}

/* Those that span_request_field() looks for: host, user-agent, forwarded, x-forwarded-*, traceparent, tracestate, b3,
 * x-b3-*, x-amzn-trace-id, baggage. */
uint32_t span_unused_request_letters(void)
{
    const uint32_t used =
        1u << ('h' & 31) | 1u << ('u' & 31) | 1u << ('f' & 31) | 1u << ('x' & 31) | 1u << ('t' & 31) | 1u << ('b' & 31);

    const uint32_t user = config.user_header.length > 0 ? 1u << (slice_lower(config.user_header.bytes[0]) & 31) : 0;

    return config.captured_request_headers.count > 0 ? 0 : ~(used | user);
}

uint32_t span_unused_response_letters(void)
{
    return config.captured_response_headers.count > 0 ? 0 : UINT32_MAX;
}

void span_request_field(struct wire_slot *slot, struct span_head *head, struct slice name, struct slice value)
{
    struct wire_request *request = wire_slot_request(slot);
    struct slice host;
    uint16_t port;

    if (name.length == 0) /* what continues a trace header is part of it */
        return;
    head->was_context = false;
    switch (slice_lower(name.bytes[0])) {
    case 'h':
        if (!slice_is_literal(name, "host") || !target_split_authority(value.bytes, value.length, &host, &port))
            break;
        take_host(request, head, host, port);
        if (config.xray_mode != XRAY_OFF)
            span_xray_field(request, name, value);
        break;
    case 'u':
        if (!head->has_user_agent && slice_is_literal(name, "user-agent")) {
            head->has_user_agent = value.length > 0;
            print(head, ECHO_USER_AGENT, value, 0);
            span_text_add(request, WIRE_TEXT_USER_AGENT, value, USER_AGENT_MAX_LENGTH);
            if (config.ignored_user_agents.count > 0 && request->kind == WIRE_KIND_SERVER)
                head->is_ignored |= is_ignored_user_agent(value);
        }
        break;
    case 'f':
    case 'x':
        if (request->kind == WIRE_KIND_SERVER &&
            forwarded_field(&head->forwarded, name.bytes, name.length, value.bytes, value.length)) {
            if (config.xray_mode != XRAY_OFF)
                span_xray_field(request, name, value);
            break;
        }
        __attribute__((fallthrough));
    case 't':
    case 'b':
        head->was_context = propagation_field(&head->propagation, name.bytes, name.length, value.bytes, value.length);
        break;
    default:
        break;
    }
    if (config.captured_request_headers.count > 0)
        capture(request, WIRE_TEXT_REQUEST_HEADER, &config.captured_request_headers, name, value, CAPTURE_LEAVES);
    if (config.user_header.length > 0)
        take_user(request, head, name, value);
}

void span_response_field(struct wire_slot *slot, struct slice name, struct slice value)
{
    if (name.length > 0 && config.captured_response_headers.count > 0)
        capture(wire_slot_request(slot), WIRE_TEXT_RESPONSE_HEADER, &config.captured_response_headers, name, value, 0);
}

/* Whose request a proxy passes on. */
static void set_client(struct wire_request *request, const char *address, size_t length, uint16_t port)
{
    size_t room;
    uint8_t *to = span_text_reserve(request, FORWARDED_CLIENT_SIZE, &room);

    length = to ? redact_client_ip(address, length, config.client_ip_mode, (char *)to, room) : 0;
    if (length == 0)
        return;
    span_text_commit(request, WIRE_TEXT_CLIENT_ADDRESS, length);
    request->client_port = port;
}

/* As the connection's first bytes told it, by the PROXY protocol. */
__attribute__((cold)) static void set_proxied(struct wire_request *request, const struct wire_address *client)
{
    char text[IP_TEXT_SIZE];
    struct ip ip = {.length = client->family == WIRE_FAMILY_INET ? 4 : 16};

    memcpy(ip.bytes, client->ip, sizeof(ip.bytes));
    set_client(request, text, ip_format(&ip, text), client->port);
}

/* What proxies say of the request as the first of them saw it. The agent takes the first text of an id, so a forwarded
 * host replaces the id of the one already there. */
static void set_forwarded(struct wire_request *request, struct span_head *head)
{
    const struct forwarded *forwarded = &head->forwarded;

    if (forwarded->scheme == FORWARDED_HTTPS)
        request->flags |= WIRE_REQUEST_HTTPS;
    if (forwarded->scheme == FORWARDED_HTTP)
        request->flags &= (uint16_t)~WIRE_REQUEST_HTTPS;
    if (forwarded->host_length > 0) {
        span_text_void(request, WIRE_TEXT_SERVER_ADDRESS);
        head->has_host = false;
        request->server_port = 0;
        set_host(request, head, (struct slice){forwarded->host, forwarded->host_length}, forwarded->host_port);
    }
    if (forwarded->client_length > 0)
        set_client(request, forwarded->client, forwarded->client_length, forwarded->client_port);
    else if (head->client->family != WIRE_FAMILY_NONE)
        set_proxied(request, head->client);
}

static void set_server_port(struct wire_request *request, const struct span_head *head)
{
    if (head->has_host && head->host_port)
        request->server_port = head->host_port;
    else if (head->has_host && request->server_port == 0)
        request->server_port = request->flags & WIRE_REQUEST_HTTPS ? 443 : 80;
}

void span_names_settle(struct wire_request *request, struct span_head *head)
{
    if (request->kind == WIRE_KIND_SERVER)
        set_forwarded(request, head);
    set_server_port(request, head);
}
