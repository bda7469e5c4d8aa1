/* SPDX-License-Identifier: Apache-2.0 */
/* W3C trace context: what is read from traceparent and tracestate, and written. */
#include "preload/propagation.h"

#include "preload/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TRACE        "0af7651916cd43dd8448eb211c80319c"
#define SPAN         "b7ad6b7169203331"
#define GOOD         "00-" TRACE "-" SPAN "-01"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *value;
    int flags; /* -1: invalid */
} traceparents[] = {
    {GOOD, 1},
    {" \t" GOOD "\t ", 1},
    {"00-" TRACE "-" SPAN "-00", 0},
    {"00-" TRACE "-" SPAN "-03", 3},
    {"00-" TRACE "-" SPAN "-ff", 3},
    {"00-" TRACE "-" SPAN "-0A", -1},
    {"00-" TRACE "-" SPAN "-1", -1},
    {"00-" TRACE "-" SPAN "-0101", -1},
    {"00-" TRACE "-" SPAN "-01-", -1},
    {"00-" TRACE "-" SPAN "-01-x", -1},
    {"01-" TRACE "-" SPAN "-03", 1},
    {"cc-" TRACE "-" SPAN "-01-what-the-future-brings", 1},
    {"cc-" TRACE "-" SPAN "-01-", 1},
    {"cc-" TRACE "-" SPAN "-01.what", -1},
    {"cc-" TRACE "-" SPAN "-010", -1},
    {"ff-" TRACE "-" SPAN "-01", -1},
    {"0-" TRACE "-" SPAN "-01", -1},
    {"000-" TRACE "-" SPAN "-01", -1},
    {"0x-" TRACE "-" SPAN "-01", -1},
    {"FE-" TRACE "-" SPAN "-01", -1},
    {"00-00000000000000000000000000000000-" SPAN "-01", -1},
    {"00-" TRACE "-0000000000000000-01", -1},
    {"00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", -1},
    {"00-" TRACE "-B7AD6B7169203331-01", -1},
    {"00-" TRACE "0-" SPAN "-01", -1},
    {"00-0af7651916cd43dd8448eb211c80319-" SPAN "0-01", -1},
    {"00-.af7651916cd43dd8448eb211c80319c-" SPAN "-01", -1},
    {"00_" TRACE "-" SPAN "-01", -1},
    {"00-" TRACE "_" SPAN "-01", -1},
    {"00-" TRACE "-" SPAN "_01", -1},
    {"\"" GOOD "\"", -1},
    {"", -1},
    {"00", -1},
};

static void test_propagation_reads_traceparent(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(traceparents); i++) {
        struct trace_context context;
        bool is_valid = propagation_read_traceparent(traceparents[i].value, strlen(traceparents[i].value), &context);
        if (is_valid != (traceparents[i].flags >= 0) || is_valid != context.valid)
            fail_msg("%s", traceparents[i].value);
        if (is_valid && context.flags != traceparents[i].flags)
            fail_msg("%s: flags %d", traceparents[i].value, context.flags);
    }
}

static void test_propagation_reads_ids_in_order(void **state)
{
    (void)state;
    static const uint8_t trace_id[] = {0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd,
                                       0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c};
    static const uint8_t span_id[] = {0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31};
    struct trace_context context;
    assert_true(propagation_read_traceparent(GOOD, strlen(GOOD), &context));
    assert_memory_equal(context.trace_id, trace_id, sizeof(trace_id));
    assert_memory_equal(context.span_id, span_id, sizeof(span_id));
}

static void test_propagation_writes_what_it_reads(void **state)
{
    (void)state;
    char text[PROPAGATION_TRACEPARENT_SIZE];
    struct trace_context context;
    assert_true(propagation_read_traceparent(GOOD, strlen(GOOD), &context));
    propagation_write_traceparent(text, &context);
    assert_string_equal(text, GOOD);
    context.flags = 0xff;
    propagation_write_traceparent(text, &context);
    assert_string_equal(text, "00-" TRACE "-" SPAN "-03");
}

