/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/span.h"

#include "exporters/agent/process.h"
#include "tests/support/wire_writer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct process process = {.wall_offset_ns = 1000000};

struct buffer {
    _Alignas(8) uint8_t bytes[WIRE_RECORD_MAX];
    size_t length;
};

static struct wire_request *request_of(struct buffer *buffer)
{
    return (void *)buffer->bytes;
}

static struct buffer sample(void)
{
    struct buffer buffer = {0};

    buffer.length = wire_writer_request(buffer.bytes, 7, 8);
    return buffer;
}

static void add_bytes(struct buffer *buffer, uint8_t id, const void *bytes, size_t length)
{
    uint16_t length16 = (uint16_t)length;

    buffer->bytes[buffer->length] = id;
    memcpy(buffer->bytes + buffer->length + 2, &length16, sizeof(length16));
    memcpy(buffer->bytes + buffer->length + 4, bytes, length);
    buffer->length += 4u + length;
    request_of(buffer)->text_length = (uint16_t)(buffer->length - sizeof(struct wire_request));
}

static void add_text(struct buffer *buffer, uint8_t id, const char *text)
{
    add_bytes(buffer, id, text, strlen(text));
}

static int parse(const struct buffer *buffer, struct span *span)
{
    return span_parse(&process, buffer->bytes, buffer->length, span);
}

static void test_span_reads_texts_and_times(void **state)
{
    struct buffer buffer = sample();
    struct span span;

    (void)state;
    add_text(&buffer, WIRE_TEXT_QUERY, "a=b");
    add_text(&buffer, WIRE_TEXT_QUERY, "second");
    add_text(&buffer, WIRE_TEXT_REQUEST_HEADER, "x-a: 1");
    add_text(&buffer, WIRE_TEXT_REQUEST_HEADER, "x-b: 2");
    add_text(&buffer, WIRE_TEXT_RESPONSE_HEADER, "x-c: 3");
    request_of(&buffer)->start_ns = 5000;
    request_of(&buffer)->first_byte_ns = 6000;
    request_of(&buffer)->end_ns = 7000;
    assert_int_equal(parse(&buffer, &span), 0);
    assert_int_equal(span.start_unix_ns, 1005000);
    assert_int_equal(span.first_byte_unix_ns, 1006000);
    assert_int_equal(span.end_unix_ns, 1007000);
    assert_int_equal(span.text[WIRE_TEXT_PATH].length, 8);
    assert_int_equal(span.text[WIRE_TEXT_QUERY].length, 3);
    assert_memory_equal(span.text[WIRE_TEXT_QUERY].bytes, "a=b", 3);
    assert_int_equal(span.request_header_count, 2);
    assert_memory_equal(span.request_headers[1].bytes, "x-b: 2", 6);
    assert_int_equal(span.response_header_count, 1);
    assert_int_equal(span.text[WIRE_TEXT_USER_AGENT].length, 0);
}

/* A shim that learns better, from a proxy's header, takes the host back that it had noted. */
static void test_span_passes_over_what_was_taken_back(void **state)
{
    struct buffer buffer = sample();
    struct span span;

    (void)state;
    add_text(&buffer, WIRE_TEXT_NONE, "backend");
    add_text(&buffer, WIRE_TEXT_SERVER_ADDRESS, "shop.example");
    assert_int_equal(parse(&buffer, &span), 0);
    assert_int_equal(span.text[WIRE_TEXT_NONE].length, 0);
    assert_memory_equal(span.text[WIRE_TEXT_SERVER_ADDRESS].bytes, "shop.example", 12);
}

static void test_span_is_never_shorter_than_nothing(void **state)
{
    struct buffer buffer = sample();
    struct span span;

    (void)state;
    request_of(&buffer)->start_ns = 5000;
    request_of(&buffer)->first_byte_ns = 4000;
    request_of(&buffer)->end_ns = 3000;
    assert_int_equal(parse(&buffer, &span), 0);
    assert_int_equal(span.end_unix_ns, span.start_unix_ns);
    assert_int_equal(span.first_byte_unix_ns, 0);
    request_of(&buffer)->start_ns = UINT64_MAX - 2000000;
    request_of(&buffer)->end_ns = UINT64_MAX;
    assert_int_equal(parse(&buffer, &span), 0);
    assert_true(span.end_unix_ns >= span.start_unix_ns);
}

static void test_span_counts_headers_beyond_the_table(void **state)
{
    struct buffer buffer = sample();
    struct span span;

    (void)state;
    for (int i = 0; i < SPAN_HEADERS_MAX + 3; i++)
        add_text(&buffer, WIRE_TEXT_REQUEST_HEADER, "a: b");
    assert_int_equal(parse(&buffer, &span), 0);
    assert_int_equal(span.request_header_count, SPAN_HEADERS_MAX);
    assert_int_equal(span.header_dropped_count, 3);
}

