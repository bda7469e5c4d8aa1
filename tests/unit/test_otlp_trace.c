/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of requests that a program served, and what all spans have. */
#include "exporters/encode/otlp_trace.h"

#include "exporters/agent/span.h"
#include "tests/support/otlp_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_otlp_trace_has_links(void **state)
{
    struct wire_link link = {.trace_id = {1, 2, 3}, .span_id = {4, 5, 6}};
    const Otlp__Span *span;

    (void)state;
    sample_put(&otlp_records[0].request, WIRE_TEXT_LINK, (const char *)&link, sizeof(link));
    sample_put(&otlp_records[0].request, WIRE_TEXT_LINK, (const char *)&link, sizeof(link) - 1); /* cut */
    link.trace_id[0] = 7;
    sample_put(&otlp_records[0].request, WIRE_TEXT_LINK, (const char *)&link, sizeof(link));
    span = otlp_encode_one();
    assert_int_equal(span->n_links, 2);
    assert_int_equal(span->links[0]->trace_id.len, sizeof(link.trace_id));
    assert_memory_equal(span->links[0]->trace_id.data, "\1\2\3", 3);
    assert_int_equal(span->links[0]->span_id.len, sizeof(link.span_id));
    assert_memory_equal(span->links[0]->span_id.data, link.span_id, sizeof(link.span_id));
    assert_int_equal(span->links[0]->flags, 0x300);
    assert_memory_equal(span->links[1]->trace_id.data, link.trace_id, sizeof(link.trace_id));
    assert_int_equal(span->dropped_links_count, 0);

    otlp_limits.link_count = 1;
    span = otlp_encode_one();
    assert_int_equal(span->n_links, 1);
    assert_int_equal(span->dropped_links_count, 1);
}

static void test_otlp_trace_follows_the_server_conventions(void **state)
{
    (void)state;
    const Otlp__Span *span = otlp_encode_one();
    const struct wire_request *request = &otlp_records[0].request;

    assert_memory_equal(span->trace_id.data, request->trace_id, 16);
    assert_int_equal(span->trace_id.len, 16);
    assert_memory_equal(span->span_id.data, request->span_id, 8);
    assert_int_equal(span->parent_span_id.len, 0);
    assert_string_equal(span->trace_state, "");
    assert_string_equal(span->name, "GET");
    assert_int_equal(span->kind, OTLP__SPAN__SPAN_KIND__SPAN_KIND_SERVER);
    assert_int_equal(span->start_time_unix_nano, 1700000000001000001);
    assert_int_equal(span->end_time_unix_nano, 1700000000001200001);
    assert_int_equal(span->flags, 0x103);
    assert_null(span->status);
    assert_int_equal(span->dropped_attributes_count, 0);
    otlp_assert_text(span, "http.request.method", "GET");
    otlp_assert_text(span, "http.request.method_original", NULL);
    otlp_assert_text(span, "url.path", "/orders/4711");
    otlp_assert_text(span, "url.query", "page=2&sort=date");
    otlp_assert_text(span, "url.scheme", "http");
    otlp_assert_text(span, "server.address", "shop.example.com");
    otlp_assert_number(span, "server.port", 8080);
    otlp_assert_text(span, "client.address", "127.0.0.1");
    otlp_assert_text(span, "network.peer.address", "127.0.0.1");
    otlp_assert_number(span, "network.peer.port", 40000);
    otlp_assert_text(span, "network.protocol.version", "1.1");
    otlp_assert_text(span, "network.transport", NULL);
    otlp_assert_text(span, "user_agent.original", "curl/8.5.0");
    otlp_assert_number(span, "http.response.status_code", 200);
    otlp_assert_text(span, "error.type", NULL);
    otlp_assert_number(span, "http.request.body.size", 0);
    otlp_assert_number(span, "http.response.body.size", 612);
    const Otlp__AnyValue *first =
        otlp_find(span->attributes, span->n_attributes, "spanshim.response.time_to_first_byte");
    assert_non_null(first);
    assert_true(first->double_value > 0.000149 && first->double_value < 0.000151);
    assert_int_equal(span->n_attributes, 15);
}

