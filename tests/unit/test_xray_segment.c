/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a segment: as X-Ray's SDK for Python sends them, and one by one. */
#include "exporters/encode/xray_segment.h"

#include "tests/support/xray_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NS_PER_US UINT64_C(1000)

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* samples of the real SDK */

/* The document behind the header line of a datagram in tests/data/xray. */
static json_t *read_sample(const char *name)
{
    char path[512], datagram[8192];

    (void)snprintf(path, sizeof(path), "%s/xray/%s.datagram", SPANSHIM_TEST_DATA, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(datagram, 1, sizeof(datagram) - 1, file);
    (void)fclose(file);
    datagram[length] = '\0';
    const char *line = strchr(datagram, '\n');
    assert_non_null(line);
    json_t *document = json_loads(line + 1, 0, NULL);
    assert_non_null(document);
    return document;
}

static void put_id(const char *digits, size_t length, uint8_t *out)
{
    for (size_t i = 0; i < length; i++, digits += 2) {
        unsigned byte;

        assert_int_equal(sscanf(digits, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
}

/* Ids and times are the sample's. */
static void take_identity(struct wire_request *request, const json_t *sample)
{
    const char *trace_id = text_of(sample, "trace_id"), *parent_id = text_of(sample, "parent_id");
    double start_us = json_number_value(json_object_get(sample, "start_time")) * 1e6;
    double end_us = json_number_value(json_object_get(sample, "end_time")) * 1e6;

    xray_process.wall_offset_ns = 0;
    put_id(trace_id + 2, 4, request->trace_id);
    put_id(trace_id + 11, 12, request->trace_id + 4);
    put_id(text_of(sample, "id"), 8, request->span_id);
    if (parent_id != NULL)
        put_id(parent_id, 8, request->parent_span_id);
    request->start_ns = (uint64_t)(start_us + 0.5) * NS_PER_US;
    request->first_byte_ns = 0;
    request->end_ns = (uint64_t)(end_us + 0.5) * NS_PER_US;
}

/* The samples' times have more digits than the clock they come from. */
static void round_times(json_t *document)
{
    static const char *const keys[] = {"start_time", "end_time"};
    json_t *subsegment;
    size_t i;

    for (i = 0; i < 2; i++) {
        double us = json_number_value(json_object_get(document, keys[i])) * 1e6;
        (void)json_object_set_new(document, keys[i], json_real((double)(uint64_t)(us + 0.5) / 1e6));
    }
    json_array_foreach(json_object_get(document, "subsegments"), i, subsegment) round_times(subsegment);
}

/* Equal, but for who says it. */
static void assert_is_sample(const json_t *document, json_t *sample)
{
    json_t *own = json_deep_copy(document);
    json_t *xray = json_object_get(json_object_get(own, "aws"), "xray");

    assert_string_equal(text_of(xray, "sdk"), "spanshim");
    assert_non_null(text_of(xray, "sdk_version"));
    (void)json_object_set_new(xray, "sdk", json_string("X-Ray for Python"));
    (void)json_object_set_new(xray, "sdk_version", json_string("2.15.0"));
    round_times(own);
    round_times(sample);
    if (!json_equal(own, sample))
        fail_msg("%s\nis not\n%s", json_dumps(own, JSON_SORT_KEYS), json_dumps(sample, JSON_SORT_KEYS));
    json_decref(own);
    json_decref(sample);
}

/* A Flask application by CPython 3.11.2, asked by curl. */
static struct wire_request *add_flask_request(const char *host, const char *path)
{
    static const char *const variables[] = {
        "OTEL_RESOURCE_ATTRIBUTES=process.runtime.name=cpython,process.runtime.version=3.11.2"};
    struct wire_request *request = xray_add_request();

    xray_set_resource(variables, 1);
    request->text_length = 0;
    request->flags |= WIRE_REQUEST_RESPONSE_LENGTH;
    sample_put_text(request, WIRE_TEXT_HOST, host);
    sample_put_text(request, WIRE_TEXT_PATH, path);
    sample_put_text(request, WIRE_TEXT_USER_AGENT, "curl/7.88.1");
    return request;
}

static void test_xray_segment_is_the_sdk_s_with_a_dynamic_name(void **state)
{
    (void)state;
    struct wire_request *request = add_flask_request("4567-ws.gitpod.example", "/api/activities/%40andrewbrown");
    json_t *sample = read_sample("1-server-nested-dynamic-name");
    xray_process.xray_url = "*4567-ws.gitpod.example*";
    sample_put_text(request, WIRE_TEXT_FORWARDED_FOR, "203.0.113.9, 10.0.0.1");
    sample_put_text(request, WIRE_TEXT_QUERY, "q=1");
    request->response_body_size = 25;
    take_identity(request, sample);
    (void)json_object_del(sample, "subsegments"); /* work within the program: no request */
    assert_is_sample(xray_encode_one(), sample);
}

static void test_xray_segment_is_the_sdk_s_with_a_call(void **state)
{
    (void)state;
    struct wire_request *request = add_flask_request("127.0.0.1:4567", "/api/activities/search");
    json_t *sample = read_sample("2-server-with-remote-call");
    json_t *called = json_array_get(json_object_get(sample, "subsegments"), 0);
    struct wire_request *call = xray_add_call(request);
    call->text_length = 0;
    sample_put_text(call, WIRE_TEXT_PATH, "/api/activities/home");
    sample_put_text(call, WIRE_TEXT_SERVER_ADDRESS, "127.0.0.1");
    sample_put_text(call, WIRE_TEXT_USER_AGENT, "python-requests/2.28.1");
    call->server_port = 4567;
    call->flags |= WIRE_REQUEST_RESPONSE_LENGTH;
    request->response_body_size = 13;
    take_identity(request, sample);
    take_identity(call, called);
    /* What was typed into requests.request() is not what was sent. */
    (void)json_object_set_new(json_object_get(json_object_get(called, "http"), "request"), "method",
                              json_string("GET"));
    assert_is_sample(xray_encode_one(), sample);
}

static void test_xray_segment_is_the_sdk_s_with_an_exception(void **state)
{
    (void)state;
    struct wire_request *request = add_flask_request("127.0.0.1:4567", "/boom");
    json_t *sample = read_sample("3-server-exception");
    json_t *cause = json_object_get(sample, "cause");
    json_t *thrown = json_array_get(json_object_get(cause, "exceptions"), 0);
    json_t *frames = json_deep_copy(json_object_get(thrown, "stack")), *frame;
    struct process_exception exception = {.is_crash = true,
                                          .type = strdup("RuntimeError"),
                                          .message = strdup("boom from the app"),
                                          .frames = frames,
                                          .working_directory = strdup("/srv")};
    size_t i;
    json_array_foreach(frames, i, frame)
    {
        json_t *path = json_sprintf("/usr/lib/%s", text_of(frame, "path"));
        (void)json_object_set_new(frame, "path", path);
    }
    request->status = 500;
    request->response_body_size = 265;
    take_identity(request, sample);
    memcpy(exception.span_id, request->span_id, sizeof(exception.span_id));
    xray_process.exceptions[0] = &exception;
    xray_process.exception_count = 1;
    const json_t *segment = xray_encode_one();
    const json_t *own = json_array_get(json_object_get(json_object_get(segment, "cause"), "exceptions"), 0);
    (void)json_object_set(thrown, "id", json_object_get(own, "id"));
    assert_is_sample(segment, sample);
    free(exception.type);
    free(exception.message);
    free(exception.working_directory);
    json_decref(frames);
}

/* http */

static const json_t *http_of(const json_t *document, const char *half)
{
    return json_object_get(json_object_get(document, "http"), half);
}

static void test_xray_segment_url_has_no_query_and_no_password(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    xray_assert_member(http_of(xray_encode_one(), "request"), "url", "'http://shop.example.com:8080/orders/4711'");
    request->flags |= WIRE_REQUEST_HTTPS;
    sample_put_text(request, WIRE_TEXT_HOST, "Shop.Example.com:443");
    xray_assert_member(http_of(xray_encode_one(), "request"), "url", "'https://Shop.Example.com:443/orders/4711'");
    request->kind = WIRE_KIND_CLIENT;
    request->flags |= WIRE_REQUEST_CREDENTIALS;
    memset(request->parent_span_id, 1, sizeof(request->parent_span_id));
    xray_assert_member(http_of(xray_encode_one(), "request"), "url",
                       "'https://REDACTED:REDACTED@shop.example.com:8080/orders/4711'");
}

/* HTTP/1.0 needs no Host. */
static void test_xray_segment_url_without_a_host_has_the_socket_s_address(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    request->text_length = 0;
    sample_put_text(request, WIRE_TEXT_PATH, "/a");
    request->server_port = 0;
    xray_assert_member(http_of(xray_encode_one(), "request"), "url", "'http://127.0.0.1:8080/a'");
    request->local = request->peer = (struct wire_address){.family = WIRE_FAMILY_UNIX};
    xray_assert_member(http_of(xray_encode_one(), "request"), "url", NULL);
    xray_assert_member(http_of(xray_encode_one(), "request"), "client_ip", NULL);
}

static void test_xray_segment_texts_of_a_request_have_250_characters(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    char text[601], path[602] = "/", expected[280] = "'http://shop.example.com:8080/";
    for (size_t i = 0; i < 600; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[600] = '\0';
    memcpy(path + 1, text, 601);
    request->text_length = 0;
    sample_put_text(request, WIRE_TEXT_SERVER_ADDRESS, "shop.example.com");
    sample_put_text(request, WIRE_TEXT_PATH, path);
    sample_put_text(request, WIRE_TEXT_USER_AGENT, text);
    const json_t *sent = http_of(xray_encode_one(), "request");
    assert_int_equal(strlen(text_of(sent, "user_agent")), 500);
    assert_memory_equal(text_of(sent, "url"), expected + 1, strlen(expected + 1));
    assert_int_equal(strlen(text_of(sent, "url")), 29 + (250 - 29) * 2 + 1 - 1);
}

static void test_xray_segment_client_is_whom_a_proxy_names(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    const json_t *sent = http_of(xray_encode_one(), "request");
    xray_assert_member(sent, "client_ip", "'127.0.0.1'");
    xray_assert_member(sent, "x_forwarded_for", NULL);
    sample_put_text(request, WIRE_TEXT_CLIENT_ADDRESS, "192.0.2.7");
    sent = http_of(xray_encode_one(), "request");
    xray_assert_member(sent, "client_ip", "'192.0.2.7'");
    xray_assert_member(sent, "x_forwarded_for", NULL);
    sample_put_text(request, WIRE_TEXT_FORWARDED_FOR, "203.0.113.9, 10.0.0.1");
    sent = http_of(xray_encode_one(), "request");
    xray_assert_member(sent, "client_ip", "'203.0.113.9, 10.0.0.1'");
    xray_assert_member(sent, "x_forwarded_for", "true");
}

static void test_xray_segment_method_is_the_one_that_was_sent(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    request->method = WIRE_METHOD_OTHER;
    sample_put_text(request, WIRE_TEXT_METHOD, "BREW");
    xray_assert_member(http_of(xray_encode_one(), "request"), "method", "'BREW'");
}

static void test_xray_segment_length_is_that_of_a_content_length(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    xray_assert_member(xray_encode_one(), "http",
                       "{'request': {'url': 'http://shop.example.com:8080/orders/4711',"
                       "'method': 'GET', 'user_agent': 'curl/8.5.0', 'client_ip': '127.0.0.1'},"
                       "'response': {'status': 200}}");
    request->flags |= WIRE_REQUEST_RESPONSE_LENGTH;
    xray_assert_member(http_of(xray_encode_one(), "response"), "content_length", "612");
    request->response_body_size = 0; /* to HEAD, or nothing */
    xray_assert_member(http_of(xray_encode_one(), "response"), "content_length", NULL);
    request->response_body_size = UINT64_MAX;
    xray_assert_member(http_of(xray_encode_one(), "response"), "content_length", NULL);
}

/* outcome */

static void assert_flags(const json_t *document, const char *expected)
{
    static const char *const flags[] = {"error", "throttle", "fault"};

    for (size_t i = 0; i < 3; i++)
        xray_assert_member(document, flags[i], strstr(expected, flags[i]) != NULL ? "true" : NULL);
}

static void test_xray_segment_has_the_flags_of_its_status(void **state)
{
    static const struct {
        uint16_t status;
        const char *flags;
    } cases[] = {{200, ""},
                 {304, ""},
                 {399, ""},
                 {400, "error"},
                 {404, "error"},
                 {428, "error"},
                 {429, "error throttle"},
                 {430, "error"},
                 {499, "error"},
                 {500, "fault"},
                 {503, "fault"},
                 {999, "fault"}};
    (void)state;
    struct wire_request *request = xray_add_request();
    struct wire_request *call = xray_add_call(request);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request->status = call->status = cases[i].status;
        const json_t *segment = xray_encode_one();
        assert_flags(segment, cases[i].flags);
        assert_flags(json_array_get(json_object_get(segment, "subsegments"), 0), cases[i].flags);
        xray_assert_member(segment, "cause", NULL);
    }
}

static void test_xray_segment_failure_has_a_cause(void **state)
{
    static const struct {
        enum wire_span_kind kind;
        enum wire_error error;
        uint16_t status;
        const char *flags, *type, *message;
    } cases[] = {
        {WIRE_KIND_CLIENT, WIRE_ERROR_CONNECTION_REFUSED, 0, "fault", "'connection_refused'", "'connection refused'"},
        {WIRE_KIND_CLIENT, WIRE_ERROR_NO_RESPONSE, 0, "fault", "'no_response'", "'no response'"},
        {WIRE_KIND_CLIENT, WIRE_ERROR_TIMEOUT, 0, "fault", "'timeout'", "'timeout'"},
        {WIRE_KIND_CLIENT, WIRE_ERROR_RESPONSE_INCOMPLETE, 200, "fault", "'response_incomplete'",
         "'response incomplete'"},
        {WIRE_KIND_CLIENT, WIRE_ERROR_CONNECTION_RESET, 0, "fault", "'connection_reset'", "'connection reset'"},
        {WIRE_KIND_CLIENT, WIRE_ERROR_OTHER, 0, "fault", "'_OTHER'", NULL},
        {WIRE_KIND_SERVER, WIRE_ERROR_PROCESS_EXITED, 0, "fault", "'process_exited'", "'process exited'"},
        {WIRE_KIND_SERVER, WIRE_ERROR_CLIENT_CLOSED, 0, "error", "'client_closed'", "'client closed'"},
        {WIRE_KIND_SERVER, WIRE_ERROR_CONNECTION_RESET, 0, "error", "'connection_reset'", "'connection reset'"},
        {WIRE_KIND_SERVER, WIRE_ERROR_PROCESS_EXITED, 404, "error fault", "'process_exited'", "'process exited'"},
    };
    (void)state;
    struct wire_request *request = xray_add_request();
    memset(request->parent_span_id, 1, sizeof(request->parent_span_id));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request->kind = cases[i].kind;
        request->error = cases[i].error;
        request->status = cases[i].status;
        const json_t *document = xray_encode_one();
        const json_t *exception = json_array_get(json_object_get(json_object_get(document, "cause"), "exceptions"), 0);
        assert_flags(document, cases[i].flags);
        xray_assert_member(exception, "type", cases[i].type);
        xray_assert_member(exception, "message", cases[i].message);
        xray_assert_member(exception, "remote", "false");
        assert_string_not_equal(text_of(exception, "id"), text_of(document, "id"));
    }
}

static void test_xray_segment_failure_is_told_in_the_shim_s_words(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    sample_put_text(request, WIRE_TEXT_ERROR_TYPE, "CURLE_COULDNT_RESOLVE_HOST");
    sample_put_text(request, WIRE_TEXT_ERROR_MESSAGE, "Could not resolve host: nowhere");
    const json_t *cause = json_object_get(xray_encode_one(), "cause");
    const json_t *exception = json_array_get(json_object_get(cause, "exceptions"), 0);
    xray_assert_member(exception, "type", "'CURLE_COULDNT_RESOLVE_HOST'");
    xray_assert_member(exception, "message", "'Could not resolve host: nowhere'");
}

static void test_xray_segment_of_a_crash_has_its_stack(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    struct wire_request *other = xray_add_request();
    struct process_exception exception = {.is_crash = true, .frames_left_out = 3};
    exception.type = strdup("SIGSEGV");
    exception.message = strdup("read of 0x10 (null pointer)");
    exception.frames = json_pack("[{s:s, s:i, s:s}, {s:s, s:s}]", "path", "src/http.c", "line", 312, "label",
                                 "parse_header", "path", "/usr/sbin/shop", "label", "0x55e0");
    memcpy(exception.span_id, request->span_id, sizeof(exception.span_id));
    xray_process.exceptions[0] = &exception;
    xray_process.exception_count = 1;
    request->status = 0;
    request->error = WIRE_ERROR_PROCESS_EXITED;
    other->status = 0;
    other->error = WIRE_ERROR_PROCESS_EXITED;
    const json_t *documents = xray_encode();
    const json_t *segment = json_array_get(documents, 0);
    const json_t *thrown = json_array_get(json_object_get(json_object_get(segment, "cause"), "exceptions"), 0);
    assert_flags(segment, "fault");
    xray_assert_member(thrown, "type", "'SIGSEGV'");
    xray_assert_member(thrown, "message", "'read of 0x10 (null pointer)'");
    xray_assert_member(thrown, "truncated", "3");
    xray_assert_member(thrown, "stack",
                       "[{'path': 'http.c', 'line': 312, 'label': 'parse_header'},"
                       " {'path': 'shop', 'label': '0x55e0'}]");
    thrown = json_array_get(json_object_get(json_object_get(json_array_get(documents, 1), "cause"), "exceptions"), 0);
    xray_assert_member(thrown, "type", "'process_exited'"); /* the crash was not its doing */
    xray_assert_member(thrown, "stack", NULL);
    free(exception.type);
    free(exception.message);
    json_decref(exception.frames);
}

/* who says it */

static void test_xray_segment_says_what_the_service_is(void **state)
{
    static const char *const variables[] = {
        "OTEL_RESOURCE_ATTRIBUTES=service.version=1.4.2,process.runtime.name=nodejs,process.runtime.version=18.19"};
    (void)state;
    struct wire_request *request = xray_add_request();
    (void)xray_add_call(request);
    xray_set_resource(variables, 1);
    const json_t *segment = xray_encode_one();
    xray_assert_member(segment, "service", "{'version': '1.4.2', 'runtime': 'nodejs', 'runtime_version': '18.19'}");
    xray_assert_member(json_array_get(json_object_get(segment, "subsegments"), 0), "service", NULL);
    xray_assert_member(json_array_get(json_object_get(segment, "subsegments"), 0), "aws", NULL);
}

static void test_xray_segment_names_the_rule_that_sampled_it(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    const json_t *xray = json_object_get(json_object_get(xray_encode_one(), "aws"), "xray");
    xray_assert_member(xray, "sampling_rule_name", NULL);
    sample_put_text(request, WIRE_TEXT_XRAY_RULE, "backend");
    xray = json_object_get(json_object_get(xray_encode_one(), "aws"), "xray");
    xray_assert_member(xray, "sampling_rule_name", "'backend'");
}

static void test_xray_segment_says_what_the_plugins_know(void **state)
{
    (void)state;
    json_t *plugins = json_pack("{s:s, s:{s:{s:s}, s:{s:i}}}", "origin", "AWS::ECS::Container", "aws", "ecs",
                                "container", "c1", "elastic_beanstalk", "deployment_id", 7);
    (void)xray_add_request();
    xray_options.plugins = plugins;
    const json_t *segment = xray_encode_one();
    xray_assert_member(segment, "origin", "'AWS::ECS::Container'");
    xray_assert_member(json_object_get(segment, "aws"), "ecs", "{'container': 'c1'}");
    xray_assert_member(json_object_get(segment, "aws"), "elastic_beanstalk", "{'deployment_id': 7}");
    assert_non_null(json_object_get(json_object_get(segment, "aws"), "xray"));
    assert_null(json_object_get(json_object_get(plugins, "aws"), "xray")); /* theirs is as it was */
    json_decref(plugins);
}

static void test_xray_segment_names_its_log_groups(void **state)
{
    static const struct {
        const char *variable, *expected;
    } cases[] = {
        {"OTEL_RESOURCE_ATTRIBUTES=a=b", NULL},
        {"SPANSHIM_CLOUDWATCH_LOG_GROUP=/shop/backend", "[{'log_group': '/shop/backend'}]"},
        {"SPANSHIM_CLOUDWATCH_LOG_GROUP=no group", NULL},
        {"OTEL_RESOURCE_ATTRIBUTES=aws.log.group.names=/app/one", "[{'log_group': '/app/one'}]"},
        {"OTEL_RESOURCE_ATTRIBUTES=aws.log.group.names=/app/one%3B%20/app/two%2C", "[{'log_group': '/app/one'},"
                                                                                   " {'log_group': '/app/two'}]"},
        {"OTEL_RESOURCE_ATTRIBUTES=aws.log.group.names=x,aws.log.group.arns=arn:aws:logs:eu-west-1:1:log-group:/app/"
         "one:*",
         "[{'log_group': '/app/one', 'arn': 'arn:aws:logs:eu-west-1:1:log-group:/app/one:*'}]"},
        {"OTEL_RESOURCE_ATTRIBUTES=aws.log.group.arns=arn:aws:logs:eu-west-1:1:log-group:g;nonsense",
         "[{'log_group': 'g', 'arn': 'arn:aws:logs:eu-west-1:1:log-group:g'}, {'arn': 'nonsense'}]"},
    };
    (void)state;
    (void)xray_add_request();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        xray_set_resource(&cases[i].variable, 1);
        xray_assert_member(json_object_get(xray_encode_one(), "aws"), "cloudwatch_logs", cases[i].expected);
    }
}

static void test_xray_segment_says_who_asked_and_what_else_is_linked(void **state)
{
    struct wire_link link;
    (void)state;
    struct wire_request *request = xray_add_request();
    xray_assert_member(xray_encode_one(), "user", NULL);
    xray_assert_member(xray_encode_one(), "links", NULL);
    sample_put_text(request, WIRE_TEXT_USER, "u-7");
    memset(link.trace_id, 0x11, sizeof(link.trace_id));
    memset(link.span_id, 0x22, sizeof(link.span_id));
    sample_put(request, WIRE_TEXT_LINK, (const char *)&link, sizeof(link));
    memset(request->parent_span_id, 0x33, sizeof(request->parent_span_id));
    const json_t *segment = xray_encode_one();
    xray_assert_member(segment, "user", "'u-7'");
    xray_assert_member(segment, "parent_id", "'3333333333333333'");
    xray_assert_member(segment, "links",
                       "[{'trace_id': '1-11111111-111111111111111111111111',"
                       " 'id': '2222222222222222',"
                       " 'attributes': {'aws.xray.reserved.reference_type': 'parent'}}]");
}

/* A shim that lies may cut it. */
static void test_xray_segment_has_no_half_of_a_link(void **state)
{
    (void)state;
    sample_put_text(xray_add_request(), WIRE_TEXT_LINK, "too short");
    xray_assert_member(xray_encode_one(), "links", NULL);
}

/* Fields may be missing for want of memory, but none that X-Ray requires, and no call. */
static int allocations_left;

static void *malloc_but_one(size_t size)
{
    return --allocations_left != 0 ? malloc(size) : NULL;
}

static void test_xray_segment_is_whole_or_none_when_memory_is_out(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    (void)xray_add_call(request);
    (void)xray_add_call(NULL);
    request->error = WIRE_ERROR_TIMEOUT;
    sample_put(request, WIRE_TEXT_LINK, (const char *)request->trace_id, sizeof(struct wire_link));
    xray_options.annotations = "http.route,url.path";
    xray_options.has_metadata = true;
    bool is_made = false;
    for (int n = 1; !is_made; n++) {
        allocations_left = n;
        const json_t *documents = xray_encode_scarcely(malloc_but_one);
        is_made = allocations_left > 0;
        if (documents == NULL)
            continue;
        assert_int_equal(json_array_size(documents), 2);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(json_array_size(json_object_get(json_array_get(documents, i), "subsegments")), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_xray_segment_##name, xray_set_up, xray_tear_down)
        TEST(is_the_sdk_s_with_a_dynamic_name),
        TEST(is_the_sdk_s_with_a_call),
        TEST(is_the_sdk_s_with_an_exception),
        TEST(url_has_no_query_and_no_password),
        TEST(url_without_a_host_has_the_socket_s_address),
        TEST(texts_of_a_request_have_250_characters),
        TEST(client_is_whom_a_proxy_names),
        TEST(method_is_the_one_that_was_sent),
        TEST(length_is_that_of_a_content_length),
        TEST(has_the_flags_of_its_status),
        TEST(failure_has_a_cause),
        TEST(failure_is_told_in_the_shim_s_words),
        TEST(of_a_crash_has_its_stack),
        TEST(says_what_the_service_is),
        TEST(names_the_rule_that_sampled_it),
        TEST(says_what_the_plugins_know),
        TEST(names_its_log_groups),
        TEST(says_who_asked_and_what_else_is_linked),
        TEST(has_no_half_of_a_link),
        TEST(is_whole_or_none_when_memory_is_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
