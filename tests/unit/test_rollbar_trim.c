/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/rollbar_trim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *text_of_length(size_t length)
{
    char *text = malloc(length + 1);

    memset(text, 'x', length);
    json_t *string = json_stringn(text, length);
    free(text);
    return string;
}

/* An item of about frame_count * 100 + text_length * 3 bytes. */
static json_t *make_item(size_t frame_count, size_t text_length)
{
    json_t *frames = json_array();

    for (size_t i = 0; i < frame_count; i++) {
        char name[101];

        (void)snprintf(name, sizeof(name), "%-80zu", i);
        (void)json_array_append_new(frames, json_pack("{s:s}", "method", name));
    }
    return json_pack("{s:{s:s, s:s, s:{s:s}, s:{s:{s:o, s:{s:s, s:o, s:s}}, s:[{s:s}]}, s:{s:o}, s:{s:o}, s:{s:s}}}",
                     "data", "uuid", "u", "environment", "e", "notifier", "name", "n", "body", "trace", "frames",
                     frames, "exception", "class", "C", "message", text_of_length(text_length), "description", "d",
                     "telemetry", "type", "network", "request", "url", text_of_length(text_length), "custom", "text",
                     text_of_length(text_length), "server", "host", "h");
}

static json_t *trimmed(json_t *item, size_t limit)
{
    size_t length;
    char *text = rollbar_trim(item, limit, &length);

    json_decref(item);
    if (text == NULL)
        return NULL;
    assert_int_equal(length, strlen(text));
    assert_true(length <= limit);
    json_t *out = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(out);
    return out;
}

static json_t *data_of(json_t *item)
{
    return json_object_get(item, "data");
}

/* The steps, comma separated; "" when none was taken. */
static void assert_steps(json_t *item, const char *expected)
{
    json_t *diagnostic = json_object_get(json_object_get(data_of(item), "notifier"), "diagnostic");
    json_t *steps = json_object_get(diagnostic, "truncation");
    char text[256] = "";

    for (size_t i = 0; i < json_array_size(steps); i++)
        (void)strcat(strcat(text, i > 0 ? "," : ""), json_string_value(json_array_get(steps, i)));
    assert_string_equal(text, expected);
}

static size_t size_of(json_t *item)
{
    char *text = json_dumps(item, JSON_COMPACT);
    size_t size = strlen(text);

    free(text);
    return size;
}

static void test_rollbar_trim_leaves_what_fits(void **state)
{
    (void)state;
    json_t *item = make_item(100, 10);
    size_t size = size_of(item);
    json_t *out = trimmed(json_incref(item), size);

    assert_true(json_equal(item, out));
    assert_steps(out, "");
    json_decref(out);
    out = trimmed(item, size - 1);
    assert_steps(out, "frames");
    json_decref(out);
}

static void test_rollbar_trim_keeps_the_crashing_end(void **state)
{
    (void)state;
    json_t *out = trimmed(make_item(1000, 10), 20000);
    json_t *frames = json_object_get(json_object_get(json_object_get(data_of(out), "body"), "trace"), "frames");

    assert_int_equal(json_array_size(frames), 60);
    assert_int_equal(atoi(json_string_value(json_object_get(json_array_get(frames, 9), "method"))), 9);
    assert_int_equal(atoi(json_string_value(json_object_get(json_array_get(frames, 10), "method"))), 950);
    assert_int_equal(atoi(json_string_value(json_object_get(json_array_get(frames, 59), "method"))), 999);
    json_decref(out);
}

