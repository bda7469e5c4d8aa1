/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of AWS_XRAY_DAEMON_ADDRESS, and what is said of those that are none. */
#include "exporters/xray_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* "udp-host|udp-port tcp-host|tcp-port" */
static const char *meaning(const char *text)
{
    static char shown[600];
    struct xray_address address;
    char problem[XRAY_ADDRESS_PROBLEM_SIZE];

    if (xray_address_parse(text, &address, problem) < 0)
        fail_msg("%s", problem);
    (void)snprintf(shown, sizeof(shown), "%s|%u %s|%u", address.udp_host, address.udp_port, address.tcp_host,
                   address.tcp_port);
    return shown;
}

static void test_xray_address_has_many_forms(void **state)
{
    static const struct {
        const char *text, *means;
    } cases[] = {
        {NULL, "127.0.0.1|2000 127.0.0.1|2000"},
        {"xray-daemon:2000", "xray-daemon|2000 xray-daemon|2000"},
        {"10.0.0.1:3000", "10.0.0.1|3000 10.0.0.1|3000"},
        {" \tx:1\t ", "x|1 x|1"},
        {"tcp:a:1 udp:b:2", "b|2 a|1"},
        {"udp:b:2 tcp:a:1", "b|2 a|1"},
        {"  UDP:b:2 \t  Tcp:a:1 ", "b|2 a|1"},
        {"[::1]:2000", "::1|2000 ::1|2000"},
        {"tcp:[2001:db8::1]:1 udp:[fe80::1%eth0]:65535", "fe80::1%eth0|65535 2001:db8::1|1"},
        {"tcp:2000", "tcp|2000 tcp|2000"},
        {"udp:2000", "udp|2000 udp|2000"},
        {"_xray._udp.example.com.:2000", "_xray._udp.example.com.|2000 _xray._udp.example.com.|2000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(meaning(cases[i].text), cases[i].means);
}

static void test_xray_address_says_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "is empty"},
        {"127.0.0.1", "has no port"},
        {"xray:", "no number in 1..65535"},
        {"xray:0", "no number in 1..65535"},
        {"xray:65536", "no number in 1..65535"},
        {"xray:99999999999999999999999", "no number in 1..65535"},
        {"xray:2000/", "no number in 1..65535"},
        {"xray:+1", "no number in 1..65535"},
        {":2000", "has no host"},
        {"[]:2000", "has no host"},
        {"[::1]", "has no port"},
        {"::1:2000", "stands in brackets"},
        {"[::1:2000", "stands in brackets"},
        {"[x/y]:2000", "can't be one"},
        {"tcp:a:1", "has no udp"},
        {"udp:a:1", "has no tcp"},
        {"udp:a:1 udp:b:2", "twice"},
        {"a:1 b:2", "twice"},
        {"tcp:a:1 b:2", "twice"},
        {"tcp:a:1,udp:b:2", "more than a host and a port"},
        {"tcp:a:1 udp:b", "no number in 1..65535"},
        {"http://xray:2000", "more than a host and a port"},
        {"udp://xray:2000", "can't be one"},
        {"user@xray:2000", "can't be one"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct xray_address address = {.udp_port = 7};
        char problem[XRAY_ADDRESS_PROBLEM_SIZE] = "";

        print_message("%s\n", cases[i].text);
        assert_true(xray_address_parse(cases[i].text, &address, problem) < 0);
        assert_non_null(strstr(problem, cases[i].says));
        assert_non_null(strstr(problem, "; it should be host:port, or tcp:host:port udp:host:port"));
        assert_int_equal(address.udp_port, 7);
    }
}

static void test_xray_address_bounds_the_text(void **state)
{
    char text[700];
    struct xray_address address;
    char problem[XRAY_ADDRESS_PROBLEM_SIZE];

    (void)state;
    memset(text, 'x', sizeof(text));
    (void)strcpy(text + XRAY_ADDRESS_HOST_SIZE - 1, ":2000");
    assert_int_equal(xray_address_parse(text, &address, problem), 0);
    memset(text, 'x', sizeof(text));
    (void)strcpy(text + XRAY_ADDRESS_HOST_SIZE, ":2000");
    assert_true(xray_address_parse(text, &address, problem) < 0);
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_true(xray_address_parse(text, &address, problem) < 0);
    assert_non_null(strstr(problem, "is too long; it should be host:port"));
}

/* Texts put together from the pieces of good ones: what is taken is a host and a port. */
static void test_xray_address_takes_no_nonsense(void **state)
{
    static const char *const pieces[] = {"tcp:", "udp:", " ", "a", "[", "]", "::1", ":", "2000", "0", "%", "\xff"};
    uint32_t random = 1;
    unsigned taken = 0;

    (void)state;
    for (unsigned i = 0; i < 300000; i++) {
        char text[64] = "";
        struct xray_address address;
        char problem[XRAY_ADDRESS_PROBLEM_SIZE];

        do {
            random = random * 1664525 + 1013904223;
            (void)strcat(text, pieces[(random >> 16) % (sizeof(pieces) / sizeof(pieces[0]))]);
        } while ((random >> 28) < 12 && strlen(text) < 50);
        if (xray_address_parse(text, &address, problem) < 0)
            continue;
        taken++;
        if (address.udp_host[0] == '\0' || address.tcp_host[0] == '\0' || address.udp_port == 0 ||
            address.tcp_port == 0 || strpbrk(address.udp_host, " []\xff") != NULL)
            fail_msg("%s", text);
    }
    assert_true(taken > 100);
}

static void test_xray_address_is_shown(void **state)
{
    char shown[64];

    (void)state;
    xray_address_show("xray", 2000, shown, sizeof(shown));
    assert_string_equal(shown, "xray:2000");
    xray_address_show("::1", 2000, shown, sizeof(shown));
    assert_string_equal(shown, "[::1]:2000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xray_address_has_many_forms),  cmocka_unit_test(test_xray_address_says_what_is_wrong),
        cmocka_unit_test(test_xray_address_bounds_the_text), cmocka_unit_test(test_xray_address_takes_no_nonsense),
        cmocka_unit_test(test_xray_address_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
