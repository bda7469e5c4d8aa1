/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks that are hard to follow, and threads that are hard to stop: crashes in a fork of the test itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/crash_report.h"
#include "tests/support/dying.h"

static void write_null(void)
{
    __asm__ volatile("movl $1, 0"); /* sanitizers must not see it first */
}

static void in_handler(int number)
{
    write_null();
    (void)number;
}

static void before_signal(void)
{
    (void)signal(SIGUSR1, in_handler);
    (void)raise(SIGUSR1);
    __asm__ volatile("");
}

static void test_unwind_through_a_signal_handler(void **state)
{
    struct dying dying = dying_function(before_signal, false);
    json_t *report = crash_report(&dying);

    (void)state;
    crash_expect(report, "write_null in_handler before_signal main ");
    json_decref(report);
}

/* A handler of the program's own that ran before the end is named. */
static void test_unwind_names_the_handler_that_ran(void **state)
{
    struct dying dying = dying_function(before_signal, false);
    void (*handler)(int) = in_handler;
    json_t *report;

    (void)state;
    memcpy(&dying.area->crash.handler, &handler, sizeof(handler)); /* a fork has it at the same address */
    report = crash_report(&dying);
    assert_string_equal(crash_text(json_object_get(report, "handler"), "function"), "in_handler");
    assert_non_null(strstr(crash_text(json_object_get(report, "handler"), "module"), "test_unwind"));
    json_decref(report);
}

static void clock_to_nowhere(void)
{
    (void)clock_gettime(CLOCK_MONOTONIC, *(struct timespec *volatile *)&(struct timespec *){(void *)8});
    __asm__ volatile("");
}

static void check_vdso(bool shut)
{
    struct dying dying = dying_function(clock_to_nowhere, shut);
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

/* Code without unwind tables, as a compiler at run time makes it: push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret
 */
static const uint8_t with_frame_pointer[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
/* push %rbx; mov $3,%ebp; call *%rdi; pop %rbx; ret */
static const uint8_t without_frame_pointer[] = {0x53, 0xbd, 3, 0, 0, 0, 0xff, 0xd7, 0x5b, 0xc3};
/* A frame that points to itself: push %rbp; mov %rsp,%rbp; mov %rbp,(%rbp); call *%rdi; pop; ret */
static const uint8_t circle[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0x6d, 0x00, 0xff, 0xd7, 0x5d, 0xc3};

static void call_through(const uint8_t *code, size_t size)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void (*volatile run)(void (*)(void));

    memcpy(memory, code, size);
    memcpy((void *)&run, &memory, sizeof(run));
    run(write_null);
    __asm__ volatile("");
}

static void by_frame_pointer(void)
{
    call_through(with_frame_pointer, sizeof(with_frame_pointer));
}

static void by_scan(void)
{
    call_through(without_frame_pointer, sizeof(without_frame_pointer));
}

static void in_circles(void)
{
    call_through(circle, sizeof(circle));
}

static void check_generated(void (*body)(void), const char *found_by)
{
    struct dying dying = dying_function(body, false);
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
    check_generated(by_frame_pointer, "frame_pointer");
    check_generated(by_scan, "scan");
    check_generated(in_circles, "frame_pointer");
}

/* The stack pointer leads nowhere at all. */
static void lose_stack(void)
{
    __asm__ volatile("mov $0x1000, %rsp; mov $0x2000, %rbp; movl $1, 0");
}

static void test_unwind_without_a_stack(void **state)
{
    struct dying dying = dying_function(lose_stack, false);
    json_t *report = crash_report(&dying);

    (void)state;
    assert_int_equal(json_array_size(crash_frames(report)), 1);
    assert_true(json_array_size(json_object_get(report, "incomplete")) > 0);
    crash_expect(report, "lose_stack ");
    json_decref(report);
}

static int deeper(int depth)
{
    volatile int more = depth + 1;

    return more ? deeper(more) + more : 0;
}

static void recurse(void)
{
    (void)deeper(1);
}

/* A deep stack's two ends are kept, and how much isn't. */
static void test_unwind_of_a_deep_stack(void **state)
{
    struct dying dying = dying_function(recurse, false);
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

static int ready[2]; /* a pipe: a thread is where it should be */

/* The thread that calls vfork() does not stop until its child is gone. */
static void *wait_in_vfork(void *arg)
{
    pid_t child = vfork();

    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)!write(ready[1], "", 1);
        (void)sleep(60);
        _exit(0);
    }
    return arg;
}

static void crash_beside_vfork(void)
{
    pthread_t thread;
    char byte;

    (void)!pipe(ready);
    (void)pthread_create(&thread, NULL, wait_in_vfork, NULL);
    (void)!read(ready[0], &byte, 1);
    write_null();
}

static void test_unwind_beside_a_thread_that_does_not_stop(void **state)
{
    struct dying dying = dying_function(crash_beside_vfork, false);
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

static void *sleep_long(void *arg)
{
    (void)!write(ready[1], &(pid_t){gettid()}, sizeof(pid_t));
    (void)sleep(60);
    return arg;
}

/* Has a thread that a debugger holds. */
static void crash_beside_traced(void)
{
    pthread_t thread;
    pid_t tid, tracer;
    char byte;

    (void)!pipe(ready);
    (void)pthread_create(&thread, NULL, sleep_long, NULL);
    (void)!read(ready[0], &tid, sizeof(tid));
    tracer = fork();
    if (tracer == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!ptrace(PTRACE_SEIZE, tid, NULL, NULL))
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)!write(ready[1], "", 1);
        (void)sleep(60);
        _exit(0);
    }
    (void)!read(ready[0], &byte, 1);
    write_null();
}

static void test_unwind_beside_a_thread_that_is_traced(void **state)
{
    struct dying dying = dying_function(crash_beside_traced, false);
    json_t *report = crash_report(&dying);
    const json_t *threads = json_object_get(report, "threads");

    (void)state;
    assert_int_equal(json_array_size(threads), 2);
    assert_int_equal(json_array_size(json_object_get(json_array_get(threads, 1), "frames")), 0);
    assert_int_equal(json_array_size(json_object_get(report, "incomplete")), 1);
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