/* One thing at a time made impossible. */
static void test_span_refuses_what_can_not_be(void **state)
{
    struct buffer good = sample(), bad;
    struct span span;

    (void)state;
    assert_int_equal(parse(&good, &span), 0);
#define REFUSES(change)                                                                                                \
    bad = good;                                                                                                        \
    change;                                                                                                            \
    assert_int_equal(parse(&bad, &span), -EBADMSG)
    REFUSES(memset(request_of(&bad)->trace_id, 0, 16));
    REFUSES(memset(request_of(&bad)->span_id, 0, 8));
    REFUSES(request_of(&bad)->kind = 1);
    REFUSES(request_of(&bad)->method = WIRE_METHOD_COUNT);
    REFUSES(request_of(&bad)->error = WIRE_ERROR_COUNT);
    REFUSES(request_of(&bad)->withheld = WIRE_WITHHOLD_COUNT);
    REFUSES(request_of(&bad)->status = 99);
    REFUSES(request_of(&bad)->status = 1000);
    REFUSES(request_of(&bad)->peer.family = 9);
    REFUSES(request_of(&bad)->local.family = 9);
    REFUSES(request_of(&bad)->text_length = 5000);
    REFUSES(request_of(&bad)->text_length = 3);
    REFUSES(request_of(&bad)->text[0] = WIRE_TEXT_COUNT);
    REFUSES(request_of(&bad)->text[2] = 200);
    REFUSES(bad.length = sizeof(struct wire_request) - 1);
#undef REFUSES
}

static void assert_method(const char *known_methods, uint8_t method, const char *sent, const char *name,
                          const char *original)
{
    const struct process listing = {.wall_offset_ns = process.wall_offset_ns, .known_methods = known_methods};
    struct buffer buffer = sample();
    struct span span;

    request_of(&buffer)->method = method;
    if (sent)
        add_text(&buffer, WIRE_TEXT_METHOD, sent);
    assert_int_equal(span_parse(&listing, buffer.bytes, buffer.length, &span), 0);
    assert_int_equal(span.method.length, strlen(name));
    assert_memory_equal(span.method.bytes, name, strlen(name));
    assert_int_equal(span.method_original.length, strlen(original));
    assert_memory_equal(span.method_original.bytes, original, strlen(original));
}

static void test_span_names_methods(void **state)
{
    (void)state;
    assert_method(NULL, WIRE_METHOD_GET, NULL, "GET", "");
    assert_method(NULL, WIRE_METHOD_QUERY, NULL, "QUERY", "");
    assert_method(NULL, WIRE_METHOD_OTHER, "BREW", "_OTHER", "BREW");
    assert_method(NULL, WIRE_METHOD_OTHER, NULL, "_OTHER", "");
}

/* OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS replaces the usual ones as a whole. */
static void test_span_knows_the_methods_it_is_told(void **state)
{
    (void)state;
    assert_method("BREW, GET", WIRE_METHOD_GET, NULL, "GET", "");
    assert_method("BREW, GET", WIRE_METHOD_OTHER, "BREW", "BREW", "");
    assert_method("BREW, GET", WIRE_METHOD_OTHER, "brew", "_OTHER", "brew");
    assert_method("BREW, GET", WIRE_METHOD_OTHER, "BRE", "_OTHER", "BRE");
    assert_method("BREW, GET", WIRE_METHOD_POST, NULL, "_OTHER", "POST");
    assert_method(" ,", WIRE_METHOD_OTHER, NULL, "_OTHER", "");
    assert_method("0123456789012345678901234567890123456789", WIRE_METHOD_OTHER,
                  "0123456789012345678901234567890123456789", "_OTHER",
                  "0123456789012345678901234567890123456789"); /* longer than any */
}

static void assert_error_type(uint8_t kind, uint16_t status, uint8_t error, const char *text, const char *expected)
{
    struct buffer buffer = sample();
    struct span span;
    char code[8];

    request_of(&buffer)->kind = kind;
    request_of(&buffer)->status = status;
    request_of(&buffer)->error = error;
    if (text != NULL)
        add_text(&buffer, WIRE_TEXT_ERROR_TYPE, text);
    assert_int_equal(parse(&buffer, &span), 0);
    struct slice type = span_error_type(&span, code);
    assert_int_equal(type.length, strlen(expected));
    assert_memory_equal(type.bytes, expected, type.length);
}

static void test_span_tells_errors(void **state)
{
    (void)state;
    assert_error_type(WIRE_KIND_SERVER, 200, WIRE_ERROR_NONE, NULL, "");
    assert_error_type(WIRE_KIND_SERVER, 404, WIRE_ERROR_NONE, NULL, "");
    assert_error_type(WIRE_KIND_SERVER, 503, WIRE_ERROR_NONE, NULL, "503");
    assert_error_type(WIRE_KIND_CLIENT, 302, WIRE_ERROR_NONE, NULL, "");
    assert_error_type(WIRE_KIND_CLIENT, 404, WIRE_ERROR_NONE, NULL, "404");
    assert_error_type(WIRE_KIND_CLIENT, 999, WIRE_ERROR_NONE, NULL, "999");
    assert_error_type(WIRE_KIND_SERVER, 503, WIRE_ERROR_CONNECTION_RESET, NULL, "connection_reset");
    assert_error_type(WIRE_KIND_SERVER, 0, WIRE_ERROR_PROCESS_EXITED, NULL, "process_exited");
    assert_error_type(WIRE_KIND_CLIENT, 0, WIRE_ERROR_CONNECTION_REFUSED, NULL, "connection_refused");
    assert_error_type(WIRE_KIND_CLIENT, 0, WIRE_ERROR_OTHER, "could_not_resolve_host", "could_not_resolve_host");
    assert_error_type(WIRE_KIND_CLIENT, 404, WIRE_ERROR_NONE, "", "404");
}

