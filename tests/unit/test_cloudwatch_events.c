/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/cloudwatch_events.h"

#include "exporters/agent/log_event.h"
#include "exporters/agent/process.h"
#include "exporters/encode/buffer.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NS_PER_MS UINT64_C(1000000)
#define START_MS  UINT64_C(1700000000000)

enum { EVENTS_MAX = 10001, CALLS_MAX = 64 };

static struct process processes[2] = {{.pid = 11}, {.pid = 22}};
static struct log_event_record records[EVENTS_MAX];
static struct log_event events[EVENTS_MAX];
static const struct log_event *list[EVENTS_MAX];
static size_t event_count;

static struct cloudwatch_options options;
static struct cloudwatch_room room;
static struct buffer payload;
/* What was read back. */
static json_t *calls[CALLS_MAX];
static size_t call_count;
static uint64_t left_out;

static int set_up(void **state)
{
    (void)state;
    event_count = 0;
    options = (struct cloudwatch_options){.group = "g", .stream = "s-{pid}", .event_max = 262144};
    room = (struct cloudwatch_room){.bytes = UINT64_MAX};
    return 0;
}

static void forget_calls(void)
{
    while (call_count > 0)
        json_decref(calls[--call_count]);
    left_out = 0;
}

static int tear_down(void **state)
{
    (void)state;
    forget_calls();
    buffer_deinit(&payload);
    return 0;
}

/* The text is borrowed. */
static struct log_event_record *add(const char *text, size_t length, uint64_t ms)
{
    struct log_event_record *record = &records[event_count];

    *record = (struct log_event_record){.stream = WIRE_LOG_STDERR};
    events[event_count] = (struct log_event){
        .process = &processes[0], .unix_ns = ms * NS_PER_MS, .record = record, .text = {text, length}};
    list[event_count] = &events[event_count];
    event_count++;
    return record;
}

/* Encode all, and hold each call against what AWS takes. */
static void encode(void)
{
    forget_calls();
    payload.length = 0;
    assert_int_equal(cloudwatch_events_append(list, event_count, &options, &room, &payload), 0);
    for (const char *line = (const char *)payload.bytes, *end = line + payload.length; line < end;) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        char *body;
        uint64_t count = strtoull(line, &body, 10);

        assert_non_null(line_end);
        if (body == line_end) {
            left_out += count;
        } else {
            assert_true(call_count < CALLS_MAX);
            calls[call_count] = json_loadb(body, (size_t)(line_end - body), 0, NULL);
            assert_non_null(calls[call_count]);
            assert_int_equal(json_array_size(json_object_get(calls[call_count], "logEvents")), count);
            call_count++;
        }
        line = line_end + 1;
    }
    for (size_t i = 0; i < call_count; i++) {
        const json_t *entries = json_object_get(calls[i], "logEvents"), *entry;
        json_int_t first = 0, last = 0;
        size_t n, bytes = 0;

        json_array_foreach(entries, n, entry)
        {
            json_int_t ms = json_integer_value(json_object_get(entry, "timestamp"));
            size_t length = json_string_length(json_object_get(entry, "message")) + 26;

            assert_true(length > 26 && length <= options.event_max);
            assert_true(n == 0 || ms >= last);
            first = n == 0 ? ms : first;
            last = ms;
            bytes += length;
        }
        assert_true(bytes <= 1048576 && n >= 1 && n <= 10000 && last - first <= 24 * 3600 * 1000);
    }
}

static size_t size_of(size_t call)
{
    return json_array_size(json_object_get(calls[call], "logEvents"));
}

static const char *message_of(size_t call, size_t n)
{
    return json_string_value(json_object_get(json_array_get(json_object_get(calls[call], "logEvents"), n), "message"));
}

static const char *stream_of(size_t call)
{
    return json_string_value(json_object_get(calls[call], "logStreamName"));
}

static char *make_text(size_t length, char c)
{
    char *text = malloc(length + 1);

    assert_non_null(text);
    memset(text, c, length);
    text[length] = '\0';
    return text;
}

