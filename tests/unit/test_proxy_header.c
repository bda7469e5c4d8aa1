/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define INET      "\xcb\0\x71\7\xc0\0\2\1\xdc\4\1\xbb"
#define INET6                                                                                                          \
    "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\7"                                                                            \
    "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"                                                                            \
    "\xdc\4\1\xbb"
#define ZEROS_36  "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define ZEROS_216 ZEROS_36 ZEROS_36 ZEROS_36 ZEROS_36 ZEROS_36 ZEROS_36

/* What each header tells; none: it is none. */
static const struct {
    const char *name;
    const char *bytes;
    size_t length;
    const char *client;
} rows[] = {
#define ROW(name, bytes, client)                                                                                       \
    {                                                                                                                  \
        name, bytes, sizeof(bytes) - 1, client                                                                         \
    }
    ROW("v1 TCP4", "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n", "203.0.113.7:56324"),
    ROW("v1 TCP6", "PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n",
        "[2001:0db8:0000:0000:0000:0000:0000:0007]:56324"),
    ROW("v1 port 0", "PROXY TCP4 203.0.113.7 192.0.2.1 0 0\r\n", "203.0.113.7:0"),
    ROW("v1 UNKNOWN", "PROXY UNKNOWN\r\n", "unchanged"),
    ROW("v1 UNKNOWN with addresses", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "unchanged"),
    ROW("v1 longest",
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        "unchanged"),
    ROW("v1 too long",
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535 "
        "\r\n",
        "none"),
    ROW("v1 bare LF", "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\n", "none"),
    ROW("v1 other family", "PROXY UDP4 203.0.113.7 192.0.2.1 56324 443\r\n", "none"),
    ROW("v1 wrong family", "PROXY TCP6 203.0.113.7 192.0.2.1 56324 443\r\n", "none"),
    ROW("v1 two blanks", "PROXY TCP4  203.0.113.7 192.0.2.1 56324 443\r\n", "none"),
    ROW("v1 port missing", "PROXY TCP4 203.0.113.7 192.0.2.1 56324\r\n", "none"),
    ROW("v1 port empty", "PROXY TCP4 203.0.113.7 192.0.2.1 56324 \r\n", "none"),
    ROW("v1 port too large", "PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n", "none"),
    ROW("v1 port with a zero", "PROXY TCP4 203.0.113.7 192.0.2.1 056 443\r\n", "none"),
    ROW("v1 a word more", "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443 1\r\n", "none"),
    ROW("v1 a request", "PROXY / HTTP/1.1\r\n", "none"),
    ROW("v1 nothing", "PROXY \r\n", "none"),
    ROW("v2 TCP4", SIGNATURE "\x21\x11\0\x0c" INET, "203.0.113.7:56324"),
    ROW("v2 UDP4", SIGNATURE "\x21\x12\0\x0c" INET, "203.0.113.7:56324"),
    ROW("v2 TCP6", SIGNATURE "\x21\x21\0\x24" INET6, "[2001:0db8:0000:0000:0000:0000:0000:0007]:56324"),
    ROW("v2 unix", SIGNATURE "\x21\x31\0\xd8" ZEROS_216, "unchanged"),
    ROW("v2 with values behind", SIGNATURE "\x21\x11\0\x13" INET "\4\0\4\0\0\0\0", "203.0.113.7:56324"),
    ROW("v2 LOCAL", SIGNATURE "\x20\0\0\0", "unchanged"),
    ROW("v2 LOCAL with an address", SIGNATURE "\x20\x11\0\x0c" INET, "unchanged"),
    ROW("v2 unspecified", SIGNATURE "\x21\0\0\0", "unchanged"),
    ROW("v2 unspecified transport", SIGNATURE "\x21\x10\0\0", "unchanged"),
    ROW("v2 unspecified with values",
        SIGNATURE "\x21\0\0\7"
                  "\4\0\4\0\0\0\0",
        "unchanged"),
    ROW("v2 version 3", SIGNATURE "\x31\x11\0\x0c" INET, "none"),
    ROW("v2 other command", SIGNATURE "\x22\x11\0\x0c" INET, "none"),
    ROW("v2 other family", SIGNATURE "\x21\x41\0\x0c" INET, "none"),
    ROW("v2 other transport", SIGNATURE "\x21\x13\0\x0c" INET, "none"),
    ROW("v2 too short", SIGNATURE "\x21\x11\0\x0b" INET, "none"),
    ROW("v2 unix too short", SIGNATURE "\x21\x31\0\x0c" INET, "none"),
    ROW("v2 signature broken off", "\r\n\r\n\0\r\nQUIX", "none"),
    ROW("blank lines", "\r\n\r\nG", "none"),
    ROW("another method", "PROPFIND", "none"),
    ROW("a byte of neither", "G", "none"),
};

