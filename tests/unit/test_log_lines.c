/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_lines.h"

#include "exporters/agent/clock.h"
#include "tests/support/log_lines_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_log_lines_are_put_together_from_pieces(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_text(fixture, "one");
    write_text(fixture, " line\r\nand ");
    assert_texts(fixture, "");
    write_text(fixture, "another\n");
    assert_texts(fixture, "one line|");
    assert_false(log_lines_is_due(fixture->lines, fixture->now_ns));
    assert_true(log_lines_waiting(fixture->lines) > 0);
    assert_true(log_lines_is_due(fixture->lines, fixture->now_ns + 100 * NS_PER_MS));
    wait_ms(fixture, 100);
    assert_texts(fixture, "and another|");
    assert_int_equal(fixture->last.flags, 0);
    assert_int_equal(fixture->last.mono_ns, 2);
    assert_int_equal(fixture->place.position, 2);
    assert_int_equal(log_lines_waiting(fixture->lines), 0);
    assert_false(log_lines_is_due(fixture->lines, UINT64_MAX));
}

static void test_log_lines_leave_blank_ends_out(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_text(fixture, "one  \n  \n \t\n");
    write_text(fixture, "  two \n\n");
    write_text(fixture, "three \n");
    write_text(fixture, "  \n");
    wait_ms(fixture, 100);
    assert_texts(fixture, "one  \n  \n \t\n  two |three |");
    write_text(fixture, " \n");
    wait_ms(fixture, 100);
    assert_texts(fixture, "");
}

static void test_log_lines_without_an_end_wait_longer(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_text(fixture, "Password: ");
    wait_ms(fixture, 1900);
    assert_texts(fixture, "");
    wait_ms(fixture, 100);
    assert_texts(fixture, "Password: |");
    assert_int_equal(fixture->last.flags, LOG_EVENT_NO_END);
    write_text(fixture, "the end");
    log_lines_look(fixture->lines, UINT64_MAX);
    assert_texts(fixture, "the end|");
    assert_int_equal(fixture->last.flags, LOG_EVENT_NO_END);
}

static void test_log_lines_of_threads_are_told_apart(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_as(fixture, 1, "one ");
    write_as(fixture, 2, "two ");
    write_as(fixture, 1, "first\n");
    write_as(fixture, 2, "second\n");
    wait_ms(fixture, 100);
    assert_texts(fixture, "one first|two second|");
}

static void test_log_lines_of_threads_stay_in_order(void **state)
{
    struct log_lines_fixture *fixture = *state;
    char expected[1024] = "", line[16];

    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(line, sizeof(line), "%u\n", i);
        write_as(fixture, i % 7 + 1, line);
        (void)snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%u|", i);
    }
    wait_ms(fixture, 100);
    assert_texts(fixture, expected);
}

static void test_log_lines_go_on_with_a_shared_buffer(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_as(fixture, 0, "a\nb");
    write_as(fixture, 5, "c\nd\n");
    wait_ms(fixture, 100);
    assert_texts(fixture, "a|bc|d|");
}

/* A piece of a call that writes the shared buffer out. */
static void write_piece(struct log_lines_fixture *fixture, uint32_t thread, const char *text, bool has_more)
{
    fixture->log.writer = thread * 2 + 1;
    fixture->log.mono_ns = thread;
    fixture->log.flags = WIRE_LOG_SHARED | (has_more ? WIRE_LOG_CONTINUES : 0);
    assert_true(give(fixture, "", text, strlen(text)));
}

/* A short call, a long one and a short one; another thread's line is not its business. */
static void test_log_lines_go_on_in_a_long_call(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_as(fixture, 2, "another's ");
    write_as(fixture, 1, "a line ");
    write_piece(fixture, 1, "goes ", true);
    write_piece(fixture, 1, "on\nand ", false);
    write_as(fixture, 1, "on\n");
    write_as(fixture, 2, "line\n");
    write_piece(fixture, 3, "one more\n", false);
    wait_ms(fixture, 100);
    assert_texts(fixture, "a line goes on|and on|another's line|one more|");
}

