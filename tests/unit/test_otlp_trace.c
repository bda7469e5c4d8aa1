/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/otlp_trace.h"

#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/span.h"
#include "otlp.pb-c.h"
#include "tests/support/sample_request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SPANS_MAX = 600 };

/* One process, and what is encoded in a test. */
static struct settings *settings;
static struct resource *resource;
static struct process process;
static struct otlp_encoder *encoder;
static union sample_request records[SPANS_MAX];
static struct span spans[SPANS_MAX];
static struct otlp_limits limits;
static Otlp__ExportTraceServiceRequest *message;

static int set_up(void **state)
{
    (void)state;
    settings = settings_new(NULL, 0, NULL);
    resource = resource_new(&(struct resource_facts){.executable = "/usr/sbin/nginx"}, settings);
    process = (struct process){.pid = 4711, .resource = resource, .wall_offset_ns = INT64_C(1700000000000000000)};
    memset(process.instance_id, 0x5a, sizeof(process.instance_id));
    encoder = otlp_encoder_new();
    limits = (struct otlp_limits){.attribute_count = 128, .attribute_length = UINT32_MAX, .link_count = 128};
    sample_fill(&records[0].request, 1);
    return encoder == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    otlp__export_trace_service_request__free_unpacked(message, NULL);
    message = NULL;
    otlp_encoder_free(encoder);
    resource_free(resource);
    settings_unref(settings);
    return 0;
}

/* Encode the first `count` records as spans of the given processes (NULL: all of one), then read it back. */
static void encode(size_t count, const struct process *const *owners)
{
    const struct span *list[SPANS_MAX];
    const uint8_t *bytes;
    size_t length;

    for (size_t i = 0; i < count; i++) {
        const struct process *owner = owners != NULL ? owners[i] : &process;
        assert_int_equal(span_parse(owner, &records[i], sample_size(&records[i].request), &spans[i]), 0);
        list[i] = &spans[i];
    }
    assert_int_equal(otlp_trace_encode(encoder, list, count, &limits, &bytes, &length), 0);
    otlp__export_trace_service_request__free_unpacked(message, NULL);
    message = otlp__export_trace_service_request__unpack(NULL, length, bytes);
    assert_non_null(message);
    /* Nothing that we don't know, and not a byte more than protobuf-c itself would write. */
    assert_int_equal(otlp__export_trace_service_request__get_packed_size(message), length);
}

static const Otlp__Span *encode_one(void)
{
    encode(1, NULL);
    assert_int_equal(message->n_resource_spans, 1);
    assert_int_equal(message->resource_spans[0]->n_scope_spans, 1);
    assert_int_equal(message->resource_spans[0]->scope_spans[0]->n_spans, 1);
    return message->resource_spans[0]->scope_spans[0]->spans[0];
}

static const Otlp__AnyValue *find(Otlp__KeyValue **pairs, size_t count, const char *key)
{
    const Otlp__AnyValue *found = NULL;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(pairs[i]->key, key) != 0)
            continue;
        assert_null(found);
        found = pairs[i]->value;
    }
    return found;
}

static void assert_text(const Otlp__Span *span, const char *key, const char *expected)
{
    const Otlp__AnyValue *value = find(span->attributes, span->n_attributes, key);

    if (expected == NULL) {
        assert_null(value);
        return;
    }
    assert_non_null(value);
    assert_int_equal(value->value_case, OTLP__ANY_VALUE__VALUE_STRING_VALUE);
    assert_string_equal(value->string_value, expected);
}

static void assert_number(const Otlp__Span *span, const char *key, int64_t expected)
{
    const Otlp__AnyValue *value = find(span->attributes, span->n_attributes, key);

    if (expected < 0) {
        assert_null(value);
        return;
    }
    assert_non_null(value);
    assert_int_equal(value->value_case, OTLP__ANY_VALUE__VALUE_INT_VALUE);
    assert_int_equal(value->int_value, expected);
}