/* What the address says, as the rows have it. */
static void describe(const struct wire_address *client, char out[64])
{
    const uint8_t *ip = client->ip;

    if (client->family == WIRE_FAMILY_NONE) {
        strcpy(out, "unchanged");
    } else if (client->family == WIRE_FAMILY_INET) {
        snprintf(out, 64, "%u.%u.%u.%u:%u", ip[0], ip[1], ip[2], ip[3], client->port);
    } else {
        size_t length = 0;
        for (size_t i = 0; i < 16; i += 2)
            length += (size_t)snprintf(out + length, 64 - length, "%c%02x%02x", i ? ':' : '[', ip[i], ip[i + 1]);
        snprintf(out + length, 64 - length, "]:%u", client->port);
    }
}

/* Feed a header and three bytes more, the header cut into pieces of `step` bytes after a first one of `first`; each
 * piece in a block of its own size, for a sanitizer to see. What was kept and what was left are all the bytes. */
static void run(size_t row, size_t first, size_t step)
{
    struct proxy_header header = {0};
    struct wire_address client = {0};
    enum proxy_result result = PROXY_NEED_MORE;
    size_t total = rows[row].length + 3, at = 0, used = 0;
    char *all = malloc(total), seen[64];

    memcpy(all, rows[row].bytes, rows[row].length);
    memcpy(all + rows[row].length, "GET", 3);
    while (at < total && result == PROXY_NEED_MORE) {
        size_t length = at == 0 && first > 0 ? first : step;
        length = length < total - at ? length : total - at;
        char *piece = malloc(length);
        memcpy(piece, all + at, length);
        used = proxy_header_feed(&header, piece, length, &result, &client);
        free(piece);
        assert_true(used <= length);
        at += result == PROXY_NEED_MORE ? length : used;
    }
    describe(&client, seen);
    if (strcmp(rows[row].client, result == PROXY_NONE ? "none" : seen) != 0)
        fail_msg("%s, cut at %zu and every %zu: %s", rows[row].name, first, step, seen);
    assert_int_equal(header.state, PROXY_OVER);
    if (result == PROXY_COMPLETE) {
        assert_int_equal(at, rows[row].length);
    } else {
        assert_int_equal(header.length, at);
        assert_memory_equal(header.bytes, all, at);
    }
    free(all);
}

static void test_proxy_header_is_read_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run(i, 0, rows[i].length + 3);
}

static void test_proxy_header_is_read_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t step = 1; step < 8; step++)
            run(i, 0, step);
}

static void test_proxy_header_is_read_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t first = 1; first < rows[i].length; first++)
            run(i, first, rows[i].length + 3);
}

/* Nothing is kept of what comes behind the addresses: up to 64 KiB. */
static void test_proxy_header_passes_over_a_long_rest(void **state)
{
    enum { REST = 65535 };
    struct proxy_header header = {0};
    struct wire_address client = {0};
    enum proxy_result result;
    static char rest[REST + 1 - 12];

    (void)state;
    assert_int_equal(proxy_header_feed(&header, SIGNATURE "\x21\x11\xff\xff" INET, 28, &result, &client), 28);
    assert_int_equal(result, PROXY_NEED_MORE);
    assert_int_equal(proxy_header_feed(&header, rest, 20000, &result, &client), 20000);
    assert_int_equal(result, PROXY_NEED_MORE);
    assert_int_equal(proxy_header_feed(&header, rest, sizeof(rest), &result, &client), REST - 12 - 20000);
    assert_int_equal(result, PROXY_COMPLETE);
    assert_int_equal(client.port, 56324);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxy_header_is_read_whole),
        cmocka_unit_test(test_proxy_header_is_read_byte_by_byte),
        cmocka_unit_test(test_proxy_header_is_read_cut_anywhere),
        cmocka_unit_test(test_proxy_header_passes_over_a_long_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
