/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/rollbar_scrub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define R "REDACTED"

static void check(json_t *string, const char *expected)
{
    assert_string_equal(json_string_value(string), expected);
    json_decref(string);
}

static void test_rollbar_scrub_hides_secrets_in_messages(void **state)
{
    (void)state;
    check(rollbar_scrub_prose("login failed: password=hunter2, user=bob", 0), "login failed: password=" R ", user=bob");
    check(rollbar_scrub_prose("can't reach postgres://shop:pw@db/shop", 0),
          "can't reach postgres://" R ":" R "@db/shop");
    check(rollbar_scrub_prose("GET /a?access_token=abc&b=1 failed", 0), "GET /a?access_token=" R "&b=1 failed");
    /* Names of functions are no keys. */
    check(rollbar_scrub_prose("SIGSEGV in Auth::check: read of 0x0", 0), "SIGSEGV in Auth::check: read of 0x0");
    check(rollbar_scrub_prose("std::out_of_range: unexpected token:5", 0), "std::out_of_range: unexpected token:5");
    check(rollbar_scrub_prose("Assertion `zero == 1 && token==0 && pass != 2' failed", 0),
          "Assertion `zero == 1 && token==0 && pass != 2' failed");
    check(rollbar_scrub_prose("my token is=abc  token=YWJj== a==b&token=c", 0),
          "my token is=abc  token=" R " a==b&token=" R);
    check(rollbar_scrub_prose(" ", 0), " ");
    check(rollbar_scrub_prose("", 0), "");
    assert_null(rollbar_scrub_prose(NULL, 0));
}

static void test_rollbar_scrub_hides_secrets_in_urls(void **state)
{
    (void)state;
    check(rollbar_scrub_url("http://u:p@h/a;jsessionid=1?API_KEY=2&x=3"),
          "http://" R ":" R "@h/a;jsessionid=" R "?API_KEY=" R "&x=3");
    check(rollbar_scrub_query("X-Rollbar-Access-Token=1&authenticity_token=2&confirmPassword=3&csrf=4&q=5"),
          "X-Rollbar-Access-Token=" R "&authenticity_token=" R "&confirmPassword=" R "&csrf=" R "&q=5");
}

static void test_rollbar_scrub_hides_headers(void **state)
{
    static const char *const hidden[] = {
        "Authorization", "www-authorization",  "http_authorization", "omniauth.auth", "cookie",
        "Set-Cookie",    "oauth-access-token", "x-access-token",     "x_csrf_token",  "http_x_csrf_token",
        "x-csrf-token",  "x-api-key",          "proxy-authorization"};
    json_t *headers = json_object();

    (void)state;
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        (void)json_object_set_new(headers, hidden[i], json_string("abc"));
    (void)json_object_set_new(headers, "accept", json_string("*/*"));
    (void)json_object_set_new(headers, "referer", json_string("http://h/?token=x"));
    json_t *out = rollbar_scrub_headers(headers);
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        assert_string_equal(json_string_value(json_object_get(out, hidden[i])), R);
    assert_string_equal(json_string_value(json_object_get(out, "accept")), "*/*");
    assert_string_equal(json_string_value(json_object_get(out, "referer")), "http://h/?token=" R);
    json_decref(out);
    json_decref(headers);
    assert_null(rollbar_scrub_headers(NULL));
}

static void test_rollbar_scrub_hides_secrets_in_arguments(void **state)
{
    static const char *const given[] = {
        "shop", "--password", "x", "--port", "80", "--token=x", "-H", "Authorization: Bearer x", "-H", "Accept: a"};
    static const char *const expected[] = {"shop", "--password",        R,    "--port",   "80", "--token=" R,
                                           "-H",   "Authorization: " R, "-H", "Accept: a"};
    enum { COUNT = sizeof(given) / sizeof(given[0]) };
    json_t *arguments = json_array();

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        (void)json_array_append_new(arguments, json_string(given[i]));
    json_t *out = rollbar_scrub_arguments(arguments);
    assert_int_equal(json_array_size(out), COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_string_equal(json_string_value(json_array_get(out, i)), expected[i]);
    json_decref(out);
    json_decref(arguments);
}

static void test_rollbar_scrub_repairs_and_cuts(void **state)
{
    (void)state;
    check(rollbar_scrub_name("abc", 3), "abc");
    check(rollbar_scrub_name("abcd", 3), "abc");
    check(rollbar_scrub_name("ab\xc3\xa4", 3), "ab");
    check(rollbar_scrub_name("a\xf0\x9f\x98\x80", 4), "a");
    check(rollbar_scrub_name("a\xf0\x9f\x98\x80", 5), "a\xf0\x9f\x98\x80");
    check(rollbar_scrub_name("a\xc3", 0), "a\xef\xbf\xbd");
    /* A mask is not cut so that the secret would show. */
    check(rollbar_scrub_prose("token=abcdefghijkl", 8), "token=RE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollbar_scrub_hides_secrets_in_messages),
        cmocka_unit_test(test_rollbar_scrub_hides_secrets_in_urls),
        cmocka_unit_test(test_rollbar_scrub_hides_headers),
        cmocka_unit_test(test_rollbar_scrub_hides_secrets_in_arguments),
        cmocka_unit_test(test_rollbar_scrub_repairs_and_cuts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