static void test_otlp_trace_has_links(void **state)
{
    struct wire_link link = {.trace_id = {1, 2, 3}, .span_id = {4, 5, 6}};
    const Otlp__Span *span;

    (void)state;
    sample_put(&records[0].request, WIRE_TEXT_LINK, (const char *)&link, sizeof(link));
    sample_put(&records[0].request, WIRE_TEXT_LINK, (const char *)&link, sizeof(link) - 1); /* cut */
    link.trace_id[0] = 7;
    sample_put(&records[0].request, WIRE_TEXT_LINK, (const char *)&link, sizeof(link));
    span = encode_one();
    assert_int_equal(span->n_links, 2);
    assert_int_equal(span->links[0]->trace_id.len, sizeof(link.trace_id));
    assert_memory_equal(span->links[0]->trace_id.data, "\1\2\3", 3);
    assert_int_equal(span->links[0]->span_id.len, sizeof(link.span_id));
    assert_memory_equal(span->links[0]->span_id.data, link.span_id, sizeof(link.span_id));
    assert_int_equal(span->links[0]->flags, 0x300);
    assert_memory_equal(span->links[1]->trace_id.data, link.trace_id, sizeof(link.trace_id));
    assert_int_equal(span->dropped_links_count, 0);

    limits.link_count = 1;
    span = encode_one();
    assert_int_equal(span->n_links, 1);
    assert_int_equal(span->dropped_links_count, 1);
}

static void test_otlp_trace_follows_the_server_conventions(void **state)
{
    (void)state;
    const Otlp__Span *span = encode_one();
    const struct wire_request *request = &records[0].request;

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
    assert_text(span, "http.request.method", "GET");
    assert_text(span, "http.request.method_original", NULL);
    assert_text(span, "url.path", "/orders/4711");
    assert_text(span, "url.query", "page=2&sort=date");
    assert_text(span, "url.scheme", "http");
    assert_text(span, "server.address", "shop.example.com");
    assert_number(span, "server.port", 8080);
    assert_text(span, "client.address", "127.0.0.1");
    assert_text(span, "network.peer.address", "127.0.0.1");
    assert_number(span, "network.peer.port", 40000);
    assert_text(span, "network.protocol.version", "1.1");
    assert_text(span, "network.transport", NULL);
    assert_text(span, "user_agent.original", "curl/8.5.0");
    assert_number(span, "http.response.status_code", 200);
    assert_text(span, "error.type", NULL);
    assert_number(span, "http.request.body.size", 0);
    assert_number(span, "http.response.body.size", 612);
    const Otlp__AnyValue *first = find(span->attributes, span->n_attributes, "spanshim.response.time_to_first_byte");
    assert_non_null(first);
    assert_true(first->double_value > 0.000149 && first->double_value < 0.000151);
    assert_int_equal(span->n_attributes, 15);
}

static void test_otlp_trace_describes_process_and_scope(void **state)
{
    (void)state;
    (void)encode_one();
    const Otlp__ResourceSpans *group = message->resource_spans[0];
    Otlp__KeyValue **pairs = group->resource->attributes;
    size_t count = group->resource->n_attributes;

    assert_string_equal(find(pairs, count, "service.name")->string_value, "nginx");
    assert_string_equal(find(pairs, count, "service.instance.id")->string_value,
                        "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a");
    assert_int_equal(find(pairs, count, "process.pid")->int_value, 4711);
    assert_string_equal(group->scope_spans[0]->scope->name, "spanshim.http");
    assert_string_not_equal(group->scope_spans[0]->scope->version, "");
}

static void test_otlp_trace_leaves_the_users_instance_id(void **state)
{
    static const char *const entries[] = {"OTEL_RESOURCE_ATTRIBUTES=service.instance.id=mine,process.pid=1"};

    (void)state;
    resource_free(resource);
    settings_unref(settings);
    settings = settings_new(entries, 1, NULL);
    resource = resource_new(&(struct resource_facts){0}, settings);
    process.resource = resource;
    (void)encode_one();
    Otlp__Resource *sent = message->resource_spans[0]->resource;
    assert_string_equal(find(sent->attributes, sent->n_attributes, "service.instance.id")->string_value, "mine");
    assert_string_equal(find(sent->attributes, sent->n_attributes, "process.pid")->string_value, "1");
}

static void test_otlp_trace_marks_remote_parents(void **state)
{
    struct wire_request *request = &records[0].request;

    (void)state;
    memset(request->parent_span_id, 7, sizeof(request->parent_span_id));
    assert_int_equal(encode_one()->flags, 0x103);
    request->flags |= WIRE_REQUEST_REMOTE_PARENT;
    request->trace_flags = 0xf1; /* bits that are not to be passed on */
    sample_put_text(request, WIRE_TEXT_TRACESTATE, "a=1,b=2");
    const Otlp__Span *span = encode_one();
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
        records[0].request.status = cases[i].status;
        records[0].request.error = cases[i].error;
        records[0].request.kind = cases[i].kind;
        const Otlp__Span *span = encode_one();
        assert_int_equal(span->kind, cases[i].kind);
        assert_text(span, "error.type", cases[i].type);
        assert_number(span, "http.response.status_code", cases[i].status != 0 ? cases[i].status : -1);
        assert_int_equal(span->status != NULL, cases[i].type != NULL);
        if (span->status != NULL) {
            assert_int_equal(span->status->code, OTLP__STATUS__STATUS_CODE__STATUS_CODE_ERROR);
            assert_string_equal(span->status->message, "");
        }
    }
}