/* Who writes much at once may have made it himself, and so may others at the same time. */
static void test_log_lines_of_long_calls_are_told_apart(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_as(fixture, 0, "be");
    write_piece(fixture, 1, "gun\none o", true);
    write_piece(fixture, 2, "two, ", true);
    write_piece(fixture, 3, "three, ", true);
    write_piece(fixture, 1, "f\none\n", false);
    write_piece(fixture, 2, "too\n", false);
    write_piece(fixture, 3, "t", true);
    write_piece(fixture, 3, "oo", false);
    write_piece(fixture, 4, ", and its end\n", false);
    wait_ms(fixture, 2000);
    assert_texts(fixture, "begun|one of|one|two, too|three, too, and its end|");
}

static void test_log_lines_of_more_threads_than_are_followed(void **state)
{
    struct log_lines_fixture *fixture = *state;

    for (uint32_t writer = 1; writer <= 65; writer++)
        write_as(fixture, writer, "x");
    assert_texts(fixture, "x|");
    assert_int_equal(fixture->last.flags, LOG_EVENT_NO_END);
    wait_ms(fixture, 2000);
    assert_int_equal(fixture->count, 65);
}

static void test_log_lines_of_a_traceback_wait_for_its_error(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_text(fixture, "Traceback (most recent call last):\n");
    wait_ms(fixture, 1000);
    write_text(fixture, "  File \"a.py\", line 1\n");
    wait_ms(fixture, 900);
    assert_texts(fixture, "");
    write_text(fixture, "KeyError: 'b'\n");
    wait_ms(fixture, 100);
    assert_texts(fixture, "Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 'b'|");
    write_text(fixture, "Traceback (most recent call last):\n");
    wait_ms(fixture, 2000);
    assert_texts(fixture, "Traceback (most recent call last):|");
}

static void test_log_lines_of_all_threads_are_bounded(void **state)
{
    struct log_lines_fixture *fixture = *state;
    static char bytes[BIG / 2];

    memset(bytes, 'x', sizeof(bytes));
    for (fixture->log.writer = 1; fixture->log.writer <= 13; fixture->log.writer += 2) {
        assert_int_equal(fixture->count, 0);
        write_long(fixture, bytes, sizeof(bytes));
    }
    assert_int_equal(fixture->count, 1);
    assert_int_equal(fixture->last.header.pad, sizeof(bytes));
    assert_int_equal(fixture->last.flags, LOG_EVENT_NO_END);
}

static void test_log_lines_keep_a_traceback_whole_among_threads(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_as(fixture, 1, "Traceback (most recent call last):\n");
    write_as(fixture, 2, "other\n");
    write_as(fixture, 1, "  File \"x.py\", line 1, in f\n");
    write_as(fixture, 2, "other 2\n");
    write_as(fixture, 1, "ValueError: no\n");
    wait_ms(fixture, 100);
    assert_texts(fixture, "other|other 2|Traceback (most recent call last):\n  File \"x.py\", line 1, in f\n"
                          "ValueError: no|");
}

static void test_log_lines_that_wait_go_on_in_order(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_as(fixture, 1, "one\n  more\n");
    write_as(fixture, 2, "two\n  more\n");
    write_as(fixture, 3, "three");
    log_lines_look(fixture->lines, UINT64_MAX);
    assert_texts(fixture, "one\n  more|two\n  more|three|");
}

static void test_log_lines_of_a_message_stay_with_the_traceback(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_text(fixture, "Traceback (most recent call last):\n");
    write_text(fixture, "  File \"x.py\", line 1, in f\n");
    write_text(fixture, "ValueError: ");
    write_text(fixture, "one\ntwo");
    write_text(fixture, "\n");
    write_text(fixture, "next\n");
    assert_texts(fixture, "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nValueError: one\ntwo|");
}

static void test_log_lines_of_two_requests_are_two_events(void **state)
{
    struct log_lines_fixture *fixture = *state;

    fixture->log.trace_id[0] = 1;
    write_text(fixture, "first\n");
    fixture->log.trace_id[0] = 2;
    write_text(fixture, "  second\n");
    assert_texts(fixture, "first|");
    assert_int_equal(fixture->last.trace_id[0], 1);
}