/* Their length; SIZE_MAX: they don't fit. */
static size_t written(char *out, size_t room, unsigned formats, const struct trace_context *context,
                      const struct propagation_carried *carried)
{
    size_t length;

    return propagation_write(out, room, formats, context, carried, &length) ? length : SIZE_MAX;
}

static void test_propagation_writes_lines_that_fit(void **state)
{
    (void)state;
    static const char expected[] = "traceparent: " GOOD "\r\ntracestate: a=1,b=2\r\n";
    const struct propagation_carried nothing = {0}, carried = {.tracestate = {"a=1,b=2", 7}};
    char lines[200];
    struct trace_context context;

    assert_true(propagation_read_traceparent(GOOD, strlen(GOOD), &context));
    assert_int_equal(written(lines, sizeof(lines), PROPAGATION_DEFAULT_FORMATS, &context, &carried),
                     sizeof(expected) - 1);
    assert_memory_equal(lines, expected, sizeof(expected) - 1);
    assert_int_equal(written(lines, sizeof(lines), PROPAGATION_DEFAULT_FORMATS, &context, &nothing), 70);
    for (size_t room = 0; room < sizeof(expected) - 1; room++)
        assert_int_equal(written(lines, room, PROPAGATION_DEFAULT_FORMATS, &context, &carried), SIZE_MAX);
    assert_int_equal(written(lines, sizeof(lines), 0, &context, &carried), 0);
}

static void offer(struct propagation *propagation, const char *name, const char *value)
{
    assert_true(propagation_field(propagation, name, strlen(name), value, strlen(value)));
}

/* The tracestate that is left of one or two fields beside a good traceparent. */
static void check_tracestate(const char *first, const char *second, const char *expected)
{
    struct propagation propagation;
    propagation_init(&propagation, PROPAGATION_DEFAULT_FORMATS);
    offer(&propagation, "tracestate", first);
    offer(&propagation, "Traceparent", GOOD);
    if (second)
        offer(&propagation, "TRACESTATE", second);
    assert_true(propagation_done(&propagation));
    if (propagation.tracestate_length != strlen(expected) ||
        memcmp(propagation.tracestate, expected, strlen(expected)) != 0)
        fail_msg("%s: expected %s, seen %.*s", first, expected, propagation.tracestate_length, propagation.tracestate);
}