static void assert_seconds(const Otlp__Span *span, const char *key, double expected)
{
    const Otlp__AnyValue *value = find(span->attributes, span->n_attributes, key);

    assert_non_null(value);
    assert_int_equal(value->value_case, OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE);
    assert_true(value->double_value > expected * 0.999999 && value->double_value < expected * 1.000001);
}

/* The first record becomes a request that the program made. */
static struct wire_request *make_client(void)
{
    struct wire_request *request = &records[0].request;

    request->kind = WIRE_KIND_CLIENT;
    request->peer = (struct wire_address){.family = WIRE_FAMILY_INET, .port = 8080, .ip = {10, 0, 0, 7}};
    return request;
}

static void test_otlp_trace_follows_the_client_conventions(void **state)
{
    struct wire_request *request = make_client();

    (void)state;
    memset(request->parent_span_id, 7, sizeof(request->parent_span_id));
    const Otlp__Span *span = encode_one();
    assert_string_equal(span->name, "GET");
    assert_int_equal(span->kind, OTLP__SPAN__SPAN_KIND__SPAN_KIND_CLIENT);
    assert_int_equal(span->flags, 0x103);
    assert_string_equal(message->resource_spans[0]->scope_spans[0]->scope->name, "spanshim.http");
    assert_text(span, "http.request.method", "GET");
    assert_text(span, "url.full", "http://shop.example.com:8080/orders/4711?page=2&sort=date");
    assert_text(span, "server.address", "shop.example.com");
    assert_number(span, "server.port", 8080);
    assert_text(span, "network.peer.address", "10.0.0.7");
    assert_number(span, "network.peer.port", 8080);
    assert_text(span, "network.protocol.version", "1.1");
    assert_text(span, "user_agent.original", "curl/8.5.0");
    assert_number(span, "http.response.status_code", 200);
    assert_number(span, "http.request.body.size", 0);
    assert_number(span, "http.response.body.size", 612);
    assert_seconds(span, "spanshim.response.time_to_first_byte", 0.00015);
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
    const Otlp__Span *span = encode_one();
    assert_number(span, "http.request.resend_count", 2);
    assert_seconds(span, "spanshim.dns.duration", 0.002);
    assert_seconds(span, "spanshim.connect.duration", 0.003);
    assert_seconds(span, "spanshim.tls.duration", 0.004);
    assert_seconds(span, "spanshim.request.time_to_last_byte", 0.005);
    assert_text(span, "spanshim.propagation.skipped", "signed");
    assert_text(span, "network.protocol.version", "2");
    assert_int_equal(span->n_attributes, 18);
    request->kind = WIRE_KIND_SERVER;
    assert_text(encode_one(), "spanshim.propagation.skipped", NULL);
}

/* A client's parent is a span of its own process, whoever named it. */
static void test_otlp_trace_has_no_remote_parent_of_a_client(void **state)
{
    struct wire_request *request = make_client();

    (void)state;
    memset(request->parent_span_id, 7, sizeof(request->parent_span_id));
    request->flags |= WIRE_REQUEST_REMOTE_PARENT;
    assert_int_equal(encode_one()->flags, 0x103);
}

static void test_otlp_trace_says_errors_in_words(void **state)
{
    struct wire_request *request = make_client();

    (void)state;
    request->status = 0;
    request->error = WIRE_ERROR_OTHER;
    sample_put_text(request, WIRE_TEXT_ERROR_TYPE, "couldnt_resolve_host");
    sample_put(request, WIRE_TEXT_ERROR_MESSAGE, "Could not resolve \xff", 19);
    const Otlp__Span *span = encode_one();
    assert_text(span, "error.type", "couldnt_resolve_host");
    assert_non_null(span->status);
    assert_int_equal(span->status->code, OTLP__STATUS__STATUS_CODE__STATUS_CODE_ERROR);
    assert_string_equal(span->status->message, "Could not resolve \xef\xbf\xbd");
}