static void test_cloudwatch_events_says_what_is_known(void **state)
{
    (void)state;
    struct log_event_record *record = add("a \"b\"\n\tc", 8, START_MS);
    memset(record->trace_id, 0xab, sizeof(record->trace_id));
    memset(record->span_id, 0xcd, sizeof(record->span_id));
    record->severity = 4;
    add("x", 1, START_MS);
    add("y", 1, START_MS)->stream = WIRE_LOG_FILE;
    events[2].path = (struct slice){"/\"\xff", 3};
    add("z", 1, START_MS)->stream = LOG_EVENT_STREAM_REQUEST;
    encode();
    assert_int_equal(call_count, 1);
    assert_string_equal(stream_of(0), "s-11");
    assert_string_equal(json_string_value(json_object_get(calls[0], "logGroupName")), "g");
    assert_string_equal(message_of(0, 0),
                        "{\"message\":\"a \\\"b\\\"\\n\\tc\",\"trace_id\":\"abababababababababababababababab\","
                        "\"span_id\":\"cdcdcdcdcdcdcdcd\",\"level\":\"ERROR\",\"iostream\":\"stderr\"}");
    assert_string_equal(message_of(0, 1), "{\"message\":\"x\",\"iostream\":\"stderr\"}");

    assert_string_equal(message_of(0, 2), "{\"message\":\"y\",\"iostream\":\"file\",\"path\":\"/\\\"\xef\xbf\xbd\"}");
    assert_string_equal(message_of(0, 3), "{\"message\":\"z\",\"iostream\":\"request\"}");

    options.has_xray = true;
    encode();
    assert_non_null(strstr(message_of(0, 0), ",\"xray_trace_id\":\"1-abababab-abababababababababababab\","));
    assert_string_equal(message_of(0, 1), "{\"message\":\"x\",\"iostream\":\"stderr\"}");
    options.is_plain = true;
    encode();
    assert_non_null(strstr(message_of(0, 0), " xray_trace_id=1-abababab-abababababababababababab"));
    assert_string_equal(message_of(0, 1), "x");
    options.has_xray = false;
    encode();
    assert_string_equal(message_of(0, 0), "a \"b\"\n\tc trace_id=abababababababababababababababab");
    assert_string_equal(message_of(0, 1), "x");
}

/* Also where the quick look does not suffice to see that it fits. */
static void test_cloudwatch_events_escapes_what_json_escapes(void **state)
{
    char text[127];

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i + 1);
    options.event_max = 1024;
    add(text, sizeof(text), START_MS);
    encode();
    assert_int_equal(size_of(0), 1);
    json_t *object = json_loads(message_of(0, 0), 0, NULL);
    assert_int_equal(json_string_length(json_object_get(object, "message")), sizeof(text));
    assert_memory_equal(json_string_value(json_object_get(object, "message")), text, sizeof(text));
    json_decref(object);
}

static void test_cloudwatch_events_repairs_what_is_no_text(void **state)
{
    (void)state;
    options.is_plain = true;
    add("a\0b\xff\xc3", 5, START_MS);
    add("", 0, START_MS);
    encode();
    assert_int_equal(size_of(0), 1);
    assert_string_equal(message_of(0, 0), "a\xef\xbf\xbd"
                                          "b\xef\xbf\xbd\xef\xbf\xbd");
}

static void test_cloudwatch_events_are_in_the_order_of_their_times(void **state)
{
    (void)state;
    options.is_plain = true;
    add("c", 1, START_MS + 1);
    add("a", 1, START_MS);
    add("other", 5, START_MS);
    events[event_count - 1].process = &processes[1];
    add("b", 1, START_MS);
    encode();
    assert_int_equal(call_count, 2);
    assert_string_equal(message_of(0, 0), "a");
    assert_string_equal(message_of(0, 1), "b");
    assert_string_equal(message_of(0, 2), "c");
    assert_string_equal(stream_of(1), "s-22");
    assert_string_equal(message_of(1, 0), "other");
}

/* Events that are exactly as many as a call takes go in one; one more goes in another. */
static void test_cloudwatch_events_fill_a_call_to_its_edge(void **state)
{
    (void)state;
    options.is_plain = true;
    for (size_t i = 0; i < 10000; i++)
        add("x", 1, START_MS);
    encode();
    assert_int_equal(call_count, 1);
    add("x", 1, START_MS);
    encode();
    assert_int_equal(call_count, 2);
    assert_int_equal(size_of(1), 1);
}

static void test_cloudwatch_events_fill_a_call_to_a_megabyte(void **state)
{
    char *text = make_text(262144, 'x');

    (void)state;
    options.is_plain = true;
    for (size_t i = 0; i < 4; i++)
        add(text, 262144 - 26, START_MS);
    encode();
    assert_int_equal(call_count, 1);
    add("x", 1, START_MS);
    encode();
    assert_int_equal(call_count, 2);
    free(text);
}

static void test_cloudwatch_events_of_a_call_span_a_day(void **state)
{
    (void)state;
    add("first", 5, START_MS);
    add("last", 4, START_MS + CLOUDWATCH_CALL_SPAN_MS);
    encode();
    assert_int_equal(call_count, 1);
    add("later", 5, START_MS + CLOUDWATCH_CALL_SPAN_MS + 1);
    encode();
    assert_int_equal(call_count, 2);
    assert_int_equal(size_of(0), 2);
}

