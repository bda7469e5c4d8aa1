/* SPDX-License-Identifier: Apache-2.0 */
/* A request as a line of a log: the three formats, and that no request can forge a line or a field. */
#include "exporters/encode/request_line.h"

#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/span.h"
#include "exporters/agent/zone.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/reason_phrase.h"
#include "tests/support/sample_request.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* 2026-11-21 02:53:01 UTC, when requests end that begin 200 us before. */
#define END_UNIX_NS INT64_C(1795229581000000000)

static struct settings *settings;
static struct resource *resource;
static struct zone *zone;
static struct process process;
static union sample_request record;
static struct buffer buffer;

static int set_up(void **state)
{
    (void)state;
    settings = settings_new((const char *const[]){"OTEL_SERVICE_NAME=shop"}, 1, NULL);
    zone = zone_new("XXX-01:30"); /* an hour and a half east */
    resource = resource_new(&(struct resource_facts){.executable = "/x"}, settings);
    process = (struct process){.pid = 1, .resource = resource, .zone = zone};
    sample_fill(&record.request, 1);
    process.wall_offset_ns = END_UNIX_NS - (int64_t)record.request.end_ns;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    resource_free(resource);
    zone_free(zone);
    settings_unref(settings);
    buffer_deinit(&buffer);
    return 0;
}

/* The record's line, until the next one is made. */
static const char *line_of(enum request_line_format format)
{
    struct span span;

    buffer.length = 0;
    assert_int_equal(span_parse(&process, &record, sample_size(&record.request), &span), 0);
    assert_int_equal(request_line_append(&buffer, &span, format), 0);
    assert_int_equal(buffer_append(&buffer, "", 1), 0);
    assert_int_equal(strlen((const char *)buffer.bytes), buffer.length - 1);
    return (const char *)buffer.bytes;
}

/* In place of the texts that sample_fill put. */
static void begin_texts(void)
{
    record.request.text_length = 0;
}

static void put(enum wire_text id, const char *text)
{
    sample_put_text(&record.request, id, text);
}

static void test_request_line_short(void **state)
{
    (void)state;
    assert_string_equal(line_of(REQUEST_LINE_SHORT),
                        "[2026-Nov-21 04:23] 127.0.0.1 GET http /orders/4711?page=2&sort=date 200 OK");
}

static void test_request_line_short_has_a_question_mark_without_a_query(void **state)
{
    (void)state;
    begin_texts();
    put(WIRE_TEXT_PATH, "/api/activities/home");
    assert_string_equal(line_of(REQUEST_LINE_SHORT),
                        "[2026-Nov-21 04:23] 127.0.0.1 GET http /api/activities/home? 200 OK");
}

static void test_request_line_short_names_what_proxies_say_and_codes_without_a_phrase(void **state)
{
    (void)state;
    begin_texts();
    put(WIRE_TEXT_PATH, "/");
    put(WIRE_TEXT_CLIENT_ADDRESS, "203.0.113.9");
    put(WIRE_TEXT_METHOD, "PURGE");
    record.request.method = WIRE_METHOD_OTHER;
    record.request.flags |= WIRE_REQUEST_HTTPS;
    record.request.status = 299;
    assert_string_equal(line_of(REQUEST_LINE_SHORT), "[2026-Nov-21 04:23] 203.0.113.9 PURGE https /? 299");
}

static void test_request_line_says_why_there_was_no_answer(void **state)
{
    (void)state;
    begin_texts();
    put(WIRE_TEXT_PATH, "/slow");
    record.request.status = 0;
    record.request.error = WIRE_ERROR_CLIENT_CLOSED;
    assert_string_equal(line_of(REQUEST_LINE_SHORT), "[2026-Nov-21 04:23] 127.0.0.1 GET http /slow? - client_closed");
}

static void test_request_line_combined(void **state)
{
    (void)state;
    assert_string_equal(line_of(REQUEST_LINE_COMBINED),
                        "127.0.0.1 - - [21/Nov/2026:04:23:01 +0130] \"GET /orders/4711?page=2&sort=date HTTP/1.1\" "
                        "200 612 \"-\" \"curl/8.5.0\"");
}

static void test_request_line_combined_has_referer_user_and_dashes(void **state)
{
    (void)state;
    begin_texts();
    put(WIRE_TEXT_PATH, "/");
    put(WIRE_TEXT_USER, "Ann Lee");
    put(WIRE_TEXT_REQUEST_HEADER, "accept: */*");
    put(WIRE_TEXT_REQUEST_HEADER, "referer: https://example.com/from");
    record.request.peer = (struct wire_address){.family = WIRE_FAMILY_UNIX};
    record.request.flags = 0;
    record.request.status = 0;
    record.request.version = 10;
    assert_string_equal(line_of(REQUEST_LINE_COMBINED),
                        "unix: - Ann\\x20Lee [21/Nov/2026:04:23:01 +0130] \"GET / HTTP/1.0\" - - "
                        "\"https://example.com/from\" \"-\"");
}

