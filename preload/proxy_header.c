/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/proxy_header.h"

#include <stdbool.h>
#include <string.h>

#include "preload/ip.h"
#include "preload/slice.h"

static const char line_start[6] = "PROXY ";
static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

enum {
    FIXED_LENGTH = 16, /* of version 2: signature, version and command, family and transport, length of the rest */
    LOCAL = 0x20,      /* version 2, the proxy's own connection */
    PROXIED = 0x21,    /* version 2, a client's */
    INET = 1,
    INET6 = 2,
    UNIX = 3,
    DGRAM = 2, /* the last of the transports */
};

/* version 1 */

/* Without leading zeros (section 2.1). */
static bool read_port(struct slice text, uint16_t *ret_port)
{
    unsigned port = 0;
    if (text.length == 0 || (text.length > 1 && text.bytes[0] == '0'))
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.bytes[i] < '0' || text.bytes[i] > '9')
            return false;
        port = port * 10 + (unsigned)(text.bytes[i] - '0');
        if (port > UINT16_MAX)
            return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

static bool read_address(struct slice text, uint8_t length, struct ip *ret_ip)
{
    return ip_parse(text.bytes, text.length, ret_ip) && ret_ip->length == length;
}

/* What follows "PROXY ", without the line's end: "TCP4 source destination port port", or UNKNOWN and anything. */
static bool read_line(struct slice line, struct wire_address *ret_client)
{
    struct slice words[5];
    size_t count = 0;
    while (count < 5 && slice_next(&line, ' ', &words[count]))
        count++;
    if (slice_equals(words[0], "UNKNOWN", 7))
        return true;

    bool is_inet = slice_equals(words[0], "TCP4", 4);
    uint8_t length = is_inet ? 4 : 16;
    struct ip source, destination;
    uint16_t source_port, destination_port;
    if ((!is_inet && !slice_equals(words[0], "TCP6", 4)) || count < 5 || line.bytes ||
        !read_address(words[1], length, &source) || !read_address(words[2], length, &destination) ||
        !read_port(words[3], &source_port) || !read_port(words[4], &destination_port))
        return false;
    *ret_client = (struct wire_address){.family = is_inet ? WIRE_FAMILY_INET : WIRE_FAMILY_INET6, .port = source_port};
    memcpy(ret_client->ip, source.bytes, length);
    return true;
}

__attribute__((noinline)) static enum proxy_result look_at_line(struct proxy_header *header,
                                                                struct wire_address *ret_client)
{
    size_t length = header->length, start = sizeof(line_start);
    if (header->bytes[length - 1] != '\n')
        return length < PROXY_HEADER_KEPT ? PROXY_NEED_MORE : PROXY_NONE;
    if (length < start + 2 || header->bytes[length - 2] != '\r')
        return PROXY_NONE;
    struct slice line = {header->bytes + start, length - start - 2};
    return read_line(line, ret_client) ? PROXY_COMPLETE : PROXY_NONE;
}

/* version 2 */

static unsigned byte_at(const struct proxy_header *header, size_t at)
{
    return (uint8_t)header->bytes[at];
}

/* Bytes of both addresses and ports; 0 for those that aren't used. */
static size_t addresses_length(unsigned family)
{
    static const uint8_t lengths[] = {[INET] = 12, [INET6] = 36, [UNIX] = 216};
    return lengths[family];
}

/* The fixed part has come: is it a header, and how long is the rest? */
static bool read_fixed(struct proxy_header *header)
{
    unsigned command = byte_at(header, 12), family = byte_at(header, 13) >> 4, transport = byte_at(header, 13) & 15;

    header->remaining = (uint16_t)(byte_at(header, 14) << 8 | byte_at(header, 15));
    if (command == LOCAL)
        return true;
    return command == PROXIED && family <= UNIX && transport <= DGRAM &&
           header->remaining >= (transport ? addresses_length(family) : 0);
}

/* How much of the rest is looked at. */
static size_t wanted_length(const struct proxy_header *header)
{
    unsigned family = byte_at(header, 13) >> 4, transport = byte_at(header, 13) & 15;
    bool is_known = byte_at(header, 12) == PROXIED && (family == INET || family == INET6) && transport;
    return is_known ? addresses_length(family) : 0;
}

static void read_addresses(const struct proxy_header *header, struct wire_address *ret_client)
{
    bool is_inet = byte_at(header, 13) >> 4 == INET;
    size_t length = is_inet ? 4 : 16, port = FIXED_LENGTH + 2 * length;

    *ret_client = (struct wire_address){.family = is_inet ? WIRE_FAMILY_INET : WIRE_FAMILY_INET6};
    memcpy(ret_client->ip, header->bytes + FIXED_LENGTH, length);
    ret_client->port = (uint16_t)(byte_at(header, port) << 8 | byte_at(header, port + 1));
}

static enum proxy_result look_at_binary(struct proxy_header *header, struct wire_address *ret_client)
{
    if (header->length < FIXED_LENGTH)
        return PROXY_NEED_MORE;
    if (header->length == FIXED_LENGTH && !read_fixed(header))
        return PROXY_NONE;

    size_t wanted = wanted_length(header);
    if (header->length < FIXED_LENGTH + wanted)
        return PROXY_NEED_MORE;
    if (wanted > 0)
        read_addresses(header, ret_client);
    header->remaining = (uint16_t)(header->remaining - wanted);
    header->state = PROXY_IN_REST;
    return header->remaining > 0 ? PROXY_NEED_MORE : PROXY_COMPLETE;
}

/* both */

static bool may_be(const struct proxy_header *header, const char *start, size_t length)
{
    return memcmp(header->bytes, start, header->length < length ? header->length : length) == 0;
}

/* One more byte has come. */
static enum proxy_result look(struct proxy_header *header, struct wire_address *ret_client)
{
    if (may_be(header, line_start, sizeof(line_start)))
        return look_at_line(header, ret_client);
    return may_be(header, signature, sizeof(signature)) ? look_at_binary(header, ret_client) : PROXY_NONE;
}

static size_t skip_rest(struct proxy_header *header, size_t len, enum proxy_result *ret_result)
{
    size_t used = len < header->remaining ? len : header->remaining;
    header->remaining = (uint16_t)(header->remaining - used);
    *ret_result = header->remaining > 0 ? PROXY_NEED_MORE : PROXY_COMPLETE;
    return used;
}

size_t proxy_header_feed(struct proxy_header *header, const char *bytes, size_t len, enum proxy_result *ret_result,
                         struct wire_address *ret_client)
{
    uint8_t kept = header->length;
    size_t at = 0;

    *ret_result = PROXY_NEED_MORE;
    while (at < len && header->state == PROXY_IN_HEADER && *ret_result == PROXY_NEED_MORE) {
        header->bytes[header->length++] = bytes[at++];
        *ret_result = look(header, ret_client);
    }
    if (header->state == PROXY_IN_REST && *ret_result == PROXY_NEED_MORE)
        at += skip_rest(header, len - at, ret_result);
    if (*ret_result == PROXY_NONE) { /* what came with this call is still the caller's */
        header->length = kept;
        at = 0;
    }
    if (*ret_result != PROXY_NEED_MORE)
        header->state = PROXY_OVER;
    return at;
}