/* All of it arrives, in whole characters. */
static void check_split(const char *unit, bool is_plain)
{
    static char joined[8000];
    char text[6000] = "";
    size_t length = 0, parts;

    set_up(NULL);
    options.is_plain = is_plain;
    options.event_max = 1024;
    while (length + strlen(unit) < sizeof(text)) {
        memcpy(text + length, unit, strlen(unit));
        length += strlen(unit);
    }
    memset(add(text, length, START_MS)->trace_id, 1, 16);
    encode();
    parts = size_of(0);
    assert_in_range(parts, 6, 60);
    joined[0] = '\0';
    for (size_t i = 0; i < parts; i++) {
        const char *message = message_of(0, i);

        if (is_plain) {
            strncat(joined, message, (size_t)(strstr(message, " trace_id=") - message));
            continue;
        }
        json_t *object = json_loads(message, 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(object, "part")), i + 1);
        assert_int_equal(json_string_length(json_object_get(object, "trace_id")), 32);
        strcat(joined, json_string_value(json_object_get(object, "message")));
        json_decref(object);
    }
    assert_int_equal(strlen(joined), length);
    assert_memory_equal(joined, text, length);
}

static void test_cloudwatch_events_splits_what_is_too_long(void **state)
{
    (void)state;
    check_split("x", true);
    check_split("x", false);
    check_split("\xc3\xa9", true);
    check_split("\xe2\x82\xac\"", false);
    check_split("\x01", false);
}

static void test_cloudwatch_events_cuts_what_is_too_long(void **state)
{
    char *text = make_text(5000, 'x');
    char expected[64];

    (void)state;
    options.is_cut = options.is_plain = true;
    options.event_max = 1024;
    add(text, 5000, START_MS)->left_out = 1000;
    encode();
    assert_int_equal(size_of(0), 1);
    const char *mark = strchr(message_of(0, 0), ' ');
    (void)snprintf(expected, sizeof(expected), " [%zu bytes left out]", 6000 - (size_t)(mark - message_of(0, 0)));
    assert_string_equal(mark, expected);

    options.is_plain = false;
    encode();
    json_t *object = json_loads(message_of(0, 0), 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(object, "bytes_left_out")),
                     6000 - json_string_length(json_object_get(object, "message")));
    json_decref(object);
    free(text);
}

/* What is short enough is neither split nor marked, at the very edge. */
static void test_cloudwatch_events_leaves_what_fits(void **state)
{
    char *text = make_text(1024, 'x');

    (void)state;
    options.is_plain = true;
    options.event_max = 1024;
    add(text, 1024 - 26, START_MS);
    encode();
    assert_int_equal(size_of(0), 1);
    add(text, 1024 - 25, START_MS);
    encode();
    assert_int_equal(size_of(0), 3);
    free(text);
}

static void test_cloudwatch_events_leaves_metrics_as_they_are(void **state)
{
    static const char metric[] = "{\"_aws\":{\"Timestamp\":1,\"CloudWatchMetrics\":[]},\"n\":1}";
    static const char other[] = "{\"text\":\"\\\"_aws\\\"\"}";

    (void)state;
    add(metric, strlen(metric), START_MS);
    add(other, strlen(other), START_MS);
    encode();
    assert_string_equal(message_of(0, 0), metric);
    assert_memory_equal(message_of(0, 1), "{\"message\":", 11);
}

static void test_cloudwatch_events_leaves_out_what_there_is_no_room_for(void **state)
{
    (void)state;
    options.is_plain = true;
    room.bytes = 2 * (3 + 26);
    add("one", 3, START_MS);
    add("two", 3, START_MS);
    add("three", 5, START_MS);
    add("4", 1, START_MS);
    encode();
    assert_int_equal(size_of(0), 3);
    assert_string_equal(message_of(0, 1), "two");
    assert_non_null(strstr(message_of(0, 2), "SPANSHIM_CLOUDWATCH_BYTES_PER_MINUTE"));
    assert_int_equal(left_out, 2);
    encode();
    assert_int_equal(call_count, 0); /* it is said once */
    assert_int_equal(left_out, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(test_cloudwatch_events_##name, set_up, tear_down)
        CASE(says_what_is_known),         CASE(escapes_what_json_escapes),
        CASE(repairs_what_is_no_text),    CASE(are_in_the_order_of_their_times),
        CASE(fill_a_call_to_its_edge),    CASE(fill_a_call_to_a_megabyte),
        CASE(of_a_call_span_a_day),       CASE(splits_what_is_too_long),
        CASE(cuts_what_is_too_long),      CASE(leaves_what_fits),
        CASE(leaves_metrics_as_they_are), CASE(leaves_out_what_there_is_no_room_for),
#undef CASE
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
