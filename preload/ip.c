/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/ip.h"

#include <string.h>

#include "preload/slice.h"

enum { GROUPS = 8 };

/* The octet that the text begins with; returns its length, 0 for none. */
static size_t parse_octet(const char *text, size_t length, uint8_t *ret_octet)
{
    unsigned value = 0;
    size_t i = 0;
    for (; i < length && i < 3; i++) {
        unsigned digit = (unsigned)(uint8_t)text[i] - '0';
        if (digit > 9)
            break;
        value = value * 10 + digit;
    }
    *ret_octet = (uint8_t)value;
    if (value > UINT8_MAX || (i > 1 && text[0] == '0'))
        return 0; /* a leading zero is octal to some */
    return i;
}

static bool parse_v4(struct slice text, uint8_t ret_bytes[4])
{
    const char *at = text.bytes, *end = at + text.length;
    for (size_t i = 0; i < 4; i++) {
        if (i > 0 && (at == end || *at++ != '.'))
            return false;
        size_t length = parse_octet(at, (size_t)(end - at), &ret_bytes[i]);
        if (length == 0)
            return false;
        at += length;
    }
    return at == end;
}

static bool parse_group(struct slice text, uint16_t *ret_group)
{
    unsigned value = 0;
    if (text.length == 0 || text.length > 4)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        char c = slice_lower(text.bytes[i]);
        if (c >= '0' && c <= '9')
            value = value << 4 | (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (unsigned)(c - 'a' + 10);
        else
            return false;
    }
    *ret_group = (uint16_t)value;
    return true;
}

/* Groups between colons, the last one perhaps in IPv4 notation. Returns how many, 0 for none, -1 for "not one". */
static int parse_groups(struct slice text, bool may_end_in_v4, uint16_t ret_groups[GROUPS])
{
    struct slice piece;
    int count = 0;
    if (text.length == 0)
        return 0;
    while (slice_next(&text, ':', &piece)) {
        uint8_t v4[4];
        if (count == GROUPS)
            return -1;
        if (!text.bytes && may_end_in_v4 && count <= GROUPS - 2 && parse_v4(piece, v4)) {
            ret_groups[count++] = (uint16_t)(v4[0] << 8 | v4[1]);
            ret_groups[count++] = (uint16_t)(v4[2] << 8 | v4[3]);
        } else if (!parse_group(piece, &ret_groups[count++])) {
            return -1;
        }
    }
    return count;
}

static bool parse_v6(struct slice text, uint8_t ret_bytes[16])
{
    uint16_t groups[GROUPS] = {0}, behind[GROUPS] = {0};
    const char *gap = memmem(text.bytes, text.length, "::", 2);
    struct slice before = {text.bytes, gap ? (size_t)(gap - text.bytes) : text.length};
    int front = parse_groups(before, !gap, groups);
    if (front < 0 || (!gap && front != GROUPS))
        return false;
    if (gap) {
        struct slice after = {gap + 2, text.length - before.length - 2};
        int back = parse_groups(after, true, behind);
        if (back < 0 || front + back >= GROUPS)
            return false;
        memcpy(groups + GROUPS - back, behind, (size_t)back * sizeof(groups[0]));
    }
    for (size_t i = 0; i < GROUPS; i++) {
        ret_bytes[2 * i] = (uint8_t)(groups[i] >> 8);
        ret_bytes[2 * i + 1] = (uint8_t)groups[i];
    }
    return true;
}

bool ip_parse(const char *text, size_t len, struct ip *ret_ip)
{
    struct slice slice = {text, len};
    struct ip ip = {0};
    if (parse_v4(slice, ip.bytes))
        ip.length = 4;
    else if (memchr(text, ':', len) && parse_v6(slice, ip.bytes))
        ip.length = 16;
    else
        return false;
    *ret_ip = ip;
    return true;
}

bool ip_is_mapped(const uint8_t bytes[16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(bytes, prefix, sizeof(prefix)) == 0;
}

static char *format_v4(char *out, const uint8_t bytes[4])
{
    for (size_t i = 0; i < 4; i++) {
        if (i > 0)
            *out++ = '.';
        if (bytes[i] >= 100)
            *out++ = (char)('0' + bytes[i] / 100);
        if (bytes[i] >= 10)
            *out++ = (char)('0' + bytes[i] / 10 % 10);
        *out++ = (char)('0' + bytes[i] % 10);
    }
    return out;
}

static char *format_group(char *out, unsigned group)
{
    bool begun = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        unsigned digit = group >> shift & 15;
        begun = begun || digit != 0 || shift == 0;
        if (begun)
            *out++ = "0123456789abcdef"[digit];
    }
    return out;
}

/* The longest run of two or more zero groups, the first of equals (RFC 5952 4.2). Returns its length. */
static int find_gap(const uint8_t bytes[16], int *ret_start)
{
    int best = 1, length = 0;
    for (int i = 0; i < GROUPS; i++) {
        length = bytes[2 * i] == 0 && bytes[2 * i + 1] == 0 ? length + 1 : 0;
        if (length > best) {
            best = length;
            *ret_start = i + 1 - length;
        }
    }
    return best > 1 ? best : 0;
}

static char *format_v6(char *out, const uint8_t bytes[16])
{
    int gap_start = GROUPS, gap = find_gap(bytes, &gap_start);
    for (int i = 0; i < GROUPS; i++) {
        if (i == gap_start) {
            *out++ = ':';
            *out++ = ':';
            i += gap - 1;
            continue;
        }
        if (i > 0 && i != gap_start + gap)
            *out++ = ':';
        out = format_group(out, (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1]);
    }
    return out;
}

size_t ip_format(const struct ip *ip, char out[IP_TEXT_SIZE])
{
    if (ip->length == 4)
        return (size_t)(format_v4(out, ip->bytes) - out);
    if (!ip_is_mapped(ip->bytes))
        return (size_t)(format_v6(out, ip->bytes) - out);
    memcpy(out, "::ffff:", 7);
    return (size_t)(format_v4(out + 7, ip->bytes + 12) - out);
}