static void test_otlp_trace_groups_by_scope(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        sample_fill(&records[i].request, i + 1);
    records[1].request.flags |= WIRE_REQUEST_BY_CURL;
    records[3].request.flags |= WIRE_REQUEST_BY_CURL;
    encode(4, NULL);
    assert_int_equal(message->n_resource_spans, 2);
    for (size_t i = 0; i < 2; i++) {
        const Otlp__ResourceSpans *group = message->resource_spans[i];

        assert_string_equal(group->scope_spans[0]->scope->name, i == 0 ? "spanshim.http" : "spanshim.curl");
        assert_int_equal(group->scope_spans[0]->n_spans, 2);
        assert_non_null(find(group->resource->attributes, group->resource->n_attributes, "service.name"));
        assert_memory_equal(group->scope_spans[0]->spans[1]->span_id.data, records[i + 2].request.span_id, 8);
    }
}

static void test_otlp_trace_names_unknown_methods_http(void **state)
{
    (void)state;
    records[0].request.method = WIRE_METHOD_OTHER;
    sample_put_text(&records[0].request, WIRE_TEXT_METHOD, "brew");
    const Otlp__Span *span = encode_one();
    assert_string_equal(span->name, "HTTP");
    assert_text(span, "http.request.method", "_OTHER");
    assert_text(span, "http.request.method_original", "brew");
}

static void test_otlp_trace_writes_addresses(void **state)
{
    struct wire_request *request = &records[0].request;

    (void)state;
    request->peer =
        (struct wire_address){.family = WIRE_FAMILY_INET6, .port = 1, .ip = {[0] = 0x20, [1] = 1, [15] = 9}};
    assert_text(encode_one(), "network.peer.address", "2001::9");
    request->peer = (struct wire_address){
        .family = WIRE_FAMILY_INET6, .ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 200, [14] = 0, [15] = 255}};
    assert_text(encode_one(), "network.peer.address", "10.200.0.255");
    assert_number(encode_one(), "network.peer.port", -1);
    sample_put_text(request, WIRE_TEXT_CLIENT_ADDRESS, "203.0.113.9");
    assert_text(encode_one(), "client.address", "203.0.113.9");
    assert_number(encode_one(), "client.port", -1);
    request->client_port = 56324;
    assert_number(encode_one(), "client.port", 56324);
    assert_text(encode_one(), "network.peer.address", "10.200.0.255");
    request->peer = (struct wire_address){.family = WIRE_FAMILY_UNIX};
    assert_text(encode_one(), "network.peer.address", NULL);
    assert_text(encode_one(), "network.transport", "unix");
    sample_put_text(request, WIRE_TEXT_PEER_PATH, "/run/peer.sock");
    assert_text(encode_one(), "network.peer.address", "/run/peer.sock");
}

static void assert_true_attribute(uint16_t flag, const char *key)
{
    uint16_t flags = records[0].request.flags;
    const Otlp__Span *span = encode_one();

    assert_null(find(span->attributes, span->n_attributes, key));
    records[0].request.flags |= flag;
    span = encode_one();
    const Otlp__AnyValue *value = find(span->attributes, span->n_attributes, key);
    assert_non_null(value);
    assert_int_equal(value->value_case, OTLP__ANY_VALUE__VALUE_BOOL_VALUE);
    assert_true(value->bool_value);
    records[0].request.flags = flags;
}

static void test_otlp_trace_says_what_is_odd(void **state)
{
    (void)state;
    assert_true_attribute(WIRE_REQUEST_UPGRADED, "spanshim.upgraded");
    assert_true_attribute(WIRE_REQUEST_TRUNCATED, "spanshim.truncated");
    assert_text(encode_one(), "spanshim.framing", NULL);
    records[0].request.flags |= WIRE_REQUEST_FRAMING_UNSEEN;
    assert_text(encode_one(), "spanshim.framing", "unseen");
    records[0].request.flags &= (uint16_t)~WIRE_REQUEST_FRAMING_UNSEEN;
    records[0].request.flags |= WIRE_REQUEST_FRAMING_AMBIGUOUS;
    assert_text(encode_one(), "spanshim.framing", "ambiguous");
    records[0].request.flags |= WIRE_REQUEST_FRAMING_INVALID;
    assert_text(encode_one(), "spanshim.framing", "invalid");
    assert_null(encode_one()->status);
}

static void test_otlp_trace_leaves_out_what_was_not_seen(void **state)
{
    struct wire_request *request = &records[0].request;

    (void)state;
    request->flags = WIRE_REQUEST_HTTPS;
    request->version = 0;
    request->first_byte_ns = 0;
    request->text_length = 0;
    request->peer = (struct wire_address){0};
    const Otlp__Span *span = encode_one();
    assert_text(span, "url.scheme", "https");
    assert_int_equal(span->n_attributes, 3);
}

