/* SPDX-License-Identifier: Apache-2.0 */
/* Documents that are too large: what is shed, and in which order. */
#include "exporters/encode/xray_shed.h"

#include "exporters/encode/buffer.h"
#include "tests/support/xray_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *text_of_length(size_t length)
{
    char *text = malloc(length);

    memset(text, 'x', length);
    json_t *string = json_stringn(text, length);
    free(text);
    return string;
}

/* A document with everything that can be shed, each with a size of its own. */
static json_t *make_document(void)
{
    json_t *stack = json_array();

    for (int i = 0; i < 20; i++)
        (void)json_array_append_new(stack, json_pack("{s:o, s:i}", "label", text_of_length(100), "line", i));
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:b, s:b, s:{s:{s:s, s:s, s:o}, s:{s:i}}, s:{s:[{s:s, s:o, s:o}]},"
                     " s:{s:{s:o}}, s:{s:o}, s:{s:o}}",
                     "name", "n", "id", "0123456789abcdef", "trace_id", "1-01234567-0123456789abcdef01234567",
                     "start_time", 1.5, "end_time", 2.5, "in_progress", 0, "fault", 1, "http", "request", "method",
                     "GET", "url", "http://a/", "user_agent", text_of_length(1000), "response", "status", 500, "cause",
                     "exceptions", "id", "0123456789abcdef", "message", text_of_length(900), "stack", stack, "metadata",
                     "default", "m", text_of_length(2000), "annotations", "a", text_of_length(1000), "service",
                     "version", text_of_length(1000));
}

/* The document within `max`, read back; NULL: it does not fit. */
static json_t *shed(size_t max)
{
    json_t *document = make_document(), *alone = json_array(), *out = NULL;
    struct buffer payload = {0};

    (void)buffer_append(&payload, "before", 6);
    int r = xray_shed_write(document, max, &payload, alone);
    assert_memory_equal(payload.bytes, "before", 6);
    assert_true(r == 0 || r == -EMSGSIZE);
    if (r == 0) {
        assert_true(payload.length - 6 <= max + 1);
        assert_int_equal(payload.bytes[payload.length - 1], '\n');
        out = json_loadb((const char *)payload.bytes + 6, payload.length - 6, 0, NULL);
        assert_non_null(out);
    } else {
        assert_int_equal(payload.length, 6);
    }
    assert_int_equal(json_array_size(alone), 0);
    json_decref(document);
    json_decref(alone);
    buffer_deinit(&payload);
    return out;
}

static const json_t *exception_of(const json_t *document)
{
    return json_array_get(json_object_get(json_object_get(document, "cause"), "exceptions"), 0);
}

static const json_t *steps_of(const json_t *document)
{
    return json_object_get(json_object_get(json_object_get(document, "metadata"), "default"), "spanshim.shed");
}

/* What is still there once so many steps were taken. */
static void assert_left(const json_t *document, size_t taken)
{
    const json_t *exception = exception_of(document);
    const json_t *request = json_object_get(json_object_get(document, "http"), "request");

    assert_int_equal(json_object_get(json_object_get(json_object_get(document, "metadata"), "default"), "m") != NULL,
                     taken < 1);
    assert_int_equal(json_array_size(json_object_get(exception, "stack")), taken < 2 ? 20 : taken < 3 ? 10 : 0);
    assert_int_equal(json_integer_value(json_object_get(exception, "truncated")), taken < 2 || taken == 7 ? 0
                                                                                  : taken < 3             ? 10
                                                                                                          : 20);
    assert_int_equal(json_string_length(json_object_get(exception, "message")), taken < 4 ? 900 : taken < 7 ? 250 : 0);
    assert_int_equal(json_object_get(document, "annotations") != NULL, taken < 5);
    assert_int_equal(json_object_get(request, "user_agent") != NULL, taken < 6);
    assert_int_equal(json_object_get(request, "url") != NULL, taken < 7);
    assert_int_equal(json_object_get(document, "service") != NULL, taken < 7);
    xray_assert_member(document, "fault", "true");
    xray_assert_member(json_object_get(document, "http"), "response", "{'status': 500}");
}