/* Each error of a chain is trimmed as one alone is. */
static void test_rollbar_trim_takes_the_causes_too(void **state)
{
    (void)state;
    json_t *item = make_item(1000, 10);
    json_t *body = json_object_get(data_of(item), "body");
    json_t *trace = json_object_get(body, "trace");

    (void)json_object_set_new(body, "trace_chain", json_pack("[o, o]", json_deep_copy(trace), json_deep_copy(trace)));
    (void)json_object_del(body, "trace");
    json_t *out = trimmed(item, 30000);
    json_t *chain = json_object_get(json_object_get(data_of(out), "body"), "trace_chain");

    assert_int_equal(json_array_size(chain), 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(json_array_size(json_object_get(json_array_get(chain, i), "frames")), 60);
    json_decref(out);
}

static void test_rollbar_trim_takes_its_steps_in_order(void **state)
{
    static const struct {
        size_t frames, text, limit;
        const char *steps;
    } cases[] = {
        {2, 2000, 4000, "frames,strings_1024"},
        {2, 2000, 2500, "frames,strings_1024,strings_512"},
        {2, 2000, 1500, "frames,strings_1024,strings_512,strings_256"},
        {60, 2000, 1500, "frames,strings_1024,strings_512,strings_256,body"},
        {60, 2000, 1000, "frames,strings_1024,strings_512,strings_256,body,request"},
        {60, 2000, 800, "frames,strings_1024,strings_512,strings_256,body,request,custom"},
        {60, 20, 480, "frames,strings_1024,strings_512,strings_256,body,request,custom"},
        {60, 20, 460, "frames,strings_1024,strings_512,strings_256,body,request,custom,others"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *out = trimmed(make_item(cases[i].frames, cases[i].text), cases[i].limit);

        assert_non_null(out);
        assert_steps(out, cases[i].steps);
        json_decref(out);
    }
}

static void test_rollbar_trim_keeps_what_is_required(void **state)
{
    (void)state;
    json_t *out = trimmed(make_item(60, 20), 460);
    json_t *data = data_of(out);
    json_t *trace = json_object_get(json_object_get(data, "body"), "trace");
    json_t *frames = json_object_get(trace, "frames");

    assert_string_equal(json_string_value(json_object_get(data, "uuid")), "u");
    assert_string_equal(json_string_value(json_object_get(data, "environment")), "e");
    assert_int_equal(json_array_size(frames), 2);
    assert_int_equal(atoi(json_string_value(json_object_get(json_array_get(frames, 1), "method"))), 59);
    assert_non_null(json_object_get(json_object_get(trace, "exception"), "class"));
    assert_null(json_object_get(json_object_get(trace, "exception"), "description"));
    assert_null(json_object_get(data, "server"));
    json_decref(out);
}

static void test_rollbar_trim_gives_up_on_what_cannot_fit(void **state)
{
    (void)state;
    assert_null(trimmed(make_item(2, 10), 50));
}

static void test_rollbar_trim_measures_escaped_text(void **state)
{
    (void)state;
    char quotes[301];
    json_t *item = make_item(1, 1);

    memset(quotes, '"', 300);
    quotes[300] = '\0';
    (void)json_object_set_new(json_object_get(data_of(item), "custom"), "text", json_string(quotes));
    size_t size = size_of(item);
    json_t *out = trimmed(item, size - 300);
    assert_non_null(out);
    json_decref(out);
}

static void test_rollbar_trim_holds_for_a_crash_with_very_much(void **state)
{
    (void)state;
    json_t *item = make_item(5000, 100000);
    json_t *threads = json_array();

    for (size_t i = 0; i < 200; i++)
        (void)json_array_append_new(threads, text_of_length(8000));
    (void)json_object_set_new(json_object_get(data_of(item), "custom"), "threads", threads);
    json_t *out = trimmed(item, ROLLBAR_ITEM_MAX);
    assert_steps(out, "frames,strings_1024");
    json_decref(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollbar_trim_leaves_what_fits),
        cmocka_unit_test(test_rollbar_trim_keeps_the_crashing_end),
        cmocka_unit_test(test_rollbar_trim_takes_the_causes_too),
        cmocka_unit_test(test_rollbar_trim_takes_its_steps_in_order),
        cmocka_unit_test(test_rollbar_trim_keeps_what_is_required),
        cmocka_unit_test(test_rollbar_trim_gives_up_on_what_cannot_fit),
        cmocka_unit_test(test_rollbar_trim_measures_escaped_text),
        cmocka_unit_test(test_rollbar_trim_holds_for_a_crash_with_very_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