/* java.util.logging writes a record, then flushes: by then another thread's may stand behind it. */
static void test_log_lines_of_java_util_logging_are_records(void **state)
{
    struct log_lines_fixture *fixture = *state;

    fixture->log.trace_id[0] = 1;
    write_text(fixture, "Nov 22, 2026 1:57:30 AM a.B c\nWARNING: one\njava.lang.Error: no\n\tat a.b(c.java:1)\n");
    wait_ms(fixture, 100);
    assert_texts(fixture, "Nov 22, 2026 1:57:30 AM a.B c\nWARNING: one\njava.lang.Error: no\n\tat a.b(c.java:1)|");
    assert_int_equal(fixture->last.severity, 5);
    assert_int_equal(fixture->last.trace_id[0], 1);
    write_text(fixture, "Nov 22, 2026 1:57:30 AM a.B c\nINFO: one\nNov 22, 2026 1:57:30 PM a.B c\nINFO: two\n");
    assert_texts(fixture, "Nov 22, 2026 1:57:30 AM a.B c\nINFO: one|");
    assert_int_equal(fixture->last.trace_id[0], 0);
    wait_ms(fixture, 100);
    assert_texts(fixture, "Nov 22, 2026 1:57:30 PM a.B c\nINFO: two|");
    assert_int_equal(fixture->last.trace_id[0], 0);
}

/* Two errors written by one call: one of them at least is another thread's. */
static void test_log_lines_of_two_tracebacks_have_no_request(void **state)
{
    struct log_lines_fixture *fixture = *state;

    fixture->log.trace_id[0] = 1;
    write_text(fixture,
               "java.lang.Error: one\n\tat a.b(c.java:1)\nINFO next\njava.lang.Error: two\n\tat a.b(c.java:1)\n");
    wait_ms(fixture, 100);
    assert_texts(fixture,
                 "java.lang.Error: one\n\tat a.b(c.java:1)|INFO next\njava.lang.Error: two\n\tat a.b(c.java:1)|");
    assert_int_equal(fixture->last.trace_id[0], 0);
}

/* Amid a traceback the thread's request may end, or not be certain any more. */
static void test_log_lines_of_a_traceback_go_on_without_a_request(void **state)
{
    struct log_lines_fixture *fixture = *state;

    fixture->log.trace_id[0] = 1;
    write_text(fixture, "Traceback (most recent call last):\n");
    fixture->log.trace_id[0] = 0;
    write_text(fixture, "  File \"x.py\", line 1, in f\n");
    write_text(fixture, "ValueError: no\n");
    wait_ms(fixture, 100);
    assert_texts(fixture, "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nValueError: no|");
    assert_int_equal(fixture->last.trace_id[0], 1);
    fixture->log.trace_id[0] = 1;
    write_text(fixture, "Traceback (most recent call last):\n");
    fixture->log.trace_id[0] = 2;
    write_text(fixture, "next\n");
    assert_texts(fixture, "Traceback (most recent call last):|");
}

/* The trace of each event that came out of a call to this stream by this writer. */
static void assert_traces(struct log_lines_fixture *fixture, uint8_t stream, uint32_t writer, const char *text,
                          bool has_trace)
{
    static const uint8_t none[sizeof(fixture->last.trace_id)];
    unsigned before = fixture->count;

    fixture->log.stream = stream;
    fixture->log.trace_id[0] = 1;
    write_as(fixture, writer, text);
    assert_int_equal(memcmp(fixture->last.trace_id, none, sizeof(none)) != 0, has_trace && fixture->count > before);
    wait_ms(fixture, 100);
    assert_true(fixture->count > before);
    assert_int_equal(memcmp(fixture->last.trace_id, none, sizeof(none)) != 0, has_trace);
    fixture->log.trace_id[0] = 0;
    write_as(fixture, 99, "another\n");
    wait_ms(fixture, 100);
}

