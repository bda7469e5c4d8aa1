/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/url.h"

#include "exporters/agent/process.h"
#include "tests/support/sample_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct process process;

/* A client's request; texts NULL: it has none. */
struct request {
    const char *host, *path, *query;
    uint16_t port;
    uint16_t flags;
    struct wire_address peer;
};

static const struct wire_address ipv4 = {.family = WIRE_FAMILY_INET, .port = 9001, .ip = {127, 0, 0, 1}};
static const struct wire_address ipv6 = {.family = WIRE_FAMILY_INET6, .port = 443, .ip = {[0] = 0x20, [15] = 1}};
static const struct wire_address local = {.family = WIRE_FAMILY_UNIX};

static struct span span_of(union sample_request *record, const struct request *from)
{
    struct wire_request *request = &record->request;
    struct span span;

    sample_fill(request, 1);
    request->kind = WIRE_KIND_CLIENT;
    request->text_length = 0;
    request->server_port = from->port;
    request->flags |= from->flags;
    request->peer = from->peer;
    if (from->host != NULL)
        sample_put_text(request, WIRE_TEXT_SERVER_ADDRESS, from->host);
    if (from->path != NULL)
        sample_put_text(request, WIRE_TEXT_PATH, from->path);
    if (from->query != NULL)
        sample_put_text(request, WIRE_TEXT_QUERY, from->query);
    if (from->peer.family == WIRE_FAMILY_UNIX)
        sample_put_text(request, WIRE_TEXT_PEER_PATH, "/run/docker.sock");
    assert_int_equal(span_parse(&process, record, sample_size(request), &span), 0);
    return span;
}

static void test_url_is_put_together_again(void **state)
{
    const struct { /* not static: no object is a constant to clang 14 */
        struct request request;
        const char *expected;
    } cases[] = {
        {{"shop.example", "/a/b", NULL, 80, 0, {0}}, "http://shop.example/a/b"},
        {{"shop.example", "/a", "x=1&y", 8080, 0, {0}}, "http://shop.example:8080/a?x=1&y"},
        {{"shop.example", "/", NULL, 443, WIRE_REQUEST_HTTPS, {0}}, "https://shop.example/"},
        {{"shop.example", "/", NULL, 80, WIRE_REQUEST_HTTPS, {0}}, "https://shop.example:80/"},
        {{"shop.example", "/", NULL, 0, WIRE_REQUEST_HTTPS, {0}}, "https://shop.example/"},
        {{"2001:db8::1", "/", NULL, 8080, 0, {0}}, "http://[2001:db8::1]:8080/"},
        {{"shop.example", "/", NULL, 80, WIRE_REQUEST_CREDENTIALS, {0}}, "http://REDACTED:REDACTED@shop.example/"},
        {{"shop.example", "*", NULL, 80, 0, {0}}, "http://shop.example"},
        {{"shop.example", NULL, NULL, 443, 0, {0}}, "http://shop.example:443"},
        {{"shop.example", "odd", NULL, 80, 0, {0}}, "http://shop.example/odd"},
        {{NULL, "/a", NULL, 0, 0, ipv4}, "http://127.0.0.1:9001/a"},
        {{NULL, "/a", NULL, 0, WIRE_REQUEST_HTTPS, ipv6}, "https://[2000::1]/a"},
        {{"docker", "/a", NULL, 80, 0, local}, "http://docker/a"},
        {{NULL, "/a", NULL, 0, 0, local}, ""},
        {{NULL, "/a", NULL, 0, 0, {0}}, ""},
    };
    union sample_request record;
    char url[URL_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct span span = span_of(&record, &cases[i].request);
        size_t length = url_write(&span, URL_WHOLE, url);

        assert_int_equal(length, strlen(cases[i].expected));
        assert_memory_equal(url, cases[i].expected, length);
    }
}

static void test_url_is_shorter_for_people(void **state)
{
    const struct request plain = {.host = "a", .path = "/"};
    const struct request secure = {.host = "a", .path = "/", .flags = WIRE_REQUEST_HTTPS};
    union sample_request record;
    char url[URL_SIZE];
    struct span span = span_of(&record, &plain);

    (void)state;
    assert_int_equal(url_write(&span, URL_FOR_PEOPLE, url), 2);
    assert_memory_equal(url, "a/", 2);
    span = span_of(&record, &secure);
    assert_int_equal(url_write(&span, URL_FOR_PEOPLE, url), strlen("https://a/"));
}

static void assert_server(const struct request *request, const char *host, uint16_t port)
{
    union sample_request record;
    struct span span = span_of(&record, request);
    struct url_server server;

    url_server(&span, &server);
    assert_int_equal(server.host.length, strlen(host));
    assert_memory_equal(server.host.bytes, host, server.host.length);
    assert_int_equal(server.port, port);
}

static void test_url_server_is_who_was_asked(void **state)
{
    (void)state;
    assert_server(&(struct request){.host = "shop.example", .port = 81, .peer = ipv4}, "shop.example", 81);
    assert_server(&(struct request){.host = "shop.example", .peer = ipv4}, "shop.example", 80);
    assert_server(&(struct request){.host = "shop.example", .flags = WIRE_REQUEST_HTTPS}, "shop.example", 443);
    assert_server(&(struct request){.peer = ipv4}, "127.0.0.1", 9001);
    assert_server(&(struct request){.peer = local}, "/run/docker.sock", 0);
    assert_server(&(struct request){.host = NULL}, "", 0);
}

static void test_url_has_room_for_the_longest_texts(void **state)
{
    union sample_request record;
    struct wire_request *request = &record.request;
    static char text[WIRE_RECORD_MAX];
    char url[URL_SIZE];
    struct span span;

    (void)state;
    memset(text, ':', sizeof(text));
    sample_fill(request, 1);
    request->kind = WIRE_KIND_CLIENT;
    request->flags |= WIRE_REQUEST_CREDENTIALS | WIRE_REQUEST_HTTPS;
    request->server_port = 65535;
    request->text_length = 0;
    sample_put(request, WIRE_TEXT_SERVER_ADDRESS, text, 700);
    sample_put(request, WIRE_TEXT_QUERY, text, 700);
    sample_put(request, WIRE_TEXT_PATH, text, sizeof(record) - sizeof(*request) - 2 * 704 - 4);
    assert_int_equal(span_parse(&process, &record, sample_size(request), &span), 0);
    assert_int_equal(url_write(&span, URL_WHOLE, url),
                     request->text_length - 12 + strlen("https://") + strlen("REDACTED:REDACTED@[]:65535/?"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url_is_put_together_again),
        cmocka_unit_test(test_url_is_shorter_for_people),
        cmocka_unit_test(test_url_server_is_who_was_asked),
        cmocka_unit_test(test_url_has_room_for_the_longest_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