/* Line ends, quotes, escapes of terminals, bytes that are no ASCII: none of them gets through. */
static void test_request_line_can_not_be_forged(void **state)
{
    (void)state;
    begin_texts();
    put(WIRE_TEXT_PATH, "/a b\"\\\r\n[2026");
    put(WIRE_TEXT_QUERY, "q=\x1b[31m");
    put(WIRE_TEXT_USER_AGENT, "x\" 200 0 \"\n\xc3\xa4");
    assert_string_equal(line_of(REQUEST_LINE_SHORT),
                        "[2026-Nov-21 04:23] 127.0.0.1 GET http /a\\x20b\\x22\\x5C\\x0D\\x0A[2026?q=\\x1B[31m 200 OK");
    assert_string_equal(line_of(REQUEST_LINE_COMBINED),
                        "127.0.0.1 - - [21/Nov/2026:04:23:01 +0130] "
                        "\"GET /a\\x20b\\x22\\x5C\\x0D\\x0A[2026?q=\\x1B[31m HTTP/1.1\" 200 612 \"-\" "
                        "\"x\\x22 200 0 \\x22\\x0A\\xC3\\xA4\"");
}

/* The longest record, all of it to be escaped. */
static void test_request_line_has_room_for_the_longest_request(void **state)
{
    static char bytes[WIRE_RECORD_MAX - sizeof(struct wire_record) - sizeof(struct wire_request) - 4];

    (void)state;
    begin_texts();
    memset(bytes, 0xff, sizeof(bytes));
    sample_put(&record.request, WIRE_TEXT_PATH, bytes, sizeof(bytes));
    assert_int_equal(strlen(line_of(REQUEST_LINE_SHORT)),
                     4 * sizeof(bytes) + strlen("[2026-Nov-21 04:23] 127.0.0.1 GET http ? 200 OK"));
    assert_non_null(strstr(line_of(REQUEST_LINE_COMBINED), "\\xFF HTTP/1.1\" 200 612 \"-\" \"-\""));
}

static const char *text_in(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void test_request_line_json(void **state)
{
    json_t *object;

    (void)state;
    record.request.flags |= WIRE_REQUEST_XRAY_SAMPLED;
    object = json_loads(line_of(REQUEST_LINE_JSON), 0, NULL);
    assert_non_null(object);
    assert_string_equal(text_in(object, "time"), "2026-11-21T02:53:01.000000Z");
    assert_string_equal(text_in(object, "service"), "shop");
    assert_string_equal(text_in(object, "client"), "127.0.0.1");
    assert_string_equal(text_in(object, "method"), "GET");
    assert_string_equal(text_in(object, "scheme"), "http");
    assert_string_equal(text_in(object, "host"), "shop.example.com");
    assert_string_equal(text_in(object, "path"), "/orders/4711");
    assert_string_equal(text_in(object, "query"), "page=2&sort=date");
    assert_string_equal(text_in(object, "user_agent"), "curl/8.5.0");
    assert_string_equal(text_in(object, "trace_id"), "01000000abababababababababababab");
    assert_string_equal(text_in(object, "span_id"), "01000000cdcdcdcd");
    assert_int_equal(json_integer_value(json_object_get(object, "status")), 200);
    assert_int_equal(json_integer_value(json_object_get(object, "bytes")), 612);
    assert_true(json_real_value(json_object_get(object, "duration")) == 0.0002);
    assert_true(json_is_true(json_object_get(object, "sampled")));
    assert_true(json_is_true(json_object_get(object, "xray_sampled")));
    assert_null(json_object_get(object, "user"));
    assert_null(json_object_get(object, "parent_span_id"));
    assert_null(json_object_get(object, "error"));
    json_decref(object);
}

static void test_request_line_json_is_one_line_of_utf8(void **state)
{
    const char *line;
    json_t *object;

    (void)state;
    begin_texts();
    put(WIRE_TEXT_PATH, "/\xff\n\"");
    record.request.flags = 0;
    record.request.status = 503;
    line = line_of(REQUEST_LINE_JSON);
    assert_null(strchr(line, '\n'));
    object = json_loads(line, 0, NULL);
    assert_string_equal(text_in(object, "path"), "/\xef\xbf\xbd\n\"");
    assert_string_equal(text_in(object, "error"), "503");
    assert_true(json_is_false(json_object_get(object, "sampled")));
    assert_true(json_is_false(json_object_get(object, "xray_sampled")));
    json_decref(object);
}

static void test_request_line_knows_the_phrases(void **state)
{
    (void)state;
    assert_string_equal(reason_phrase(100), "Continue");
    assert_string_equal(reason_phrase(404), "Not Found");
    assert_string_equal(reason_phrase(511), "Network Authentication Required");
    assert_null(reason_phrase(0));
    assert_null(reason_phrase(306));
    assert_null(reason_phrase(999));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_request_line_short),
        TEST(test_request_line_short_has_a_question_mark_without_a_query),
        TEST(test_request_line_short_names_what_proxies_say_and_codes_without_a_phrase),
        TEST(test_request_line_says_why_there_was_no_answer),
        TEST(test_request_line_combined),
        TEST(test_request_line_combined_has_referer_user_and_dashes),
        TEST(test_request_line_can_not_be_forged),
        TEST(test_request_line_has_room_for_the_longest_request),
        TEST(test_request_line_json),
        TEST(test_request_line_json_is_one_line_of_utf8),
        TEST(test_request_line_knows_the_phrases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