static void test_log_lines_that_were_collected_are_nobody_s(void **state)
{
    struct log_lines_fixture *fixture = *state;

    assert_traces(fixture, WIRE_LOG_STDOUT, 1, "one\n", true);
    assert_traces(fixture, WIRE_LOG_STDOUT, 0, "one\n  more\n", true);
    assert_traces(fixture, WIRE_LOG_STDOUT, 1, "\none\n\n", true);
    assert_traces(fixture, WIRE_LOG_STDOUT, 1, "one\ntwo\n", false);
    assert_traces(fixture, WIRE_LOG_STDOUT, 0, "one\ntwo\nthree\n", false);
    assert_traces(fixture, WIRE_LOG_STDERR, 1, "one\ntwo\n", true);
    assert_traces(fixture, WIRE_LOG_STDERR, 0, "one\ntwo\n", false);
    assert_traces(fixture, WIRE_LOG_STDERR, 0, "one\njava.lang.Error: no\n\tat a.b(c.java:1)\n", true);
}

static void test_log_lines_mark_a_gap(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_as(fixture, 1, "begun");
    write_as(fixture, 2, "too");
    fixture->log.lost_lines = 3;
    write_as(fixture, 1, "  after\n");
    assert_texts(fixture, "too|begun|");
    assert_int_equal(fixture->last.flags, LOG_EVENT_NO_END);
    wait_ms(fixture, 100);
    assert_int_equal(fixture->last.flags, LOG_EVENT_GAP);
}

static void test_log_lines_of_messages_are_one_event_each(void **state)
{
    struct log_lines_fixture *fixture = *state;

    fixture->log.stream = WIRE_LOG_SYSLOG;
    fixture->log.flags = WIRE_LOG_WHOLE;
    fixture->log.severity = 5;
    write_text(fixture, "error: one\ntwo");
    write_text(fixture, "  three\n");
    assert_texts(fixture, "error: one\ntwo|  three|");
    assert_int_equal(fixture->last.severity, 5);
    assert_int_equal(fixture->last.flags, 0);
}

static void test_log_lines_of_a_file_have_its_path(void **state)
{
    struct log_lines_fixture *fixture = *state;

    fixture->log.stream = WIRE_LOG_FILE;
    assert_true(give(fixture, "/var/log/app.log", "line\n", 5));
    wait_ms(fixture, 100);
    assert_texts(fixture, "line|");
    assert_string_equal(fixture->path, "/var/log/app.log");
    assert_int_equal(fixture->last.stream, WIRE_LOG_FILE);
}

static void test_log_lines_cut_a_long_line(void **state)
{
    struct log_lines_fixture *fixture = *state;
    char *text = malloc(BIG);

    assert_non_null(text);
    memset(text, 'x', BIG);
    text[BIG - 1] = '\n';
    memcpy(text + LOG_EVENT_TEXT_MAX - 1, "\xc3\xa4", 2); /* no character is cut in two */
    write_long(fixture, text, BIG);
    write_text(fixture, "next\n");
    assert_int_equal(fixture->count, 1);
    assert_int_equal(fixture->last.header.pad, LOG_EVENT_TEXT_MAX - 1);
    assert_int_equal(fixture->last.left_out, BIG - LOG_EVENT_TEXT_MAX + 1);
    assert_int_equal(fixture->last.flags, LOG_EVENT_CUT);
    fixture->length = 0;
    wait_ms(fixture, 100);
    assert_texts(fixture, "next|");
    free(text);
}

static void test_log_lines_end_where_the_call_was_cut(void **state)
{
    struct log_lines_fixture *fixture = *state;

    fixture->log.left_out = 1000;
    write_text(fixture, "start of a long line");
    assert_texts(fixture, "start of a long line|");
    assert_int_equal(fixture->last.flags, LOG_EVENT_CUT);
    assert_int_equal(fixture->last.left_out, 1000);
}

static void test_log_lines_bound_an_event_of_many_lines(void **state)
{
    struct log_lines_fixture *fixture = *state;
    const char line[] = "  as long as a line of a log often is, and it goes on and on\n";

    for (size_t i = 0; i < BIG; i += sizeof(line) - 1)
        write_text(fixture, line);
    assert_int_equal(fixture->count, 1);
    assert_true(fixture->last.header.pad <= LOG_EVENT_TEXT_MAX);
    assert_int_equal(fixture->last.flags, 0);
    write_text(fixture, line);
    fixture->now_ns += 1999 * NS_PER_MS;
    write_text(fixture, line);
    assert_int_equal(fixture->count, 1);
    wait_ms(fixture, 1);
    assert_int_equal(fixture->count, 2);
}