static void test_otlp_trace_describes_process_and_scope(void **state)
{
    (void)state;
    (void)otlp_encode_one();
    const Otlp__ResourceSpans *group = otlp_message->resource_spans[0];
    Otlp__KeyValue **pairs = group->resource->attributes;
    size_t count = group->resource->n_attributes;

    assert_string_equal(otlp_find(pairs, count, "service.name")->string_value, "nginx");
    assert_string_equal(otlp_find(pairs, count, "service.instance.id")->string_value,
                        "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a");
    assert_int_equal(otlp_find(pairs, count, "process.pid")->int_value, 4711);
    assert_string_equal(group->scope_spans[0]->scope->name, "spanshim.http");
    assert_string_not_equal(group->scope_spans[0]->scope->version, "");
}

static void test_otlp_trace_leaves_the_users_instance_id(void **state)
{
    (void)state;
    otlp_set_resource("OTEL_RESOURCE_ATTRIBUTES=service.instance.id=mine,process.pid=1");
    (void)otlp_encode_one();
    Otlp__Resource *sent = otlp_message->resource_spans[0]->resource;
    assert_string_equal(otlp_find(sent->attributes, sent->n_attributes, "service.instance.id")->string_value, "mine");
    assert_string_equal(otlp_find(sent->attributes, sent->n_attributes, "process.pid")->string_value, "1");
}

static void test_otlp_trace_marks_remote_parents(void **state)
{
    struct wire_request *request = &otlp_records[0].request;

    (void)state;
    memset(request->parent_span_id, 7, sizeof(request->parent_span_id));
    assert_int_equal(otlp_encode_one()->flags, 0x103);
    request->flags |= WIRE_REQUEST_REMOTE_PARENT;
    request->trace_flags = 0xf1; /* bits that are not to be passed on */
    sample_put_text(request, WIRE_TEXT_TRACESTATE, "a=1,b=2");
    const Otlp__Span *span = otlp_encode_one();
    assert_int_equal(span->flags, 0x301);
    assert_memory_equal(span->parent_span_id.data, request->parent_span_id, 8);
    assert_string_equal(span->trace_state, "a=1,b=2");
}

