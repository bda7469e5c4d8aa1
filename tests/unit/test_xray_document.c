/* SPDX-License-Identifier: Apache-2.0 */
/* Which documents a batch becomes, and what is embedded where. */
#include "exporters/encode/xray_document.h"

#include "tests/support/xray_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const json_t *document(size_t n)
{
    return json_array_get(xray_encode(), n);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void test_xray_document_a_request_is_a_segment(void **state)
{
    (void)state;
    (void)xray_add_request();
    const json_t *segment = xray_encode_one();
    xray_assert_member(segment, "id", "'01000000cdcdcdcd'");
    xray_assert_member(segment, "trace_id", "'1-abababab-abababababababababababab'");
    xray_assert_member(segment, "name", "'backend-flask'");
    xray_assert_member(segment, "start_time", "1700000000.001");
    xray_assert_member(segment, "end_time", "1700000000.0012");
    xray_assert_member(segment, "in_progress", "false");
    xray_assert_member(segment, "parent_id", NULL);
    xray_assert_member(segment, "type", NULL);
}

static void test_xray_document_calls_are_embedded_in_the_order_of_their_start(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    xray_add_call(request)->start_ns = 1000300;
    xray_add_call(request)->start_ns = 1000200;
    const json_t *subsegments = json_object_get(xray_encode_one(), "subsegments");
    assert_int_equal(json_array_size(subsegments), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *subsegment = json_array_get(subsegments, i);
        assert_string_equal(text_of(subsegment, "id"), i == 0 ? "03000000cdcdcdcd" : "02000000cdcdcdcd");
        xray_assert_member(subsegment, "parent_id", "'01000000cdcdcdcd'");
        xray_assert_member(subsegment, "trace_id", "'1-abababab-abababababababababababab'");
        xray_assert_member(subsegment, "type", "'subsegment'");
        xray_assert_member(subsegment, "namespace", "'remote'");
        xray_assert_member(subsegment, "name", "'shop.example.com'");
    }
}

static void test_xray_document_calls_beyond_thirty_go_alone(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    for (size_t i = 0; i < 500; i++)
        (void)xray_add_call(request);
    const json_t *documents = xray_encode();
    assert_int_equal(json_array_size(documents), 1 + 500 - XRAY_EMBEDDED_MAX);
    assert_int_equal(json_array_size(json_object_get(json_array_get(documents, 0), "subsegments")), XRAY_EMBEDDED_MAX);
    for (size_t i = 1; i < json_array_size(documents); i++) {
        xray_assert_member(json_array_get(documents, i), "type", "'subsegment'");
        xray_assert_member(json_array_get(documents, i), "parent_id", "'01000000cdcdcdcd'");
    }
    xray_assert_all_arrived(1 + 500);
    assert_int_equal(xray_dropped(), 0);
}

static void test_xray_document_a_call_of_another_batch_s_request_goes_alone(void **state)
{
    (void)state;
    struct wire_request *call = xray_add_call(NULL);
    memset(call->parent_span_id, 7, sizeof(call->parent_span_id));
    const json_t *subsegment = xray_encode_one();
    xray_assert_member(subsegment, "type", "'subsegment'");
    xray_assert_member(subsegment, "parent_id", "'0707070707070707'");
}

/* A span's id is unique within its trace only. */
static void test_xray_document_a_call_of_another_trace_goes_alone(void **state)
{
    (void)state;
    struct wire_request *call = xray_add_call(xray_add_request());
    call->trace_id[0] = 1;
    assert_int_equal(json_array_size(xray_encode()), 2);
    assert_null(json_object_get(document(0), "subsegments"));
}

static void test_xray_document_a_call_without_a_parent_has_a_segment_around_it(void **state)
{
    (void)state;
    (void)xray_add_call(NULL);
    const json_t *segment = xray_encode_one();
    const json_t *subsegment = json_array_get(json_object_get(segment, "subsegments"), 0);
    xray_assert_member(segment, "name", "'backend-flask'");
    xray_assert_member(segment, "start_time", "1700000000.001");
    xray_assert_member(segment, "end_time", "1700000000.0012");
    xray_assert_member(segment, "parent_id", NULL);
    xray_assert_member(segment, "http", NULL);
    xray_assert_member(segment, "fault", NULL);
    assert_string_not_equal(text_of(segment, "id"), text_of(subsegment, "id"));
    assert_string_equal(text_of(segment, "id"), text_of(subsegment, "parent_id"));
    xray_assert_member(subsegment, "id", "'01000000cdcdcdcd'");
    char *id = strdup(text_of(segment, "id"));
    assert_string_equal(text_of(xray_encode_one(), "id"), id); /* when it is sent again */
    free(id);
}

/* The complete segment takes its place, and all that is embedded in it. */
static void test_xray_document_an_open_request_is_in_progress_and_has_no_calls(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    request->end_ns = 0;
    (void)xray_add_call(request);
    assert_int_equal(json_array_size(xray_encode()), 2);
    xray_assert_member(document(0), "in_progress", "true");
    xray_assert_member(document(0), "end_time", NULL);
    xray_assert_member(document(0), "subsegments", NULL);
    xray_assert_member(document(1), "type", "'subsegment'");
}

static void test_xray_document_an_open_call_goes_alone(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    xray_add_call(request)->end_ns = 0;
    (void)xray_add_call(request);
    assert_int_equal(json_array_size(xray_encode()), 2);
    const json_t *subsegments = json_object_get(document(0), "subsegments");
    assert_int_equal(json_array_size(subsegments), 1);
    xray_assert_member(json_array_get(subsegments, 0), "id", "'03000000cdcdcdcd'");
    xray_assert_member(document(1), "in_progress", "true");
}

/* An agent that reads hostile memory may be told so. */
static void test_xray_document_two_requests_of_one_id_share_no_calls(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    struct wire_request *other = xray_add_request();
    memcpy(other->span_id, request->span_id, sizeof(other->span_id));
    (void)xray_add_call(request);
    assert_int_equal(json_array_size(xray_encode()), 2);
    assert_int_equal(json_array_size(json_object_get(document(0), "subsegments")), 1);
    xray_assert_member(document(1), "subsegments", NULL);
}

static void test_xray_document_an_empty_batch_has_no_documents(void **state)
{
    (void)state;
    assert_int_equal(json_array_size(xray_encode()), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_xray_document_##name, xray_set_up, xray_tear_down)
        TEST(a_request_is_a_segment),
        TEST(calls_are_embedded_in_the_order_of_their_start),
        TEST(calls_beyond_thirty_go_alone),
        TEST(a_call_of_another_batch_s_request_goes_alone),
        TEST(a_call_of_another_trace_goes_alone),
        TEST(a_call_without_a_parent_has_a_segment_around_it),
        TEST(an_open_request_is_in_progress_and_has_no_calls),
        TEST(an_open_call_goes_alone),
        TEST(two_requests_of_one_id_share_no_calls),
        TEST(an_empty_batch_has_no_documents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
