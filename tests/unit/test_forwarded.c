/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct field {
    const char *name;
    const char *value;
};

/* expected: client port host port scheme (h, s or -) */
static void check(const struct field *fields, size_t count, const char *expected)
{
    struct forwarded forwarded = {0};
    char seen[512];
    for (size_t i = 0; i < count && fields[i].name; i++)
        assert_true(forwarded_field(&forwarded, fields[i].name, strlen(fields[i].name), fields[i].value,
                                    strlen(fields[i].value)));
    snprintf(seen, sizeof(seen), "%.*s %u %.*s %u %c", forwarded.client_length, forwarded.client, forwarded.client_port,
             forwarded.host_length, forwarded.host, forwarded.host_port, "-hs"[forwarded.scheme]);
    if (strcmp(seen, expected) != 0)
        fail_msg("%s: %s: expected '%s', seen '%s'", fields[0].name, fields[0].value, expected, seen);
}

static void test_forwarded_reads_rfc_7239(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *expected;
    } rows[] = {
        {"for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60 0  0 h"},
        {"For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17 4711  0 -"},
        {"for=192.0.2.43, for=198.51.100.17;proto=https", "192.0.2.43 0  0 -"},
        {"for=\"192.0.2.43:80\";host=example.com:8080;proto=https", "192.0.2.43 80 example.com 8080 s"},
        {"proto=HTTPS ; HOST=\"example.com\" ; FOR = 192.0.2.1", "192.0.2.1 0 example.com 0 s"},
        {"for=unknown;proto=https", " 0  0 s"},
        {"for=_gazonk", "_gazonk 0  0 -"},
        {"for=\"_gazonk:_port\"", "_gazonk 0  0 -"},
        {"for=\"192.0.2.1:_port\"", "192.0.2.1 0  0 -"},
        {"for=\"192.0.2.1:70000\"", "192.0.2.1 0  0 -"},
        {"for=\"[::1\"", " 0  0 -"},
        {"for=\"[::1]x\"", " 0  0 -"},
        {"for=\"[192.0.2.1]\"", " 0  0 -"},
        {"for=\"a,b;c\";proto=https", " 0  0 s"},
        {"for=\"\\1.2.3.4\";proto=https", " 0  0 s"},
        {"for=\"\\\";host=x;y\";proto=https", " 0  0 s"},
        {"for=\"192.0.2.1", "192.0.2.1 0  0 -"},
        {"for=\"192.0.2.1\\", " 0  0 -"},
        {"for=\"", " 0  0 -"},
        {"for=", " 0  0 -"},
        {"for", " 0  0 -"},
        {"", " 0  0 -"},
        {";;proto=http", " 0  0 -"},
        {", for=192.0.2.1", " 0  0 -"},
        {"proto=ftp;host=\"a b\"", " 0  0 -"},
        {"for=example.com", " 0  0 -"},
        {"for=_<script>", " 0  0 -"},
        {"host=\"[::1]:80\"", " 0 ::1 80 -"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct field field = {"Forwarded", rows[i].value};
        check(&field, 1, rows[i].expected);
    }
}

static void test_forwarded_reads_x_forwarded(void **state)
{
    (void)state;
    static const struct {
        struct field field;
        const char *expected;
    } rows[] = {
        {{"X-Forwarded-For", "192.0.2.1"}, "192.0.2.1 0  0 -"},
        {{"x-forwarded-for", "192.0.2.1 , 198.51.100.1"}, "192.0.2.1 0  0 -"},
        {{"x-forwarded-for", "192.0.2.1:5000"}, "192.0.2.1 5000  0 -"},
        {{"x-forwarded-for", "2001:db8::1"}, "2001:db8::1 0  0 -"},
        {{"x-forwarded-for", "[2001:db8::1]:5000, x"}, "2001:db8::1 5000  0 -"},
        {{"x-forwarded-for", "unknown, 192.0.2.1"}, " 0  0 -"},
        {{"x-forwarded-for", ""}, " 0  0 -"},
        {{"x-forwarded-for", "' or 1=1"}, " 0  0 -"},
        {{"X-Forwarded-Host", "example.com:8080, inner"}, " 0 example.com 8080 -"},
        {{"X-Forwarded-Host", "<x>"}, " 0  0 -"},
        {{"X-Forwarded-Proto", "HTTPS, http"}, " 0  0 s"},
        {{"X-Forwarded-Proto", "wss"}, " 0  0 -"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check(&rows[i].field, 1, rows[i].expected);
}

static void test_forwarded_wins_over_x_forwarded(void **state)
{
    (void)state;
    static const struct field before[] = {{"Forwarded", "for=192.0.2.1;proto=https"},
                                          {"X-Forwarded-For", "192.0.2.2"},
                                          {"X-Forwarded-Proto", "http"},
                                          {"X-Forwarded-Host", "h"}};
    static const struct field after[] = {{"X-Forwarded-Host", "h"},
                                         {"X-Forwarded-For", "192.0.2.2:1"},
                                         {"X-Forwarded-Proto", "http"},
                                         {"Forwarded", "for=192.0.2.1;proto=https"}};
    static const struct field unknown[] = {{"Forwarded", "for=unknown"}, {"X-Forwarded-For", "192.0.2.2"}};
    check(before, COUNT(before), "192.0.2.1 0 h 0 s");
    check(after, COUNT(after), "192.0.2.1 0 h 0 s");
    check(unknown, COUNT(unknown), "192.0.2.2 0  0 -");
}

static void test_forwarded_believes_the_first_field_of_a_name(void **state)
{
    (void)state;
    static const struct field fields[] = {{"X-Forwarded-For", "unknown"}, {"X-Forwarded-For", "192.0.2.2"}};
    check(fields, COUNT(fields), " 0  0 -");
}

static void test_forwarded_bounds_texts(void **state)
{
    (void)state;
    char text[FORWARDED_HOST_SIZE + 2];
    memset(text, 'a', sizeof(text));
    text[0] = '_';
    text[FORWARDED_HOST_SIZE] = '\0';
    struct forwarded forwarded = {0};
    assert_true(forwarded_field(&forwarded, "x-forwarded-host", 16, text, strlen(text)));
    assert_int_equal(forwarded.host_length, FORWARDED_HOST_SIZE);
    assert_true(forwarded_field(&forwarded, "x-forwarded-for", 15, text, FORWARDED_CLIENT_SIZE + 1));
    assert_int_equal(forwarded.client_length, 0);

    text[FORWARDED_HOST_SIZE] = 'a';
    forwarded = (struct forwarded){0};
    assert_true(forwarded_field(&forwarded, "x-forwarded-host", 16, text, FORWARDED_HOST_SIZE + 1));
    assert_int_equal(forwarded.host_length, 0);
    assert_true(forwarded_field(&forwarded, "x-forwarded-for", 15, text, FORWARDED_CLIENT_SIZE));
    assert_int_equal(forwarded.client_length, FORWARDED_CLIENT_SIZE);
}

static void test_forwarded_leaves_other_fields(void **state)
{
    (void)state;
    struct forwarded forwarded = {0};
    assert_false(forwarded_field(&forwarded, "host", 4, "a", 1));
    assert_false(forwarded_field(&forwarded, "x-forwarded-port", 16, "1", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forwarded_reads_rfc_7239),
        cmocka_unit_test(test_forwarded_reads_x_forwarded),
        cmocka_unit_test(test_forwarded_wins_over_x_forwarded),
        cmocka_unit_test(test_forwarded_believes_the_first_field_of_a_name),
        cmocka_unit_test(test_forwarded_bounds_texts),
        cmocka_unit_test(test_forwarded_leaves_other_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
