/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks that are hard to follow, and threads that are hard to stop: those of tests/support/odd_stacks.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/ucontext.h>

#include "tests/support/crash_report.h"
#include "tests/support/dying.h"

static struct dying crash(const char *name, bool shut)
{
    static char program[] = ODD_STACKS;
    char *const arguments[] = {program, (char *)(uintptr_t)name, NULL};

    return dying_program(arguments, shut);
}

static void test_unwind_through_a_signal_handler(void **state)
{
    struct dying dying = crash("before_signal", false);
    json_t *report = crash_report(&dying);

    (void)state;
    crash_expect(report, "write_null in_handler before_signal main ");
    json_decref(report);
}

/* A handler of the program's own that ran before the end is named. */
static void test_unwind_names_the_handler_that_ran(void **state)
{
    struct dying dying = crash("before_signal", false);
    json_t *report;

    (void)state;
    dying.area->crash.handler = dying.area->crash.registers[REG_RIP]; /* some function */
    report = crash_report(&dying);
    assert_string_equal(crash_text(json_object_get(report, "handler"), "function"), "write_null");
    assert_non_null(strstr(crash_text(json_object_get(report, "handler"), "module"), "odd_stacks"));
    json_decref(report);
}

static void check_vdso(bool shut)
{
    struct dying dying = crash("clock_to_nowhere", shut);
    json_t *report = crash_report(&dying);
    const json_t *first = json_array_get(crash_frames(report), 0);

    assert_string_equal(crash_text(first, "module"), "[vdso]");
    assert_string_equal(crash_text(json_object_get(report, "signal"), "cause"), "write to 0x8 (null pointer)");
    crash_expect(report, "clock_to_nowhere main ");
    json_decref(report);
}

static void test_unwind_out_of_the_vdso(void **state)
{
    (void)state;
    check_vdso(false);
    check_vdso(true);
}

static void check_generated(const char *body, const char *found_by)
{
    struct dying dying = crash(body, false);
    json_t *report = crash_report(&dying);
    const json_t *caller = json_array_get(crash_frames(report), 2);

    crash_expect(report, "write_null call_through main ");
    assert_string_equal(crash_text(json_array_get(crash_frames(report), 1), "module"), "");
    assert_string_equal(crash_text(caller, "found_by"), found_by);
    assert_string_equal(crash_text(caller, "function"), "call_through");
    json_decref(report);
}

static void test_unwind_of_code_without_tables(void **state)
{
    (void)state;
    check_generated("by_frame_pointer", "frame_pointer");
    check_generated("by_scan", "scan");
    check_generated("in_circles", "frame_pointer");
}

static void test_unwind_without_a_stack(void **state)
{
    struct dying dying = crash("lose_stack", false);
    json_t *report = crash_report(&dying);

    (void)state;
    assert_int_equal(json_array_size(crash_frames(report)), 1);
    assert_true(json_array_size(json_object_get(report, "incomplete")) > 0);
    crash_expect(report, "lose_stack ");
    json_decref(report);
}

/* A deep stack's two ends are kept, and how much isn't. */
static void test_unwind_of_a_deep_stack(void **state)
{
    struct dying dying = crash("recurse", false);
    json_t *report = crash_report(&dying);
    const json_t *thread = json_array_get(json_object_get(report, "threads"), 0);

    (void)state;
    assert_int_equal(json_array_size(crash_frames(report)), 256 + 64);
    assert_true(json_integer_value(json_object_get(thread, "frames_left_out")) > 10000);
    crash_expect(report, "deeper recurse main ");
    print_message("%lld frames: held for %.1f ms\n",
                  (long long)json_integer_value(json_object_get(thread, "frames_left_out")) + 320,
                  (double)crash_held_ns / 1e6);
    assert_true(crash_held_ns < 20000000000u);
    json_decref(report);
}

static void test_unwind_beside_a_thread_that_does_not_stop(void **state)
{
    struct dying dying = crash("crash_beside_vfork", false);
    json_t *report = crash_report(&dying);
    const json_t *threads = json_object_get(report, "threads");

    (void)state;
    assert_true(crash_held_ns < 20000000000u);
    assert_int_equal(json_array_size(threads), 2);
    assert_int_equal(json_array_size(json_object_get(json_array_get(threads, 1), "frames")), 0);
    assert_int_equal(json_array_size(json_object_get(report, "incomplete")), 1);
    crash_expect(report, "write_null crash_beside_vfork main ");
    json_decref(report);
}

static void test_unwind_beside_a_thread_that_is_traced(void **state)
{
    struct dying dying = crash("crash_beside_traced", false);
    json_t *report = crash_report(&dying);
    const json_t *threads = json_object_get(report, "threads");

    (void)state;
    assert_int_equal(json_array_size(threads), 2);
    assert_int_equal(json_array_size(json_object_get(json_array_get(threads, 1), "frames")), 0);
    assert_int_equal(json_array_size(json_object_get(report, "incomplete")), 1);
    json_decref(report);
}

/* It is let go nevertheless: a process doesn't end for its parent while a thread of it is held. */
static void test_unwind_beside_a_thread_that_stops_too_late(void **state)
{
    const uint64_t limit_ns = crash_limit_ns;
    struct dying dying = crash("crash_beside_reading", false);
    json_t *report;

    (void)state;
    crash_limit_ns = 1;
    report = crash_report(&dying);
    crash_limit_ns = limit_ns;
    assert_int_equal(json_array_size(json_object_get(report, "threads")), 2);
    crash_expect(report, "write_null crash_beside_reading main ");
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unwind_through_a_signal_handler),
        cmocka_unit_test(test_unwind_names_the_handler_that_ran),
        cmocka_unit_test(test_unwind_out_of_the_vdso),
        cmocka_unit_test(test_unwind_of_code_without_tables),
        cmocka_unit_test(test_unwind_without_a_stack),
        cmocka_unit_test(test_unwind_of_a_deep_stack),
        cmocka_unit_test(test_unwind_beside_a_thread_that_does_not_stop),
        cmocka_unit_test(test_unwind_beside_a_thread_that_is_traced),
        cmocka_unit_test(test_unwind_beside_a_thread_that_stops_too_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