static void test_otlp_trace_sets_status_and_error_type(void **state)
{
    static const struct {
        uint16_t status;
        uint8_t error;
        uint8_t kind;
        const char *type;
    } cases[] = {
        {200, WIRE_ERROR_NONE, WIRE_KIND_SERVER, NULL},
        {302, WIRE_ERROR_NONE, WIRE_KIND_SERVER, NULL},
        {404, WIRE_ERROR_NONE, WIRE_KIND_SERVER, NULL},
        {404, WIRE_ERROR_NONE, WIRE_KIND_CLIENT, "404"},
        {500, WIRE_ERROR_NONE, WIRE_KIND_SERVER, "500"},
        {503, WIRE_ERROR_NONE, WIRE_KIND_CLIENT, "503"},
        {200, WIRE_ERROR_CLIENT_CLOSED, WIRE_KIND_SERVER, "client_closed"},
        {0, WIRE_ERROR_PROCESS_EXITED, WIRE_KIND_SERVER, "process_exited"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        otlp_records[0].request.status = cases[i].status;
        otlp_records[0].request.error = cases[i].error;
        otlp_records[0].request.kind = cases[i].kind;
        const Otlp__Span *span = otlp_encode_one();
        assert_int_equal(span->kind, cases[i].kind);
        otlp_assert_text(span, "error.type", cases[i].type);
        otlp_assert_number(span, "http.response.status_code", cases[i].status != 0 ? cases[i].status : -1);
        assert_int_equal(span->status != NULL, cases[i].type != NULL);
        if (span->status != NULL) {
            assert_int_equal(span->status->code, OTLP__STATUS__STATUS_CODE__STATUS_CODE_ERROR);
            assert_string_equal(span->status->message, "");
        }
    }
}

static void test_otlp_trace_groups_by_scope(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        sample_fill(&otlp_records[i].request, i + 1);
    otlp_records[1].request.flags |= WIRE_REQUEST_BY_CURL;
    otlp_records[3].request.flags |= WIRE_REQUEST_BY_CURL;
    otlp_encode(4, NULL);
    assert_int_equal(otlp_message->n_resource_spans, 2);
    for (size_t i = 0; i < 2; i++) {
        const Otlp__ResourceSpans *group = otlp_message->resource_spans[i];

        assert_string_equal(group->scope_spans[0]->scope->name, i == 0 ? "spanshim.http" : "spanshim.curl");
        assert_int_equal(group->scope_spans[0]->n_spans, 2);
        assert_non_null(otlp_find(group->resource->attributes, group->resource->n_attributes, "service.name"));
        assert_memory_equal(group->scope_spans[0]->spans[1]->span_id.data, otlp_records[i + 2].request.span_id, 8);
    }
}

static void test_otlp_trace_names_unknown_methods_http(void **state)
{
    (void)state;
    otlp_records[0].request.method = WIRE_METHOD_OTHER;
    sample_put_text(&otlp_records[0].request, WIRE_TEXT_METHOD, "brew");
    const Otlp__Span *span = otlp_encode_one();
    assert_string_equal(span->name, "HTTP");
    otlp_assert_text(span, "http.request.method", "_OTHER");
    otlp_assert_text(span, "http.request.method_original", "brew");
}

static void test_otlp_trace_writes_addresses(void **state)
{
    struct wire_request *request = &otlp_records[0].request;

    (void)state;
    request->peer =
        (struct wire_address){.family = WIRE_FAMILY_INET6, .port = 1, .ip = {[0] = 0x20, [1] = 1, [15] = 9}};
    otlp_assert_text(otlp_encode_one(), "network.peer.address", "2001::9");
    request->peer = (struct wire_address){
        .family = WIRE_FAMILY_INET6, .ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 200, [14] = 0, [15] = 255}};
    otlp_assert_text(otlp_encode_one(), "network.peer.address", "10.200.0.255");
    otlp_assert_number(otlp_encode_one(), "network.peer.port", -1);
    sample_put_text(request, WIRE_TEXT_CLIENT_ADDRESS, "203.0.113.9");
    otlp_assert_text(otlp_encode_one(), "client.address", "203.0.113.9");
    otlp_assert_number(otlp_encode_one(), "client.port", -1);
    request->client_port = 56324;
    otlp_assert_number(otlp_encode_one(), "client.port", 56324);
    otlp_assert_text(otlp_encode_one(), "network.peer.address", "10.200.0.255");
    request->peer = (struct wire_address){.family = WIRE_FAMILY_UNIX};
    otlp_assert_text(otlp_encode_one(), "network.peer.address", NULL);
    otlp_assert_text(otlp_encode_one(), "network.transport", "unix");
    sample_put_text(request, WIRE_TEXT_PEER_PATH, "/run/peer.sock");
    otlp_assert_text(otlp_encode_one(), "network.peer.address", "/run/peer.sock");
}

static void assert_true_attribute(uint16_t flag, const char *key)
{
    uint16_t flags = otlp_records[0].request.flags;
    const Otlp__Span *span = otlp_encode_one();

    assert_null(otlp_find(span->attributes, span->n_attributes, key));
    otlp_records[0].request.flags |= flag;
    span = otlp_encode_one();
    const Otlp__AnyValue *value = otlp_find(span->attributes, span->n_attributes, key);
    assert_non_null(value);
    assert_int_equal(value->value_case, OTLP__ANY_VALUE__VALUE_BOOL_VALUE);
    assert_true(value->bool_value);
    otlp_records[0].request.flags = flags;
}

static void test_otlp_trace_says_what_is_odd(void **state)
{
    (void)state;
    assert_true_attribute(WIRE_REQUEST_UPGRADED, "spanshim.upgraded");
    assert_true_attribute(WIRE_REQUEST_TRUNCATED, "spanshim.truncated");
    otlp_assert_text(otlp_encode_one(), "spanshim.framing", NULL);
    otlp_records[0].request.flags |= WIRE_REQUEST_FRAMING_UNSEEN;
    otlp_assert_text(otlp_encode_one(), "spanshim.framing", "unseen");
    otlp_records[0].request.flags &= (uint16_t)~WIRE_REQUEST_FRAMING_UNSEEN;
    otlp_records[0].request.flags |= WIRE_REQUEST_FRAMING_AMBIGUOUS;
    otlp_assert_text(otlp_encode_one(), "spanshim.framing", "ambiguous");
    otlp_records[0].request.flags |= WIRE_REQUEST_FRAMING_INVALID;
    otlp_assert_text(otlp_encode_one(), "spanshim.framing", "invalid");
    assert_null(otlp_encode_one()->status);
}

