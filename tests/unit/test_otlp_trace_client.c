/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of requests that a program made. */
#include "exporters/encode/otlp_trace.h"

#include "tests/support/otlp_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The first record becomes a request that the program made. */
static struct wire_request *make_client(void)
{
    struct wire_request *request = &otlp_records[0].request;

    request->kind = WIRE_KIND_CLIENT;
    request->peer = (struct wire_address){.family = WIRE_FAMILY_INET, .port = 8080, .ip = {10, 0, 0, 7}};
    return request;
}

static void test_otlp_trace_follows_the_client_conventions(void **state)
{
    struct wire_request *request = make_client();

    (void)state;
    memset(request->parent_span_id, 7, sizeof(request->parent_span_id));
    const Otlp__Span *span = otlp_encode_one();
    assert_string_equal(span->name, "GET");
    assert_int_equal(span->kind, OTLP__SPAN__SPAN_KIND__SPAN_KIND_CLIENT);
    assert_int_equal(span->flags, 0x103);
    assert_string_equal(otlp_message->resource_spans[0]->scope_spans[0]->scope->name, "spanshim.http");
    otlp_assert_text(span, "http.request.method", "GET");
    otlp_assert_text(span, "url.full", "http://shop.example.com:8080/orders/4711?page=2&sort=date");
    otlp_assert_text(span, "server.address", "shop.example.com");
    otlp_assert_number(span, "server.port", 8080);
    otlp_assert_text(span, "network.peer.address", "10.0.0.7");
    otlp_assert_number(span, "network.peer.port", 8080);
    otlp_assert_text(span, "network.protocol.version", "1.1");
    otlp_assert_text(span, "user_agent.original", "curl/8.5.0");
    otlp_assert_number(span, "http.response.status_code", 200);
    otlp_assert_number(span, "http.request.body.size", 0);
    otlp_assert_number(span, "http.response.body.size", 612);
    otlp_assert_seconds(span, "spanshim.response.time_to_first_byte", 0.00015);
    assert_int_equal(span->n_attributes, 12); /* none that are a server's: url.path, client.address ... */
}

static void test_otlp_trace_adds_what_a_client_knows(void **state)
{
    const struct wire_client known = {
        .resend_count = 2, .resolve_ns = 2000000, .connect_ns = 3000000, .tls_ns = 4000000, .sent_ns = 5000000};
    struct wire_request *request = make_client();

    (void)state;
    sample_put(request, WIRE_TEXT_CLIENT, (const char *)&known, sizeof(known));
    request->withheld = WIRE_WITHHOLD_SIGNED;
    request->version = 20;
    const Otlp__Span *span = otlp_encode_one();
    otlp_assert_number(span, "http.request.resend_count", 2);
    otlp_assert_seconds(span, "spanshim.dns.duration", 0.002);
    otlp_assert_seconds(span, "spanshim.connect.duration", 0.003);
    otlp_assert_seconds(span, "spanshim.tls.duration", 0.004);
    otlp_assert_seconds(span, "spanshim.request.time_to_last_byte", 0.005);
    otlp_assert_text(span, "spanshim.propagation.skipped", "signed");
    otlp_assert_text(span, "network.protocol.version", "2");
    assert_int_equal(span->n_attributes, 18);
    request->kind = WIRE_KIND_SERVER;
    otlp_assert_text(otlp_encode_one(), "spanshim.propagation.skipped", NULL);
}

static const Otlp__Span *encode_without_parent(const char *why, size_t length)
{
    struct wire_request *request = make_client();
    uint16_t text_length = request->text_length;

    sample_put(request, WIRE_TEXT_PARENT, why, length);
    const Otlp__Span *span = otlp_encode_one();
    request->text_length = text_length;
    return span;
}

static void test_otlp_trace_says_why_a_client_has_no_parent(void **state)
{
    (void)state;
    otlp_assert_text(encode_without_parent((const char[]){WIRE_PARENT_AMBIGUOUS}, 1), "spanshim.parent", "ambiguous");
    otlp_assert_text(encode_without_parent((const char[]){WIRE_PARENT_UNKNOWN}, 1), "spanshim.parent", "unknown");
    otlp_assert_text(encode_without_parent((const char[]){WIRE_PARENT_COUNT}, 1), "spanshim.parent", NULL);
    otlp_assert_text(encode_without_parent("\1\1", 2), "spanshim.parent", NULL);
}

/* A client's parent is a span of its own process, whoever named it. */
static void test_otlp_trace_has_no_remote_parent_of_a_client(void **state)
{
    struct wire_request *request = make_client();

    (void)state;
    memset(request->parent_span_id, 7, sizeof(request->parent_span_id));
    request->flags |= WIRE_REQUEST_REMOTE_PARENT;
    assert_int_equal(otlp_encode_one()->flags, 0x103);
}

static void test_otlp_trace_says_errors_in_words(void **state)
{
    struct wire_request *request = make_client();

    (void)state;
    request->status = 0;
    request->error = WIRE_ERROR_OTHER;
    sample_put_text(request, WIRE_TEXT_ERROR_TYPE, "couldnt_resolve_host");
    sample_put(request, WIRE_TEXT_ERROR_MESSAGE, "Could not resolve \xff", 19);
    const Otlp__Span *span = otlp_encode_one();
    otlp_assert_text(span, "error.type", "couldnt_resolve_host");
    assert_non_null(span->status);
    assert_int_equal(span->status->code, OTLP__STATUS__STATUS_CODE__STATUS_CODE_ERROR);
    assert_string_equal(span->status->message, "Could not resolve \xef\xbf\xbd");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, otlp_set_up, otlp_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_otlp_trace_follows_the_client_conventions),
        TEST(test_otlp_trace_adds_what_a_client_knows),
        TEST(test_otlp_trace_says_why_a_client_has_no_parent),
        TEST(test_otlp_trace_has_no_remote_parent_of_a_client),
        TEST(test_otlp_trace_says_errors_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
