/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/forwarded.h"

#include <string.h>

#include "preload/ip.h"
#include "preload/slice.h"
#include "preload/target.h"

/* forwarded.seen */
enum { SEEN_FORWARDED = 1, SEEN_FOR = 2, SEEN_HOST = 4, SEEN_PROTO = 8 };

/* forwarded.from_forwarded */
enum { CLIENT = 1, HOST = 2, SCHEME = 4 };

/* Digits; an obfuscated port ("_x") or a number out of range is no port. */
static uint16_t read_port(struct slice text)
{
    unsigned port = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.bytes[i] < '0' || text.bytes[i] > '9')
            return 0;
        port = port * 10 + (unsigned)(text.bytes[i] - '0');
        if (port > UINT16_MAX)
            return 0;
    }
    return (uint16_t)port;
}

/* RFC 7239 6.3: "_" 1*(ALPHA / DIGIT / "." / "_" / "-") */
static bool is_obfuscated(struct slice text)
{
    if (text.length < 2 || text.bytes[0] != '_')
        return false;
    for (size_t i = 1; i < text.length; i++) {
        char c = slice_lower(text.bytes[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

/* Split a node (RFC 7239 6): IPv4, [IPv6] or an obfuscated name, each perhaps with a port; also IPv6 without brackets,
 * as X-Forwarded-For has it. False for "unknown" and anything else. */
__attribute__((always_inline)) static inline bool split_node(struct slice node, struct slice *ret_host,
                                                             struct slice *ret_port)
{
    struct ip ip;
    *ret_port = (struct slice){node.bytes, 0};
    *ret_host = node;
    if (ip_parse(node.bytes, node.length, &ip))
        return true;

    bool is_bracketed = node.length > 0 && node.bytes[0] == '[';
    const char *end = memchr(node.bytes, is_bracketed ? ']' : ':', node.length);
    if (is_bracketed) {
        if (!end)
            return false;
        *ret_host = (struct slice){node.bytes + 1, (size_t)(end - node.bytes) - 1};
        end++;
    } else {
        end = end ? end : node.bytes + node.length;
        ret_host->length = (size_t)(end - node.bytes);
    }
    struct slice rest = {end, node.length - (size_t)(end - node.bytes)};
    if (rest.length > 0) {
        if (rest.bytes[0] != ':')
            return false;
        *ret_port = (struct slice){rest.bytes + 1, rest.length - 1};
    }
    if (ip_parse(ret_host->bytes, ret_host->length, &ip))
        return is_bracketed == (ip.length == 16);
    return !is_bracketed && is_obfuscated(*ret_host);
}

/* Each takes a value and says whether it was of use. */

static bool take_client(struct forwarded *forwarded, struct slice node)
{
    struct slice host, port;
    if (!split_node(node, &host, &port) || host.length > sizeof(forwarded->client))
        return false;
    memcpy(forwarded->client, host.bytes, host.length);
    forwarded->client_length = (uint8_t)host.length;
    forwarded->client_port = read_port(port);
    return true;
}

static bool take_host(struct forwarded *forwarded, struct slice authority)
{
    struct slice host;
    uint16_t port;
    if (!target_split_authority(authority.bytes, authority.length, &host, &port) ||
        host.length > sizeof(forwarded->host))
        return false;
    memcpy(forwarded->host, host.bytes, host.length);
    forwarded->host_length = (uint16_t)host.length;
    forwarded->host_port = port;
    return true;
}

static bool take_scheme(struct forwarded *forwarded, struct slice scheme)
{
    if (slice_is(scheme, "https"))
        forwarded->scheme = FORWARDED_HTTPS;
    else if (slice_is(scheme, "http"))
        forwarded->scheme = FORWARDED_HTTP;
    else
        return false;
    return true;
}

/* Take a value off the front: up to ';' or ',', or a quoted string. An escape is left in: no address or name needs one,
 * and with it the value is of no use. */
static struct slice next_value(struct slice *rest)
{
    struct slice value = {rest->bytes, 0};
    bool is_quoted = rest->length > 0 && rest->bytes[0] == '"';
    size_t at = is_quoted;
    if (is_quoted) {
        while (at < rest->length && rest->bytes[at] != '"')
            at += rest->bytes[at] == '\\' ? 2 : 1;
        at = at < rest->length ? at : rest->length;
        value = (struct slice){rest->bytes + 1, at - 1};
    }
    while (at < rest->length && rest->bytes[at] != ';' && rest->bytes[at] != ',')
        at++;
    if (!is_quoted)
        value.length = at;
    *rest = (struct slice){rest->bytes + at, rest->length - at};
    return slice_trim(value);
}

/* The first element of a Forwarded list (RFC 7239 4): pairs up to a comma. */
static void read_forwarded(struct forwarded *forwarded, struct slice rest)
{
    while (rest.length > 0) {
        const char *equals = memchr(rest.bytes, '=', rest.length);
        if (!equals)
            return;
        struct slice name = slice_trim((struct slice){rest.bytes, (size_t)(equals - rest.bytes)});
        rest = (struct slice){equals + 1, rest.length - (size_t)(equals + 1 - rest.bytes)};
        struct slice value = next_value(&rest);
        if (slice_is(name, "for") && take_client(forwarded, value))
            forwarded->from_forwarded |= CLIENT;
        else if (slice_is(name, "host") && take_host(forwarded, value))
            forwarded->from_forwarded |= HOST;
        else if (slice_is(name, "proto") && take_scheme(forwarded, value))
            forwarded->from_forwarded |= SCHEME;
        if (rest.length == 0 || rest.bytes[0] == ',')
            return;
        rest = (struct slice){rest.bytes + 1, rest.length - 1};
    }
}

static void read_field(struct forwarded *forwarded, uint8_t field, struct slice value)
{
    struct slice list = value, first = value;
    (void)slice_next(&list, ',', &first);
    first = slice_trim(first);
    if (field == SEEN_FORWARDED)
        read_forwarded(forwarded, value);
    else if (field == SEEN_FOR && !(forwarded->from_forwarded & CLIENT))
        (void)take_client(forwarded, first);
    else if (field == SEEN_HOST && !(forwarded->from_forwarded & HOST))
        (void)take_host(forwarded, first);
    else if (field == SEEN_PROTO && !(forwarded->from_forwarded & SCHEME))
        (void)take_scheme(forwarded, first);
}

static uint8_t which_field(struct slice name)
{
    if (slice_is_literal(name, "forwarded"))
        return SEEN_FORWARDED;
    if (slice_is_literal(name, "x-forwarded-for"))
        return SEEN_FOR;
    if (slice_is_literal(name, "x-forwarded-host"))
        return SEEN_HOST;
    if (slice_is_literal(name, "x-forwarded-proto"))
        return SEEN_PROTO;
    return 0;
}

bool forwarded_field(struct forwarded *forwarded, const char *name, size_t name_len, const char *value,
                     size_t value_len)
{
    uint8_t field = which_field((struct slice){name, name_len});
    if (field == 0)
        return false;
    if (!(forwarded->seen & field)) {
        forwarded->seen |= field;
        read_field(forwarded, field, (struct slice){value, value_len});
    }
    return true;
}

/* One address of a list; returns its length, 0: it is left out. */
static size_t copy_node(struct slice node, enum redact_ip_mode mode, char *out, size_t room, bool *ret_truncated)
{
    struct slice host = node, port;
    char address[FORWARDED_CLIENT_SIZE];

    if (mode != REDACT_IP_FULL) {
        if (!split_node(node, &host, &port))
            return 0;
        host.length = redact_client_ip(host.bytes, host.length, mode, address, sizeof(address));
        host.bytes = address;
    }
    if (host.length > room) {
        *ret_truncated = true;
        return 0;
    }
    memcpy(out, host.bytes, host.length);
    return host.length;
}

size_t forwarded_copy_for(struct slice list, enum redact_ip_mode mode, char *out, size_t room, bool *ret_truncated)
{
    static const char separator[] = {',', ' '};
    struct slice node;
    size_t length = 0;

    *ret_truncated = false;
    while (slice_next(&list, ',', &node) && !*ret_truncated) {
        size_t at = length > 0 ? length + sizeof(separator) : 0;
        size_t added = at < room ? copy_node(slice_trim(node), mode, out + at, room - at, ret_truncated) : 0;

        *ret_truncated |= at >= room;
        if (added > 0 && at > 0)
            memcpy(out + length, separator, sizeof(separator));
        if (added > 0)
            length = at + added;
    }
    return length;
}