static void test_otlp_trace_leaves_out_what_was_not_seen(void **state)
{
    struct wire_request *request = &otlp_records[0].request;

    (void)state;
    request->flags = WIRE_REQUEST_HTTPS;
    request->version = 0;
    request->first_byte_ns = 0;
    request->text_length = 0;
    request->peer = (struct wire_address){0};
    const Otlp__Span *span = otlp_encode_one();
    otlp_assert_text(span, "url.scheme", "https");
    assert_int_equal(span->n_attributes, 3);
}

static void test_otlp_trace_repairs_texts(void **state)
{
    struct wire_request *request = &otlp_records[0].request;

    (void)state;
    request->text_length = 0;
    sample_put(request, WIRE_TEXT_PATH, "/\xff\0\xc3\xa4", 5);
    sample_put(request, WIRE_TEXT_TRACESTATE, "a=\x80", 3);
    const Otlp__Span *span = otlp_encode_one();
    otlp_assert_text(span, "url.path", "/\xef\xbf\xbd\xef\xbf\xbd\xc3\xa4");
    assert_string_equal(span->trace_state, "a=\xef\xbf\xbd");
}

static void test_otlp_trace_joins_headers_of_one_name(void **state)
{
    struct wire_request *request = &otlp_records[0].request;

    (void)state;
    sample_put_text(request, WIRE_TEXT_REQUEST_HEADER, "accept: text/html");
    sample_put_text(request, WIRE_TEXT_REQUEST_HEADER, "x-a: 1");
    sample_put_text(request, WIRE_TEXT_REQUEST_HEADER, "accept: */*");
    sample_put_text(request, WIRE_TEXT_REQUEST_HEADER, "no header");
    sample_put_text(request, WIRE_TEXT_RESPONSE_HEADER, "accept: x");
    sample_put_text(request, WIRE_TEXT_RESPONSE_HEADER, "x-empty:");
    const Otlp__Span *span = otlp_encode_one();
    const Otlp__AnyValue *accept = otlp_find(span->attributes, span->n_attributes, "http.request.header.accept");
    assert_non_null(accept);
    assert_int_equal(accept->array_value->n_values, 2);
    assert_string_equal(accept->array_value->values[0]->string_value, "text/html");
    assert_string_equal(accept->array_value->values[1]->string_value, "*/*");
    const Otlp__AnyValue *other = otlp_find(span->attributes, span->n_attributes, "http.request.header.x-a");
    assert_string_equal(other->array_value->values[0]->string_value, "1");
    const Otlp__AnyValue *response = otlp_find(span->attributes, span->n_attributes, "http.response.header.accept");
    assert_string_equal(response->array_value->values[0]->string_value, "x");
    const Otlp__AnyValue *empty = otlp_find(span->attributes, span->n_attributes, "http.response.header.x-empty");
    assert_string_equal(empty->array_value->values[0]->string_value, "");
}

static void test_otlp_trace_keeps_to_limits_and_counts(void **state)
{
    (void)state;
    otlp_limits = (struct otlp_limits){.attribute_count = 5, .attribute_length = 4};
    const Otlp__Span *span = otlp_encode_one();
    assert_int_equal(span->n_attributes, 5);
    assert_int_equal(span->dropped_attributes_count, 10);
    otlp_assert_text(span, "http.request.method", "GET");
    otlp_assert_text(span, "url.path", "/ord");
    otlp_limits.attribute_count = 0;
    span = otlp_encode_one();
    assert_int_equal(span->n_attributes, 0);
    assert_int_equal(span->dropped_attributes_count, 15);
}

