/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/xray_attributes.h"

#include "tests/support/xray_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const json_t *metadata_of(const json_t *document)
{
    return json_object_get(json_object_get(document, "metadata"), "default");
}

static void test_xray_attributes_are_nowhere_unless_wanted(void **state)
{
    (void)state;
    (void)xray_add_request();
    const json_t *segment = xray_encode_one();
    xray_assert_member(segment, "annotations", NULL);
    xray_assert_member(segment, "metadata", NULL);
}

static void test_xray_attributes_without_a_field_are_metadata(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    request->request_body_size = 7;
    sample_put_text(request, WIRE_TEXT_REQUEST_HEADER, "x-id: 1");
    sample_put_text(request, WIRE_TEXT_REQUEST_HEADER, "x-id: 2");
    sample_put_text(request, WIRE_TEXT_USER, "u-7");
    xray_options.has_metadata = true;
    xray_assert_member(xray_encode_one(), "metadata",
                       "{'default': {'url.query': 'page=2&sort=date', 'network.peer.address': '127.0.0.1',"
                       " 'network.peer.port': 40000, 'network.protocol.version': '1.1', 'http.request.body.size': 7,"
                       " 'http.response.body.size': 612, 'spanshim.response.time_to_first_byte': 0.00015,"
                       " 'http.request.header.x-id': ['1', '2']}}");
}

static void test_xray_attributes_of_a_call_have_its_query(void **state)
{
    (void)state;
    struct wire_request *call = xray_add_call(NULL);
    memset(call->parent_span_id, 1, sizeof(call->parent_span_id));
    call->error = WIRE_ERROR_TIMEOUT;
    xray_options.has_metadata = true;
    const json_t *metadata = metadata_of(xray_encode_one());
    xray_assert_member(metadata, "url.full", "'http://shop.example.com:8080/orders/4711?page=2&sort=date'");
    xray_assert_member(metadata, "error.type", "'timeout'");
    xray_assert_member(metadata, "user_agent.original", "'curl/8.5.0'"); /* its own: no field for that */
    xray_assert_member(metadata, "server.address", NULL);
    call->text_length = 0;
    sample_put_text(call, WIRE_TEXT_PATH, "/orders");
    sample_put_text(call, WIRE_TEXT_SERVER_ADDRESS, "shop");
    xray_assert_member(metadata_of(xray_encode_one()), "url.full", NULL);
}

/* What a field has cut, metadata has whole. */
static void test_xray_attributes_longer_than_their_field_are_metadata(void **state)
{
    char text[301] = "/";
    (void)state;
    struct wire_request *request = xray_add_request();
    memset(text + 1, 'x', 299);
    request->text_length = 0;
    sample_put_text(request, WIRE_TEXT_PATH, text);
    sample_put_text(request, WIRE_TEXT_USER_AGENT, text);
    sample_put_text(request, WIRE_TEXT_USER, text);
    xray_options.has_metadata = true;
    const json_t *metadata = metadata_of(xray_encode_one());
    assert_string_equal(json_string_value(json_object_get(metadata, "url.path")), text);
    assert_string_equal(json_string_value(json_object_get(metadata, "user_agent.original")), text);
    assert_string_equal(json_string_value(json_object_get(metadata, "user.id")), text);
    request->text_length = 0;
    sample_put_text(request, WIRE_TEXT_PATH, "/short");
    xray_assert_member(metadata_of(xray_encode_one()), "url.path", NULL);
}

static void test_xray_attributes_that_are_named_are_annotations(void **state)
{
    static const char *const variables[] = {"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=staging,team=a b"};
    (void)state;
    struct wire_request *request = xray_add_request();
    (void)xray_add_call(request);
    request->flags |= WIRE_REQUEST_UPGRADED;
    sample_put_text(request, WIRE_TEXT_REQUEST_HEADER, "x-id: 1");
    sample_put_text(request, WIRE_TEXT_REQUEST_HEADER, "x-id: 2");
    xray_set_resource(variables, 1);
    xray_options.annotations = " http.response.status_code,url.path ,, spanshim.upgraded, nothing.of.that.name,"
                               "spanshim.response.time_to_first_byte,http.request.header.x-id,"
                               "deployment.environment.name,team";
    const json_t *segment = xray_encode_one();
    xray_assert_member(segment, "annotations",
                       "{'http_response_status_code': 200, 'url_path': '/orders/4711', 'spanshim_upgraded': true,"
                       " 'spanshim_response_time_to_first_byte': 0.00015, 'http_request_header_x_id': '1, 2',"
                       " 'deployment_environment_name': 'staging', 'team': 'a b'}");
    /* The resource is the segment's. */
    xray_assert_member(json_array_get(json_object_get(segment, "subsegments"), 0), "annotations",
                       "{'http_response_status_code': 200, 'spanshim_response_time_to_first_byte': 0.00015}");
}

static void test_xray_attributes_as_annotations_have_limits(void **state)
{
    static char names[60 * 12], variable[60 * 1100], long_name[600];
    static const char *const variables[] = {variable};
    char *end = stpcpy(variable, "OTEL_RESOURCE_ATTRIBUTES=");
    (void)state;
    (void)xray_add_request();
    memset(long_name, 'n', sizeof(long_name) - 1);
    for (size_t i = 0; i < 60; i++) {
        (void)sprintf(names + strlen(names), "%sname%zu", i > 0 ? "," : "", i);
        end += sprintf(end, "%sname%zu=%01050zu", i > 0 ? "," : "", i, i);
    }
    xray_set_resource(variables, 1);
    xray_options.annotations = names;
    const json_t *annotations = json_object_get(xray_encode_one(), "annotations");
    assert_int_equal(json_object_size(annotations), XRAY_ANNOTATIONS_MAX);
    assert_int_equal(json_string_length(json_object_get(annotations, "name49")), 1000);
    assert_null(json_object_get(annotations, "name50"));
    xray_options.annotations = long_name;
    xray_assert_member(xray_encode_one(), "annotations", NULL);
}

static void test_xray_attributes_of_hostile_bytes_are_texts(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    request->text_length = 0;
    sample_put(request, WIRE_TEXT_PATH, "/\xff\n\0\x1b", 5);
    sample_put(request, WIRE_TEXT_HOST, "\xc0\xaf\r\n", 4);
    sample_put(request, WIRE_TEXT_USER_AGENT, "\xed\xa0\x80\"\\", 5);
    sample_put(request, WIRE_TEXT_FORWARDED_FOR, "\0", 1);
    sample_put(request, WIRE_TEXT_USER, "\xf5", 1);
    xray_process.xray_url = "*";
    xray_options.has_metadata = true;
    xray_options.annotations = "url.path";
    const json_t *segment = xray_encode_one();
    xray_assert_member(segment, "name", "'unknown_service'");
    xray_assert_member(segment, "user", "'\\ufffd'");
    xray_assert_member(segment, "annotations", "{'url_path': '/\\ufffd\\n\\ufffd\\u001b'}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_xray_attributes_##name, xray_set_up, xray_tear_down)
        TEST(are_nowhere_unless_wanted),      TEST(without_a_field_are_metadata),
        TEST(of_a_call_have_its_query),       TEST(longer_than_their_field_are_metadata),
        TEST(that_are_named_are_annotations), TEST(as_annotations_have_limits),
        TEST(of_hostile_bytes_are_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