static void test_propagation_reads_tracestate(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *expected;
    } rows[] = {
        {"a=1", "a=1"},
        {"a=1,b=2", "a=1,b=2"},
        {" a=1 ,\tb=2\t", "a=1,b=2"},
        {"a=1,,b=2,", "a=1,b=2"},
        {"a= 1", "a= 1"},
        {"a=1 2", "a=1 2"},
        {"foo@@bar=1,0x=2,a_-*/b=3", "foo@@bar=1,0x=2,a_-*/b=3"},
        {"a=1,a=1", "a=1,a=1"},
        {"", ""},
        {",", ""},
        {"a", ""},
        {"a=", ""},
        {"=1", ""},
        {"a =1", ""},
        {"A=1", ""},
        {"@a=1", ""},
        {"_a=1", ""},
        {"a=1,b", ""},
        {"a=b=c", ""},
        {"a=\x01", ""},
        {"a=\xc3\xa9", ""},
        {"a=1;b:2", "a=1;b:2"},
        {"a=1;b=2", ""},
        {"a.b=1", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_tracestate(rows[i].value, NULL, rows[i].expected);
}

static void test_propagation_joins_tracestate_fields_in_order(void **state)
{
    (void)state;
    check_tracestate("a=1", "b=2", "a=1,b=2");
    check_tracestate("a=1", "", "a=1");
    check_tracestate("", "b=2", "b=2");
    check_tracestate("a=1", "B=2", "");
    check_tracestate("A=1", "b=2", "");
}

/* "x=vvv", `length` bytes in all. */
static const char *member(char name, size_t length)
{
    static char text[4][600];
    static unsigned next;
    char *out = text[next++ % COUNT(text)];
    assert_true(length < sizeof(text[0]));
    memset(out, 'v', length);
    out[0] = name;
    out[1] = '=';
    out[length] = '\0';
    return out;
}

static void test_propagation_bounds_keys_and_values(void **state)
{
    (void)state;
    char key[300];
    memset(key, 'k', sizeof(key));
    strcpy(key + 256, "=1");
    check_tracestate(key, NULL, key);
    memset(key, 'k', sizeof(key));
    strcpy(key + 257, "=1");
    check_tracestate(key, NULL, "");
    check_tracestate(member('a', 258), NULL, member('a', 258));
    check_tracestate(member('a', 259), NULL, "");
}

static void test_propagation_takes_at_most_32_members(void **state)
{
    (void)state;
    char list[200] = "";
    for (int i = 0; i < 32; i++)
        strcat(list, i == 0 ? "a=1" : ",a=1");
    check_tracestate(list, NULL, list);
    check_tracestate(list, "b=1", "");
}

static void test_propagation_cuts_long_members_first_then_the_end(void **state)
{
    (void)state;
    char list[1200], expected[600];
    snprintf(list, sizeof(list), "%s,%s", member('a', 200), member('b', 100));
    snprintf(expected, sizeof(expected), "%s,%s", member('b', 100), member('c', 128));
    strcat(list, ",");
    strcat(list, member('d', 200));
    check_tracestate(list, member('c', 128), expected);

    snprintf(list, sizeof(list), "%s,%s,%s,%s", member('a', 128), member('b', 128), member('c', 128), member('d', 126));
    snprintf(expected, sizeof(expected), "%s,%s,%s", member('a', 128), member('b', 128), member('c', 128));
    check_tracestate(list, "e=5", expected);
    strcat(list, ",f=6");
    check_tracestate(list, "e=5", expected);
    list[strlen(list) - 5] = '\0';
    check_tracestate(list, "", list);
}

static void test_propagation_needs_exactly_one_traceparent(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{GOOD, GOOD}, {GOOD, "x"}, {"x", GOOD}, {"x", NULL}, {NULL, NULL}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct propagation propagation;
        propagation_init(&propagation, PROPAGATION_DEFAULT_FORMATS);
        offer(&propagation, "tracestate", "a=1");
        for (size_t j = 0; j < 2 && rows[i][j]; j++)
            offer(&propagation, "traceparent", rows[i][j]);
        assert_false(propagation_done(&propagation));
        assert_int_equal(propagation.tracestate_length, 0);
    }
}

static void test_propagation_leaves_other_fields(void **state)
{
    (void)state;
    struct propagation propagation;
    propagation_init(&propagation, PROPAGATION_DEFAULT_FORMATS);
    assert_false(propagation_field(&propagation, "traceparen", 10, GOOD, strlen(GOOD)));
    assert_false(propagation_field(&propagation, "baggage", 7, "a=b", 3));
    assert_false(propagation_field(&propagation, "", 0, "", 0));
    propagation_init(&propagation, 1u << PROPAGATION_BAGGAGE);
    assert_false(propagation_field(&propagation, "baggage", 7, "a=b", 3));
    assert_true(propagation_has(&propagation, PROPAGATION_BAGGAGE));
    propagation_init(&propagation, 0);
    assert_false(propagation_field(&propagation, "traceparent", 11, GOOD, strlen(GOOD)));
    assert_false(propagation_done(&propagation));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_propagation_reads_traceparent),
        cmocka_unit_test(test_propagation_reads_ids_in_order),
        cmocka_unit_test(test_propagation_writes_what_it_reads),
        cmocka_unit_test(test_propagation_writes_lines_that_fit),
        cmocka_unit_test(test_propagation_reads_tracestate),
        cmocka_unit_test(test_propagation_joins_tracestate_fields_in_order),
        cmocka_unit_test(test_propagation_bounds_keys_and_values),
        cmocka_unit_test(test_propagation_takes_at_most_32_members),
        cmocka_unit_test(test_propagation_cuts_long_members_first_then_the_end),
        cmocka_unit_test(test_propagation_needs_exactly_one_traceparent),
        cmocka_unit_test(test_propagation_leaves_other_fields),
    };
    if (arena_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