static void test_otlp_trace_groups_by_process(void **state)
{
    struct process other = otlp_process;
    const struct process *owners[OTLP_SPANS_MAX];

    (void)state;
    other.pid = 4712;
    for (unsigned i = 0; i < OTLP_SPANS_MAX; i++) {
        sample_fill(&otlp_records[i].request, i + 1);
        owners[i] = i % 3 == 0 ? &other : &otlp_process;
    }
    otlp_encode(OTLP_SPANS_MAX, owners);
    assert_int_equal(otlp_message->n_resource_spans, 2);
    assert_int_equal(otlp_message->resource_spans[0]->scope_spans[0]->n_spans, 200);
    assert_int_equal(otlp_message->resource_spans[1]->scope_spans[0]->n_spans, 400);
    Otlp__Resource *first = otlp_message->resource_spans[0]->resource;
    assert_int_equal(otlp_find(first->attributes, first->n_attributes, "process.pid")->int_value, 4712);
    for (size_t i = 0; i < 200; i++)
        assert_memory_equal(otlp_message->resource_spans[0]->scope_spans[0]->spans[i]->span_id.data,
                            otlp_records[i * 3].request.span_id, 8);
}

/* The longest record there can be, all of it bytes that grow when they are repaired. */
static void encode_worst_texts(uint8_t kind)
{
    static const enum wire_text ids[] = {WIRE_TEXT_PATH,         WIRE_TEXT_SERVER_ADDRESS, WIRE_TEXT_PEER_PATH,
                                         WIRE_TEXT_TRACESTATE,   WIRE_TEXT_REQUEST_HEADER, WIRE_TEXT_ERROR_TYPE,
                                         WIRE_TEXT_ERROR_MESSAGE};
    struct wire_request *request = &otlp_records[0].request;
    char bad[WIRE_RECORD_MAX];

    memset(bad, 0xff, sizeof(bad));
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        sample_fill(request, 1);
        request->text_length = 0;
        request->kind = kind;
        request->peer.family = WIRE_FAMILY_UNIX;
        memcpy(bad, "x:", ids[i] == WIRE_TEXT_REQUEST_HEADER ? 2 : 0);
        sample_put(request, ids[i], bad, sizeof(otlp_records[0]) - sizeof(*request) - 4);
        (void)otlp_encode_one();
    }
}

static void test_otlp_trace_has_room_for_the_worst_record(void **state)
{
    struct wire_request *request = &otlp_records[0].request;

    (void)state;
    encode_worst_texts(WIRE_KIND_SERVER);
    encode_worst_texts(WIRE_KIND_CLIENT);
    sample_fill(request, 1);
    request->text_length = 0;
    for (unsigned i = 0; i < 64; i++) {
        char header[24];
        (void)snprintf(header, sizeof(header), "h%u:%u", i, i);
        sample_put_text(request, i < 40 ? WIRE_TEXT_REQUEST_HEADER : WIRE_TEXT_RESPONSE_HEADER, header);
    }
    const Otlp__Span *span = otlp_encode_one();
    assert_int_equal(span->dropped_attributes_count, 40 - SPAN_HEADERS_MAX);
}

static void test_otlp_trace_refuses_what_is_too_large(void **state)
{
    enum { COUNT = 20000 };
    const struct span **list = calloc(COUNT, sizeof(*list));
    struct otlp_encoder *encoder = otlp_encoder_new();
    struct span span;
    char path[2000];
    const uint8_t *bytes;
    size_t length;

    (void)state;
    memset(path, 0xff, sizeof(path));
    otlp_records[0].request.text_length = 0;
    sample_put(&otlp_records[0].request, WIRE_TEXT_PATH, path, sizeof(path));
    assert_int_equal(span_parse(&otlp_process, &otlp_records[0], sample_size(&otlp_records[0].request), &span), 0);
    for (size_t i = 0; i < COUNT; i++)
        list[i] = &span;
    assert_int_equal(otlp_trace_encode(encoder, list, COUNT, &otlp_limits, &bytes, &length), -EFBIG);
    assert_int_equal(otlp_trace_encode(encoder, list, 10, &otlp_limits, &bytes, &length), 0);
    otlp_encoder_free(encoder);
    free(list);
}