/* Each step is reached, none too early, and the documents shrink with the limit. */
static void test_xray_shed_takes_its_steps_in_order(void **state)
{
    static const char *const steps[] = {"metadata", "stack_10", "stack", "message", "annotations", "request", "others"};
    size_t seen = 0;
    json_t *document;
    (void)state;
    for (size_t max = 12000; (document = shed(max)) != NULL; max -= 5) {
        size_t count = json_array_size(steps_of(document));
        assert_in_range(count, seen, seen + 1);
        for (size_t i = 0; i < count; i++)
            assert_string_equal(json_string_value(json_array_get(steps_of(document), i)), steps[i]);
        assert_left(document, count);
        seen = count;
        json_decref(document);
    }
    assert_int_equal(seen, 7);
}

static void test_xray_shed_leaves_what_fits_as_it_is(void **state)
{
    json_t *document = make_document();
    size_t length = json_dumpb(document, NULL, 0, JSON_COMPACT | JSON_REAL_PRECISION(16));
    (void)state;
    json_t *same = shed(length);
    assert_true(json_equal(same, document));
    json_decref(same);
    same = shed(length - 1);
    assert_false(json_equal(same, document));
    json_decref(same);
    json_decref(document);
}

/* A real batch whose calls make the segment too large. */
static void test_xray_shed_sends_the_newest_calls_on_their_own(void **state)
{
    (void)state;
    struct wire_request *request = xray_add_request();
    for (size_t i = 0; i < XRAY_EMBEDDED_MAX; i++)
        (void)xray_add_call(request);
    xray_options.document_max = 4000;
    xray_options.has_metadata = true;
    const json_t *documents = xray_encode();
    const json_t *segment = json_array_get(documents, 0);
    const json_t *subsegments = json_object_get(segment, "subsegments");
    size_t embedded = json_array_size(subsegments);
    assert_in_range(embedded, 2, 10);
    assert_int_equal(json_array_size(documents), 1 + XRAY_EMBEDDED_MAX - embedded);
    xray_assert_all_arrived(1 + XRAY_EMBEDDED_MAX);
    xray_assert_member(json_array_get(subsegments, 0), "id", "'02000000cdcdcdcd'"); /* the oldest */
    assert_null(steps_of(segment));
    assert_int_equal(xray_dropped(), 0);
    xray_options.document_max = 1000;
    documents = xray_encode();
    assert_int_equal(json_array_size(documents), 1 + XRAY_EMBEDDED_MAX);
    xray_assert_member(json_array_get(documents, 0), "subsegments", NULL);
    assert_null(steps_of(json_array_get(documents, 0)));
}

/* Five hundred calls with texts as long as records have them. */
static void test_xray_shed_keeps_long_texts_within_a_datagram(void **state)
{
    char text[1001];
    (void)state;
    memset(text, '\x01', 1000); /* six bytes of JSON each */
    text[1000] = '\0';
    struct wire_request *request = xray_add_request();
    for (size_t i = 0; i < 500; i++) {
        struct wire_request *call = xray_add_call(request);
        call->text_length = 0;
        sample_put_text(call, WIRE_TEXT_SERVER_ADDRESS, "shop.example.com");
        sample_put_text(call, WIRE_TEXT_QUERY, text);
    }
    xray_options.has_metadata = true;
    const json_t *documents = xray_encode(); /* which checks the limit */
    assert_true(json_array_size(documents) > 1 + 500 - XRAY_EMBEDDED_MAX);
    xray_assert_all_arrived(1 + 500);
    assert_int_equal(xray_dropped(), 0);
}

/* The schema has no empty objects: the fixture would not take one. */
static void test_xray_shed_leaves_no_empty_object(void **state)
{
    (void)state;
    struct wire_request *call = xray_add_call(NULL);
    memset(call->parent_span_id, 1, sizeof(call->parent_span_id));
    call->status = 0;
    for (xray_options.document_max = 600; json_array_size(xray_encode()) > 0; xray_options.document_max--)
        ;
    assert_true(xray_options.document_max < 400);
}

static void test_xray_shed_counts_what_fits_nowhere(void **state)
{
    (void)state;
    (void)xray_add_call(xray_add_request());
    xray_options.document_max = 100;
    assert_int_equal(json_array_size(xray_encode()), 0);
    assert_int_equal(xray_dropped(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_xray_shed_##name, xray_set_up, xray_tear_down)
        TEST(takes_its_steps_in_order),
        TEST(leaves_what_fits_as_it_is),
        TEST(sends_the_newest_calls_on_their_own),
        TEST(keeps_long_texts_within_a_datagram),
        TEST(leaves_no_empty_object),
        TEST(counts_what_fits_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