static void test_span_reads_what_a_client_knows(void **state)
{
    const struct wire_client known = {.resend_count = 2, .connect_ns = 5};
    struct buffer buffer = sample();
    struct span span;

    (void)state;
    request_of(&buffer)->kind = WIRE_KIND_CLIENT;
    assert_int_equal(parse(&buffer, &span), 0);
    assert_int_equal(span.client.connect_ns, 0);
    add_bytes(&buffer, WIRE_TEXT_CLIENT, &known, sizeof(known) - 1); /* cut: there was no room */
    assert_int_equal(parse(&buffer, &span), 0);
    assert_int_equal(span.client.connect_ns, 0);

    buffer = sample();
    add_bytes(&buffer, WIRE_TEXT_CLIENT, &known, sizeof(known));
    assert_int_equal(parse(&buffer, &span), 0);
    assert_int_equal(span.client.resend_count, 0); /* a server's */
    request_of(&buffer)->kind = WIRE_KIND_CLIENT;
    assert_int_equal(parse(&buffer, &span), 0);
    assert_memory_equal(&span.client, &known, sizeof(known));
}

static void assert_name(const struct span *span, const char *expected)
{
    char name[SPAN_NAME_SIZE];

    assert_int_equal(span_name(span, name), strlen(expected));
    assert_string_equal(name, expected);
}

static void test_span_is_named_by_its_route(void **state)
{
    struct buffer buffer = sample();
    struct process routed = process;
    struct routes *routes = routes_new();
    char longest[ROUTES_LENGTH_MAX + 1];
    struct span span;

    (void)state;
    memset(longest, '/', sizeof(longest));
    longest[ROUTES_LENGTH_MAX] = '\0';
    assert_int_equal(routes_add(routes, "/{what}/{id}"), 0);
    assert_int_equal(routes_add(routes, longest), 0);
    routed.routes = routes;
    assert_int_equal(span_parse(&routed, buffer.bytes, buffer.length, &span), 0);
    assert_int_equal(span.route.length, 0);
    assert_name(&span, "GET");

    request_of(&buffer)->method = WIRE_METHOD_OPTIONS;
    request_of(&buffer)->text_length = 0;
    buffer.length = sizeof(struct wire_request);
    add_text(&buffer, WIRE_TEXT_PATH, "/users/7");
    assert_int_equal(span_parse(&routed, buffer.bytes, buffer.length, &span), 0);
    assert_name(&span, "OPTIONS /{what}/{id}");
    request_of(&buffer)->method = WIRE_METHOD_OTHER;
    assert_int_equal(span_parse(&routed, buffer.bytes, buffer.length, &span), 0);
    assert_name(&span, "HTTP /{what}/{id}");
    request_of(&buffer)->kind = WIRE_KIND_CLIENT; /* another program's paths */
    assert_int_equal(span_parse(&routed, buffer.bytes, buffer.length, &span), 0);
    assert_name(&span, "HTTP");

    request_of(&buffer)->kind = WIRE_KIND_SERVER;
    request_of(&buffer)->method = WIRE_METHOD_OPTIONS;
    request_of(&buffer)->text_length = 0;
    buffer.length = sizeof(struct wire_request);
    add_text(&buffer, WIRE_TEXT_PATH, longest);
    assert_int_equal(span_parse(&routed, buffer.bytes, buffer.length, &span), 0);
    assert_int_equal(span.route.length, ROUTES_LENGTH_MAX);
    char name[SPAN_NAME_SIZE];
    assert_int_equal(span_name(&span, name), strlen("OPTIONS ") + ROUTES_LENGTH_MAX);
    routes_free(routes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_span_is_named_by_its_route),
        cmocka_unit_test(test_span_reads_texts_and_times),
        cmocka_unit_test(test_span_passes_over_what_was_taken_back),
        cmocka_unit_test(test_span_is_never_shorter_than_nothing),
        cmocka_unit_test(test_span_counts_headers_beyond_the_table),
        cmocka_unit_test(test_span_refuses_what_can_not_be),
        cmocka_unit_test(test_span_names_methods),
        cmocka_unit_test(test_span_knows_the_methods_it_is_told),
        cmocka_unit_test(test_span_tells_errors),
        cmocka_unit_test(test_span_reads_what_a_client_knows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