static void test_otlp_trace_has_the_route_in_attribute_and_name(void **state)
{
    struct routes *routes = routes_new();

    (void)state;
    assert_int_equal(routes_add(routes, "/{anything...}"), 0);
    otlp_process.routes = routes;
    const Otlp__Span *span = otlp_encode_one();
    assert_string_equal(span->name, "GET /{anything...}");
    otlp_assert_text(span, "http.route", "/{anything...}");
    otlp_process.routes = NULL;
    span = otlp_encode_one();
    assert_string_equal(span->name, "GET");
    otlp_assert_text(span, "http.route", NULL);
    routes_free(routes);
}

/* Of a process that crashed: the span that it worked on has the exception, the others don't. */
static void test_otlp_trace_has_the_exception_of_a_crash(void **state)
{
    static char type[] = "SIGSEGV", message_text[] = "write to 0x0", stacktrace[4096];
    struct process_exception exception = {
        .unix_ns = 1700000000000000007, .type = type, .message = message_text, .stacktrace = stacktrace};
    const Otlp__Span *span;
    const Otlp__AnyValue *value;

    (void)state;
    memset(stacktrace, 's', sizeof(stacktrace) - 1);
    otlp_process.exceptions[0] = &exception;
    otlp_process.exception_count = 1;
    span = otlp_encode_one();
    assert_int_equal(span->n_events, 0);
    memcpy(exception.span_id, otlp_records[0].request.span_id, sizeof(exception.span_id));
    span = otlp_encode_one();
    assert_int_equal(span->n_events, 1);
    assert_string_equal(span->events[0]->name, "exception");
    assert_int_equal(span->events[0]->time_unix_nano, exception.unix_ns);
    value = otlp_find(span->events[0]->attributes, span->events[0]->n_attributes, "exception.type");
    assert_string_equal(value->string_value, "SIGSEGV");
    value = otlp_find(span->events[0]->attributes, span->events[0]->n_attributes, "exception.stacktrace");
    assert_string_equal(value->string_value, stacktrace);
    struct process_exception newer = exception;
    newer.type = strcpy((char[8]){0}, "KeyErr");
    otlp_process.exceptions[otlp_process.exception_count++] = &newer; /* of the same request */
    span = otlp_encode_one();
    assert_int_equal(span->n_events, 1);
    value = otlp_find(span->events[0]->attributes, span->events[0]->n_attributes, "exception.type");
    assert_string_equal(value->string_value, "KeyErr");
    otlp_limits.attribute_length = 100;
    span = otlp_encode_one();
    value = otlp_find(span->events[0]->attributes, span->events[0]->n_attributes, "exception.stacktrace");
    assert_int_equal(strlen(value->string_value), 100);
    otlp_limits.event_attribute_count = 2;
    span = otlp_encode_one();
    assert_int_equal(span->events[0]->n_attributes, 2);
    assert_int_equal(span->events[0]->dropped_attributes_count, 1);
    assert_int_equal(span->dropped_events_count, 0);
    otlp_limits.event_count = 0;
    span = otlp_encode_one();
    assert_int_equal(span->n_events, 0);
    assert_int_equal(span->dropped_events_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, otlp_set_up, otlp_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_otlp_trace_has_links),
        TEST(test_otlp_trace_follows_the_server_conventions),
        TEST(test_otlp_trace_describes_process_and_scope),
        TEST(test_otlp_trace_leaves_the_users_instance_id),
        TEST(test_otlp_trace_marks_remote_parents),
        TEST(test_otlp_trace_sets_status_and_error_type),
        TEST(test_otlp_trace_groups_by_scope),
        TEST(test_otlp_trace_names_unknown_methods_http),
        TEST(test_otlp_trace_has_the_route_in_attribute_and_name),
        TEST(test_otlp_trace_writes_addresses),
        TEST(test_otlp_trace_says_what_is_odd),
        TEST(test_otlp_trace_leaves_out_what_was_not_seen),
        TEST(test_otlp_trace_repairs_texts),
        TEST(test_otlp_trace_joins_headers_of_one_name),
        TEST(test_otlp_trace_keeps_to_limits_and_counts),
        TEST(test_otlp_trace_groups_by_process),
        TEST(test_otlp_trace_has_room_for_the_worst_record),
        TEST(test_otlp_trace_refuses_what_is_too_large),
        TEST(test_otlp_trace_has_the_exception_of_a_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
