/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/ip.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *text;
    const char *canonical; /* NULL: no address */
} rows[] = {
    {"0.0.0.0", "0.0.0.0"},
    {"192.0.2.254", "192.0.2.254"},
    {"255.255.255.255", "255.255.255.255"},
    {"256.0.0.1", NULL},
    {"1.2.3", NULL},
    {"1.2.3.4.", NULL},
    {"1.2.3.4.5", NULL},
    {"1..3.4", NULL},
    {"01.2.3.4", NULL},
    {"1.2.3.4 ", NULL},
    {"1.2.3.-4", NULL},
    {"::", "::"},
    {"::1", "::1"},
    {"1::", "1::"},
    {"2001:DB8::0001", "2001:db8::1"},
    {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
    {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
    {"0:0:1:0:0:0:1:0", "0:0:1::1:0"},
    {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
    {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
    {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
    {"::ffff:c000:201", "::ffff:192.0.2.1"},
    {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
    {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
    {"1:2:3:4:5:6:7", NULL},
    {"1:2:3:4:5:6:7:8:9", NULL},
    {"1:2:3:4:5:6:7:8::", NULL},
    {"1::2::3", NULL},
    {":1", NULL},
    {"1:", NULL},
    {":::", NULL},
    {"12345::", NULL},
    {"g::", NULL},
    {"1.2.3.4::", NULL},
    {"::1.2.3.4:1", NULL},
    {"1:2:3:4:5:6:7:1.2.3.4", NULL},
    {"fe80::1%eth0", NULL},
    {"[::1]", NULL},
    {"", NULL},
    {":", NULL},
    {"localhost", NULL},
};

static void test_ip_parses_and_formats(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct ip ip;
        char text[IP_TEXT_SIZE];
        bool is_ip = ip_parse(rows[i].text, strlen(rows[i].text), &ip);
        if (is_ip != (rows[i].canonical != NULL))
            fail_msg("%s: %d", rows[i].text, is_ip);
        if (!is_ip)
            continue;
        size_t len = ip_format(&ip, text);
        if (len != strlen(rows[i].canonical) || memcmp(text, rows[i].canonical, len) != 0)
            fail_msg("%s: expected %s, seen %.*s", rows[i].text, rows[i].canonical, (int)len, text);
    }
}

static void test_ip_agrees_with_the_c_library(void **state)
{
    (void)state;
    srandom(1);
    for (int i = 0; i < 20000; i++) {
        struct ip ip = {.length = 16}, again;
        char ours[IP_TEXT_SIZE], theirs[INET6_ADDRSTRLEN];
        for (size_t j = 0; j < 16; j++)
            ip.bytes[j] = random() % 3 ? 0 : (uint8_t)random();
        if (random() % 2)
            ip.bytes[0] = 0x20; /* glibc writes ::a.b.c.d, which RFC 5952 leaves to special prefixes */
        size_t len = ip_format(&ip, ours);
        assert_true(ip_parse(ours, len, &again));
        assert_memory_equal(&ip, &again, sizeof(ip));
        if (ip.bytes[0] == 0)
            continue;
        assert_non_null(inet_ntop(AF_INET6, ip.bytes, theirs, sizeof(theirs)));
        assert_int_equal(strlen(theirs), len);
        assert_memory_equal(ours, theirs, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip_parses_and_formats),
        cmocka_unit_test(test_ip_agrees_with_the_c_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
