/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/target.h"

#include <string.h>

#include "preload/byte_class.h"
#include "preload/ip.h"
#include "preload/scan.h"

static struct slice slice_until(struct slice text, const char *end)
{
    return (struct slice){text.bytes, (size_t)(end - text.bytes)};
}

static struct slice slice_from(struct slice text, const char *start)
{
    return (struct slice){start, text.length - (size_t)(start - text.bytes)};
}

/* Digits; none at all is "not given" (RFC 3986 3.2.3). */
static bool read_port(struct slice digits, uint16_t *ret_port)
{
    uint64_t port = 0;
    if (digits.length > 19) /* as many as the number holds */
        return false;
    for (size_t i = 0; i < digits.length; i++) {
        unsigned digit = (unsigned)(uint8_t)digits.bytes[i] - '0';
        if (digit > 9)
            return false;
        port = port * 10 + digit;
    }
    *ret_port = (uint16_t)port;
    return port <= UINT16_MAX;
}

/* The length of the host at the front. */
static size_t host_length(struct slice text)
{
    size_t i = 0;
    while (i < text.length && byte_is(text.bytes[i], BYTE_OF_HOST))
        i++;
    return i;
}

/* "[v6]" or "[v6]:port". A zone is dropped: it names an interface of another machine. */
static bool split_bracketed(struct slice text, struct slice *ret_host, struct slice *ret_port)
{
    const char *close = memchr(text.bytes, ']', text.length);
    struct ip ip;
    if (!close)
        return false;
    struct slice host = {text.bytes + 1, (size_t)(close - text.bytes) - 1};
    const char *zone = memchr(host.bytes, '%', host.length);
    if (zone)
        host = slice_until(host, zone);
    if (!ip_parse(host.bytes, host.length, &ip) || ip.length != 16)
        return false;

    struct slice rest = slice_from(text, close + 1);
    if (rest.length > 0 && rest.bytes[0] != ':')
        return false;
    *ret_host = host;
    *ret_port = rest.length > 0 ? slice_from(rest, rest.bytes + 1) : rest;
    return true;
}

static bool split_host_port(struct slice text, struct slice *ret_host, struct slice *ret_port)
{
    if (text.length > 0 && text.bytes[0] == '[')
        return split_bracketed(text, ret_host, ret_port);
    size_t host = host_length(text);
    if (host == 0 || (host < text.length && text.bytes[host] != ':'))
        return false;
    *ret_host = (struct slice){text.bytes, host};
    *ret_port = slice_from(text, text.bytes + host + (host < text.length));
    return true;
}

static bool split_whole(struct slice text, struct slice *ret_host, uint16_t *ret_port)
{
    struct slice digits;
    return split_host_port(text, ret_host, &digits) && read_port(digits, ret_port);
}

bool target_split_authority(const char *authority, size_t len, struct slice *ret_host, uint16_t *ret_port)
{
    struct slice text = {authority, len}, host;
    uint16_t port = 0;
    bool is_bracketed = len > 0 && authority[0] == '[';
    /* Neither a name nor a port has an '@' in it: user and password need only be looked for in something else. */
    if (is_bracketed || !split_whole(text, &host, &port)) {
        const char *at = memrchr(authority, '@', len);
        if (!at && !is_bracketed)
            return false;
        if (at)
            text = slice_from(text, at + 1);
        if (!split_whole(text, &host, &port))
            return false;
    }
    *ret_host = host;
    *ret_port = port;
    return true;
}

static void split_path(struct slice text, struct target *target)
{
    const char *end = text.bytes + text.length;
    const char *stop = scan_path(text.bytes, end);
    if (stop == end) {
        target->path = text;
        target->query = (struct slice){end, 0};
        return;
    }
    const char *mark = memchr(stop, '?', (size_t)(end - stop));
    target->path = mark ? slice_until(text, mark) : text;
    target->has_query = mark != NULL;
    target->query = mark ? slice_from(text, mark + 1) : (struct slice){end, 0};
    /* What follows '#' is the browser's own and is no part of the resource, with or without a query. */
    const char *fragment = memchr(target->path.bytes, '#', target->path.length);
    if (fragment)
        target->path = slice_until(target->path, fragment);
}

/* ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) "://" (RFC 3986 3.1). Returns the scheme's length, 0 for none. */
static size_t scheme_length(struct slice text)
{
    size_t i = 0;
    while (i < text.length && byte_is(text.bytes[i], BYTE_OF_SCHEME))
        i++;
    if (i == 0 || slice_lower(text.bytes[0]) < 'a')
        return 0;
    return text.length - i >= 3 && memcmp(text.bytes + i, "://", 3) == 0 ? i : 0;
}

static bool split_absolute(struct slice text, struct target *target)
{
    size_t scheme = scheme_length(text);
    if (scheme == 0)
        return false;
    struct slice rest = slice_from(text, text.bytes + scheme + 3);
    size_t authority = (size_t)(scan_authority(rest.bytes, rest.bytes + rest.length) - rest.bytes);

    target->form = TARGET_ABSOLUTE;
    target->scheme = (struct slice){text.bytes, scheme};
    if (!target_split_authority(rest.bytes, authority, &target->host, &target->port))
        return false;
    target->has_user = memchr(rest.bytes, '@', authority) != NULL;
    split_path(slice_from(rest, rest.bytes + authority), target);
    if (target->path.length == 0)
        target->path = (struct slice){"/", 1};
    return true;
}

bool target_split(const char *target, size_t len, bool is_connect, struct target *ret_target)
{
    struct slice text = {target, len};
    struct target split = {.form = TARGET_ORIGIN};
    bool fits = true;

    if (len == 0)
        return false;
    if (is_connect) {
        split.form = TARGET_AUTHORITY;
        fits = target_split_authority(target, len, &split.host, &split.port);
    } else if (text.bytes[0] == '/') {
        split_path(text, &split);
    } else if (len == 1 && text.bytes[0] == '*') {
        split.form = TARGET_ASTERISK;
        split.path = text;
    } else {
        fits = split_absolute(text, &split);
    }
    if (fits)
        *ret_target = split;
    return fits;
}