static void test_otlp_trace_repairs_texts(void **state)
{
    struct wire_request *request = &records[0].request;

    (void)state;
    request->text_length = 0;
    sample_put(request, WIRE_TEXT_PATH, "/\xff\0\xc3\xa4", 5);
    sample_put(request, WIRE_TEXT_TRACESTATE, "a=\x80", 3);
    const Otlp__Span *span = encode_one();
    assert_text(span, "url.path", "/\xef\xbf\xbd\xef\xbf\xbd\xc3\xa4");
    assert_string_equal(span->trace_state, "a=\xef\xbf\xbd");
}

static void test_otlp_trace_joins_headers_of_one_name(void **state)
{
    struct wire_request *request = &records[0].request;

    (void)state;
    sample_put_text(request, WIRE_TEXT_REQUEST_HEADER, "accept: text/html");
    sample_put_text(request, WIRE_TEXT_REQUEST_HEADER, "x-a: 1");
    sample_put_text(request, WIRE_TEXT_REQUEST_HEADER, "accept: */*");
    sample_put_text(request, WIRE_TEXT_REQUEST_HEADER, "no header");
    sample_put_text(request, WIRE_TEXT_RESPONSE_HEADER, "accept: x");
    sample_put_text(request, WIRE_TEXT_RESPONSE_HEADER, "x-empty:");
    const Otlp__Span *span = encode_one();
    const Otlp__AnyValue *accept = find(span->attributes, span->n_attributes, "http.request.header.accept");
    assert_non_null(accept);
    assert_int_equal(accept->array_value->n_values, 2);
    assert_string_equal(accept->array_value->values[0]->string_value, "text/html");
    assert_string_equal(accept->array_value->values[1]->string_value, "*/*");
    const Otlp__AnyValue *other = find(span->attributes, span->n_attributes, "http.request.header.x-a");
    assert_string_equal(other->array_value->values[0]->string_value, "1");
    const Otlp__AnyValue *response = find(span->attributes, span->n_attributes, "http.response.header.accept");
    assert_string_equal(response->array_value->values[0]->string_value, "x");
    const Otlp__AnyValue *empty = find(span->attributes, span->n_attributes, "http.response.header.x-empty");
    assert_string_equal(empty->array_value->values[0]->string_value, "");
}

static void test_otlp_trace_keeps_to_limits_and_counts(void **state)
{
    (void)state;
    limits = (struct otlp_limits){.attribute_count = 5, .attribute_length = 4};
    const Otlp__Span *span = encode_one();
    assert_int_equal(span->n_attributes, 5);
    assert_int_equal(span->dropped_attributes_count, 10);
    assert_text(span, "http.request.method", "GET");
    assert_text(span, "url.path", "/ord");
    limits.attribute_count = 0;
    span = encode_one();
    assert_int_equal(span->n_attributes, 0);
    assert_int_equal(span->dropped_attributes_count, 15);
}

static void test_otlp_trace_groups_by_process(void **state)
{
    struct process other = process;
    const struct process *owners[SPANS_MAX];

    (void)state;
    other.pid = 4712;
    for (unsigned i = 0; i < SPANS_MAX; i++) {
        sample_fill(&records[i].request, i + 1);
        owners[i] = i % 3 == 0 ? &other : &process;
    }
    encode(SPANS_MAX, owners);
    assert_int_equal(message->n_resource_spans, 2);
    assert_int_equal(message->resource_spans[0]->scope_spans[0]->n_spans, 200);
    assert_int_equal(message->resource_spans[1]->scope_spans[0]->n_spans, 400);
    Otlp__Resource *first = message->resource_spans[0]->resource;
    assert_int_equal(find(first->attributes, first->n_attributes, "process.pid")->int_value, 4712);
    for (size_t i = 0; i < 200; i++)
        assert_memory_equal(message->resource_spans[0]->scope_spans[0]->spans[i]->span_id.data,
                            records[i * 3].request.span_id, 8);
}

