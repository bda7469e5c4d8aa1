/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/xray_name.h"

#include "tests/support/xray_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *name_of(const json_t *document)
{
    return json_string_value(json_object_get(document, "name"));
}

/* The patterns of real set-ups, AWS_XRAY_URL, against what the SDK does with them. */
static void test_xray_name_is_the_host_that_the_pattern_fits(void **state)
{
    static const struct {
        const char *pattern, *host, *expected;
    } cases[] = {
        {NULL, "shop.example.com", "backend-flask"},
        {"*4567-ws.gitpod.example*", "4567-ws.gitpod.example", "4567-ws.gitpod.example"},
        {"*4567-ws.gitpod.example*", "4567-WS.Gitpod.Example:8443", "4567-WS.Gitpod.Example:8443"},
        {"*4567-.*", "4567-ws.gitpod.example", "backend-flask"}, /* of variables that were not set */
        {"*.example.com", "shop.example.com", "shop.example.com"},
        {"*.example.com", "shop.example.com:8080", "backend-flask"},
        {"*.example.com*", "shop.example.com:8080", "shop.example.com:8080"},
        {"https://*.example.com*", "shop.example.com", "backend-flask"},
        {"shop?.example.com", "shop1.example.com", "shop1.example.com"},
        {"shop?.example.com", "shop.example.com", "backend-flask"},
        {"*", "", "backend-flask"},
        {"*", "[::1]:80", "::1:80"},
        {"*", "a<b>\"c\\d e.com", "abcd e.com"},
        {"*", "<>", "unknown_service"},
    };
    (void)state;
    struct wire_request *request = xray_add_request();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request->text_length = 0;
        xray_process.xray_url = cases[i].pattern;
        if (cases[i].host[0] != '\0')
            sample_put_text(request, WIRE_TEXT_HOST, cases[i].host);
        assert_string_equal(name_of(xray_encode_one()), cases[i].expected);
    }
}

static void test_xray_name_has_only_what_the_schema_allows(void **state)
{
    static const struct {
        const char *service, *expected;
    } cases[] = {
        {"a_b.c:d/e%f&g#h=i+j-k@l m0", "a_b.c:d/e%f&g#h=i+j-k@l m0"},
        {"a?b;c*d(e)f!g$h~i^j<k>l", "abcdefghijkl"},
        {"a\\b\"c'd,e|f{g}h`i[j]k", "abcdefghijk"},
        {"tab\there\nthere\x7f", "tabherethere"},
        {"caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac \xd9\xa3", "caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac \xd9\xa3"},
        {"a\xc2\xa0z", "a\xc2\xa0z"},                                 /* a blank that does not break */
        {"\xe2\x85\xa3\xc2\xbd", "\xe2\x85\xa3\xc2\xbd"},             /* numbers, too */
        {"\xf0\x9f\x9a\x80rocket\xe2\x82\xac\xe2\x80\x94", "rocket"}, /* signs */
        {"\xf0\xa0\x80\x80", "\xf0\xa0\x80\x80"},                     /* beyond 16 bits */
        {"bad\xff\xc3(\xed\xa0\x80\xf4\x90\x80\x80", "bad"},          /* no UTF-8 */
        {"e\xcc\x81", "e"},                                           /* an accent of its own is no letter */
        {"\xef\xbf\xbd?!", "unknown_service"},
        {"", "unknown_service"},
    };
    (void)state;
    (void)xray_add_request();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        xray_process.xray_name = cases[i].service;
        assert_string_equal(name_of(xray_encode_one()), cases[i].expected);
    }
}

/* Characters, not bytes; what is left out does not count. */
static void test_xray_name_has_at_most_200_characters(void **state)
{
    char name[4 * 200 + 3 * 200 + 4 + 1];
    size_t length = 0;
    (void)state;
    (void)xray_add_request();
    for (size_t i = 0; i < 201; i++) {
        memcpy(name + length, "\xf0\xa0\x80\x80", 4);
        length += 4;
        if (i < 200)
            memcpy(name + length, "?*!", 3);
        length += i < 200 ? 3 : 0;
    }
    name[length] = '\0';
    xray_process.xray_name = name;
    const char *sent = name_of(xray_encode_one());
    assert_int_equal(strlen(sent), 800);
}

static void test_xray_name_of_a_call_is_its_host(void **state)
{
    static const struct {
        const char *host;
        struct wire_address peer;
        const char *expected;
    } cases[] = {
        {"API.Example.COM", {0}, "api.example.com"},
        {"\xc3\x89.example", {0}, "\xc3\x89.example"}, /* letters of ASCII alone have cases here */
        {"::1", {0}, "::1"},
        {NULL, {.family = WIRE_FAMILY_INET, .port = 80, .ip = {10, 0, 0, 7}}, "10.0.0.7"},
        {NULL, {.family = WIRE_FAMILY_UNIX}, "/run/Docker.sock"},
        {NULL, {0}, "UNKNOWN HOST"},
        {"*", {0}, "UNKNOWN HOST"},
    };
    (void)state;
    struct wire_request *call = xray_add_call(NULL);
    memset(call->parent_span_id, 1, sizeof(call->parent_span_id));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        call->text_length = 0;
        call->peer = cases[i].peer;
        if (cases[i].host != NULL)
            sample_put_text(call, WIRE_TEXT_SERVER_ADDRESS, cases[i].host);
        if (cases[i].peer.family == WIRE_FAMILY_UNIX)
            sample_put_text(call, WIRE_TEXT_PEER_PATH, "/run/Docker.sock");
        assert_string_equal(name_of(xray_encode_one()), cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_xray_name_##name, xray_set_up, xray_tear_down)
        TEST(is_the_host_that_the_pattern_fits),
        TEST(has_only_what_the_schema_allows),
        TEST(has_at_most_200_characters),
        TEST(of_a_call_is_its_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