static void test_log_lines_mark_what_is_no_text(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_text(fixture, "\x1b[31mred\x1b[0m, \xc3\xa4\n");
    wait_ms(fixture, 100);
    assert_int_equal(fixture->last.flags, 0);
    write_text(fixture, "\xff\xfe\n");
    wait_ms(fixture, 100);
    assert_int_equal(fixture->last.flags, LOG_EVENT_BINARY);
    fixture->log.mono_ns++;
    assert_true(give(fixture, "", "a\0b\n", 4));
    wait_ms(fixture, 100);
    assert_int_equal(fixture->last.flags, LOG_EVENT_BINARY);
    assert_int_equal(fixture->last.header.pad, 3);
}

static void test_log_lines_refuse_what_makes_no_sense(void **state)
{
    struct log_lines_fixture *fixture = *state;
    struct log_lines_place place = {0, 1};
    struct wire_log log = {.stream = WIRE_LOG_STDERR, .path_length = 1};

    assert_false(log_lines_take(fixture->lines, &place, &log, sizeof(log), 0));
    assert_false(log_lines_take(fixture->lines, &place, &log, sizeof(log) - 1, 0));
    log = (struct wire_log){0};
    assert_false(log_lines_take(fixture->lines, &place, &log, sizeof(log), 0));
}

static void test_log_lines_say_how_severe_they_are(void **state)
{
    struct log_lines_fixture *fixture = *state;

    write_text(fixture, "WARNING: hot\n");
    write_text(fixture, "thread 'main' panicked at src/main.rs:2:5:\n");
    assert_int_equal(fixture->last.severity, 5);
    write_text(fixture, "boom\n");
    wait_ms(fixture, 100);
    assert_int_equal(fixture->last.severity, 4);
    write_text(fixture, "plain\n");
    wait_ms(fixture, 100);
    assert_int_equal(fixture->last.severity, 0);
}

/* PHP-FPM's workers write a mark behind each request. */
static void test_log_lines_pass_marks_over(void **state)
{
    struct log_lines_fixture *fixture = *state;

    assert_true(give(fixture, "", "\0fscf", 6));
    write_text(fixture, "one\n");
    assert_true(give(fixture, "", "\0fscf", 6));
    write_text(fixture, "two\n");
    wait_ms(fixture, 200);
    assert_texts(fixture, "one|two|");
}

int main(void)
{
#define TEST(name)                                                                                                     \
    cmocka_unit_test_setup_teardown(test_log_lines_##name, log_lines_setup, log_lines_teardown),                       \
    {                                                                                                                  \
        "test_log_lines_" #name " (saved)", test_log_lines_##name, log_lines_setup_saved, log_lines_teardown, NULL     \
    }
    const struct CMUnitTest tests[] = {
        TEST(are_put_together_from_pieces),
        TEST(leave_blank_ends_out),
        TEST(without_an_end_wait_longer),
        TEST(of_threads_are_told_apart),
        TEST(of_threads_stay_in_order),
        TEST(go_on_with_a_shared_buffer),
        TEST(go_on_in_a_long_call),
        TEST(of_long_calls_are_told_apart),
        TEST(of_more_threads_than_are_followed),
        TEST(of_a_traceback_wait_for_its_error),
        TEST(of_all_threads_are_bounded),
        TEST(keep_a_traceback_whole_among_threads),
        TEST(that_wait_go_on_in_order),
        TEST(of_a_message_stay_with_the_traceback),
        TEST(of_two_requests_are_two_events),
        TEST(of_java_util_logging_are_records),
        TEST(of_two_tracebacks_have_no_request),
        TEST(of_a_traceback_go_on_without_a_request),
        TEST(that_were_collected_are_nobody_s),
        TEST(mark_a_gap),
        TEST(of_messages_are_one_event_each),
        TEST(of_a_file_have_its_path),
        TEST(cut_a_long_line),
        TEST(end_where_the_call_was_cut),
        TEST(pass_marks_over),
        TEST(bound_an_event_of_many_lines),
        TEST(mark_what_is_no_text),
        TEST(refuse_what_makes_no_sense),
        TEST(say_how_severe_they_are),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