/* The longest record there can be, all of it bytes that grow when they are repaired. */
static void encode_worst_texts(uint8_t kind)
{
    static const enum wire_text ids[] = {WIRE_TEXT_PATH,         WIRE_TEXT_SERVER_ADDRESS, WIRE_TEXT_PEER_PATH,
                                         WIRE_TEXT_TRACESTATE,   WIRE_TEXT_REQUEST_HEADER, WIRE_TEXT_ERROR_TYPE,
                                         WIRE_TEXT_ERROR_MESSAGE};
    struct wire_request *request = &records[0].request;
    char bad[WIRE_RECORD_MAX];

    memset(bad, 0xff, sizeof(bad));
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        sample_fill(request, 1);
        request->text_length = 0;
        request->kind = kind;
        request->peer.family = WIRE_FAMILY_UNIX;
        memcpy(bad, "x:", ids[i] == WIRE_TEXT_REQUEST_HEADER ? 2 : 0);
        sample_put(request, ids[i], bad, sizeof(records[0]) - sizeof(*request) - 4);
        (void)encode_one();
    }
}

static void test_otlp_trace_has_room_for_the_worst_record(void **state)
{
    struct wire_request *request = &records[0].request;

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
    const Otlp__Span *span = encode_one();
    assert_int_equal(span->dropped_attributes_count, 40 - SPAN_HEADERS_MAX);
}

static void test_otlp_trace_refuses_what_is_too_large(void **state)
{
    enum { COUNT = 20000 };
    const struct span **list = calloc(COUNT, sizeof(*list));
    char path[2000];
    const uint8_t *bytes;
    size_t length;

    (void)state;
    memset(path, 0xff, sizeof(path));
    records[0].request.text_length = 0;
    sample_put(&records[0].request, WIRE_TEXT_PATH, path, sizeof(path));
    assert_int_equal(span_parse(&process, &records[0], sample_size(&records[0].request), &spans[0]), 0);
    for (size_t i = 0; i < COUNT; i++)
        list[i] = &spans[0];
    assert_int_equal(otlp_trace_encode(encoder, list, COUNT, &limits, &bytes, &length), -EFBIG);
    assert_int_equal(otlp_trace_encode(encoder, list, 10, &limits, &bytes, &length), 0);
    free(list);
}

static void test_otlp_trace_has_the_route_in_attribute_and_name(void **state)
{
    struct routes *routes = routes_new();

    (void)state;
    assert_int_equal(routes_add(routes, "/{anything...}"), 0);
    process.routes = routes;
    const Otlp__Span *span = encode_one();
    assert_string_equal(span->name, "GET /{anything...}");
    assert_text(span, "http.route", "/{anything...}");
    process.routes = NULL;
    span = encode_one();
    assert_string_equal(span->name, "GET");
    assert_text(span, "http.route", NULL);
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
    process.exceptions[0] = &exception;
    process.exception_count = 1;
    span = encode_one();
    assert_int_equal(span->n_events, 0);
    memcpy(exception.span_id, records[0].request.span_id, sizeof(exception.span_id));
    span = encode_one();
    assert_int_equal(span->n_events, 1);
    assert_string_equal(span->events[0]->name, "exception");
    assert_int_equal(span->events[0]->time_unix_nano, exception.unix_ns);
    value = find(span->events[0]->attributes, span->events[0]->n_attributes, "exception.type");
    assert_string_equal(value->string_value, "SIGSEGV");
    value = find(span->events[0]->attributes, span->events[0]->n_attributes, "exception.stacktrace");
    assert_string_equal(value->string_value, stacktrace);
    struct process_exception newer = exception;
    newer.type = strcpy((char[8]){0}, "KeyErr");
    process.exceptions[process.exception_count++] = &newer; /* of the same request */
    span = encode_one();
    assert_int_equal(span->n_events, 1);
    value = find(span->events[0]->attributes, span->events[0]->n_attributes, "exception.type");
    assert_string_equal(value->string_value, "KeyErr");
    limits.attribute_length = 100;
    span = encode_one();
    value = find(span->events[0]->attributes, span->events[0]->n_attributes, "exception.stacktrace");
    assert_int_equal(strlen(value->string_value), 100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_otlp_trace_has_links),
        TEST(test_otlp_trace_follows_the_server_conventions),
        TEST(test_otlp_trace_describes_process_and_scope),
        TEST(test_otlp_trace_leaves_the_users_instance_id),
        TEST(test_otlp_trace_marks_remote_parents),
        TEST(test_otlp_trace_sets_status_and_error_type),
        TEST(test_otlp_trace_follows_the_client_conventions),
        TEST(test_otlp_trace_adds_what_a_client_knows),
        TEST(test_otlp_trace_has_no_remote_parent_of_a_client),
        TEST(test_otlp_trace_says_errors_in_words),
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
