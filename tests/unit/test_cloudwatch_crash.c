/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cloudwatch_crash.h"

#include "exporters/encode/buffer.h"
#include "exporters/encode/cloudwatch_events.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TRACE "000102030405060708090a0b0c0d0e0f"
#define SPAN  "0001020304050607"
#define TEXT  "SIGSEGV in f\n    #0   f (a.c:7)\ncrash report u-1"

static struct cloudwatch_options options;
static struct cloudwatch_room room;
static struct buffer payload;
static json_t *report;
static json_t *call; /* what was encoded; NULL: nothing */

static int set_up(void **state)
{
    (void)state;
    options =
        (struct cloudwatch_options){.group = "g", .stream = "{machine}/{program}/{service}/{pid}", .event_max = 262144};
    room = (struct cloudwatch_room){.bytes = UINT64_MAX};
    report = json_pack("{s:s, s:s, s:s, s:I, s:{s:s}, s:{s:s}, s:{s:i, s:s}, s:{s:s, s:s}, s:[{s:[{s:s, s:s, s:i}]}]}",
                       "kind", "crash", "uuid", "u-1", "title", "SIGSEGV in f", "time_unix_ns", (json_int_t)5000000,
                       "service", "name", "shop", "host", "name", "m", "process", "pid", 7, "executable", "/bin/prog",
                       "request", "trace_id", TRACE, "span_id", SPAN, "threads", "frames", "function", "f", "file",
                       "a.c", "line", 7);
    return report != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(report);
    json_decref(call);
    call = NULL;
    buffer_deinit(&payload);
    return 0;
}

/* The message of the event. */
static const char *encode(void)
{
    json_decref(call);
    payload.length = 0;
    assert_int_equal(cloudwatch_crash_append(report, &options, &room, &payload), 0);
    assert_memory_equal(payload.bytes, "1 {", 3);
    call = json_loadb((const char *)payload.bytes + 2, payload.length - 2, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(call);
    return json_string_value(json_object_get(json_array_get(json_object_get(call, "logEvents"), 0), "message"));
}

static void test_cloudwatch_crash_is_in_the_log_of_its_process(void **state)
{
    (void)state;
    (void)encode();
    assert_string_equal(json_string_value(json_object_get(call, "logGroupName")), "g");
    assert_string_equal(json_string_value(json_object_get(call, "logStreamName")), "m/prog/shop/7");
    assert_int_equal(
        json_integer_value(json_object_get(json_array_get(json_object_get(call, "logEvents"), 0), "timestamp")), 5);
}

static void test_cloudwatch_crash_has_title_calls_and_trace(void **state)
{
    json_t *event = json_loads(encode(), 0, NULL);

    (void)state;
    json_t *expected = json_pack("{s:s, s:s, s:s, s:s, s:s}", "message", TEXT, "trace_id", TRACE, "span_id", SPAN,
                                 "level", "CRITICAL", "iostream", "crash");
    assert_true(json_equal(event, expected));
    json_decref(event);
    json_decref(expected);
    options.is_plain = true;
    assert_string_equal(encode(), TEXT " trace_id=" TRACE);
}

static void test_cloudwatch_crash_has_no_id_that_is_none(void **state)
{
    (void)state;
    options.is_plain = true;
    assert_int_equal(json_object_set_new(json_object_get(report, "request"), "span_id", json_string("bad")), 0);
    assert_string_equal(encode(), TEXT);
    assert_int_equal(json_object_del(report, "request"), 0);
    assert_string_equal(encode(), TEXT);
}

static void test_cloudwatch_crash_does_with_little(void **state)
{
    (void)state;
    options.is_plain = true;
    assert_int_equal(json_object_clear(report), 0);
    assert_int_equal(json_object_set_new(report, "kind", json_string("death")), 0);
    assert_string_equal(encode(), "crash\ncrash report -");
}

static void test_cloudwatch_crash_counts_as_an_event(void **state)
{
    (void)state;
    room.bytes = 10;
    assert_int_equal(cloudwatch_crash_append(report, &options, &room, &payload), 0);
    assert_memory_equal(payload.bytes + payload.length - 3, "\n1\n", 3);
    assert_true(room.is_over);
}

static void test_cloudwatch_crash_is_no_other_report(void **state)
{
    (void)state;
    assert_int_equal(json_object_set_new(report, "kind", json_string("error")), 0);
    assert_int_equal(cloudwatch_crash_append(report, &options, &room, &payload), -ENOTSUP);
    assert_int_equal(payload.length, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cloudwatch_crash_is_in_the_log_of_its_process), TEST(test_cloudwatch_crash_has_title_calls_and_trace),
        TEST(test_cloudwatch_crash_has_no_id_that_is_none),       TEST(test_cloudwatch_crash_does_with_little),
        TEST(test_cloudwatch_crash_counts_as_an_event),           TEST(test_cloudwatch_crash_is_no_other_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
