/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that crash in all ways, read from outside while they wait: as the agent is allowed to, and as it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/crash_report.h"
#include "tests/support/dying.h"

enum { ARGUMENTS_MAX = 4 };

struct row {
    const char *arguments[ARGUMENTS_MAX]; /* the program, in test-apps */
    const char *title;
    const char *functions; /* that stand in the crashed thread's frames, in this order, each ended by a space */
};

static json_t *run(const char *const names[ARGUMENTS_MAX], bool shut)
{
    char path[512], *arguments[ARGUMENTS_MAX + 1] = {path};
    struct dying dying;

    (void)snprintf(path, sizeof(path), "%s/%s", TEST_APPS, names[0]);
    for (int i = 1; i < ARGUMENTS_MAX; i++)
        arguments[i] = (char *)(uintptr_t)names[i];
    dying = dying_program(arguments, shut);
    return crash_report(&dying);
}

static void check(const struct row *row, bool shut)
{
    json_t *report = run(row->arguments, shut);

    if (strcmp(crash_text(report, "title"), row->title))
        crash_fail(report, row->title);
    crash_expect(report, row->functions);
    json_decref(report);
}

static const struct row rows[] = {
    {{"crasher", "null_read"}, "SIGSEGV in null_read: read of 0x0 (null pointer)", "null_read crash_fault main "},
    {{"crasher", "null_write"}, "SIGSEGV in null_write: write to 0x0 (null pointer)", "null_write crash_fault main "},
    {{"crasher", "null_call"}, "SIGSEGV in call: call to 0x0 (null pointer)", "call null_call crash_fault main "},
    {{"crasher", "heap_jump"}, "SIGSEGV in call: jump to non-executable memory", "call heap_jump crash_fault main "},
    {{"crasher", "noncanonical_read"},
     "SIGSEGV in noncanonical_read: access to an impossible address (bad pointer)",
     "noncanonical_read crash_fault main "},
    {{"crasher", "noncanonical_jump"},
     "SIGSEGV in call: jump to an impossible address (bad pointer)",
     "call noncanonical_jump main "},
    {{"crasher", "constant_write"}, "SIGSEGV in constant_write: write to read-only memory", "constant_write main "},
    {{"crasher", "overflow"}, "SIGSEGV in overflow_deeper: stack overflow", "overflow_deeper "},
    {{"crasher", "smashed_return"},
     "SIGSEGV in smashed_return: return to an impossible address (stack overwritten)",
     "smashed_return "},
    {{"crasher", "malloc_lock"}, "SIGABRT in malloc_lock: malloc(): corrupted top size", "malloc_lock main "},
    {{"crasher", "double_free"},
     "SIGABRT in double_free: free(): double free detected in tcache 2",
     "double_free crash_fault main "},
    {{"crasher", "fortify"}, "SIGABRT in fortify: *** buffer overflow detected ***: terminated", "fortify main "},
    {{"crasher", "stack_protector"},
     "SIGABRT in stack_protector: *** stack smashing detected ***: terminated",
     "stack_protector main "},
    {{"crasher", "divide"}, "SIGFPE in divide: integer division by zero or overflow", "divide main "},
    {{"crasher", "ud2"}, "SIGILL in ud2: trap instruction (ud2)", "ud2 main "},
    {{"crasher", "int3"}, "SIGTRAP in int3: breakpoint", "int3 main "},
    {{"crasher", "cut_file"}, "SIGBUS in cut_file: access beyond the end of a mapped file", "cut_file main "},
    {{"crasher", "forbidden_call"},
     "SIGSYS in forbidden_call: system call 110 is not allowed (seccomp)",
     "forbidden_call main "},
    {{"crasher", "call_abort"}, "SIGABRT in call_abort: abort", "call_abort main "},
    {{"crasher", "send_kill"}, "SIGBUS in send_kill: sent by itself", "send_kill main "},
    {{"crasher", "null_write", "thread"},
     "SIGSEGV in null_write: write to 0x0 (null pointer)",
     "null_write in_thread "},
    {{"crasher", "null_write", "coroutine"},
     "SIGSEGV in null_write: write to 0x0 (null pointer)",
     "null_write crash_fault "},
    {{"crasher", "null_write", "qsort"},
     "SIGSEGV in null_write: write to 0x0 (null pointer)",
     "null_write compare qsort_place main "},
    {{"crasher", "null_write", "atexit"},
     "SIGSEGV in null_write: write to 0x0 (null pointer)",
     "null_write at_exit _start "},
};

static void test_reader_of_all_ways_to_crash(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(&rows[i], false);
}

static void test_reader_of_the_copy_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(&rows[i], true);
}

/* No names; the place is told by module and offset, and unwind tables are there as always. */
static void test_reader_of_a_stripped_binary(void **state)
{
    const char *const names[ARGUMENTS_MAX] = {"crasher_stripped", "null_write"};
    json_t *report = run(names, false);

    (void)state;
    assert_ptr_equal(strstr(crash_text(report, "title"), "SIGSEGV in crasher_stripped+0x"),
                     crash_text(report, "title"));
    assert_true(json_array_size(crash_frames(report)) >= 5);
    assert_string_equal(crash_text(json_array_get(crash_frames(report), 0), "function"), "");
    assert_int_equal(strlen(crash_text(json_array_get(crash_frames(report), 0), "build_id")), 40);
    json_decref(report);
}

/* Only the process has the file. */
static void test_reader_of_a_deleted_binary(void **state)
{
    char path[] = "/tmp/crasher-XXXXXX", command[512], fault[] = "null_write", place[] = "deleted";
    char *const arguments[] = {path, fault, place, NULL};
    struct dying dying;
    json_t *report;

    (void)state;
    close(mkstemp(path));
    (void)snprintf(command, sizeof(command), "cp '%s/crasher' %s && chmod 700 %s", TEST_APPS, path, path);
    assert_int_equal(system(command), 0);
    dying = dying_program(arguments, false);
    assert_int_equal(access(path, F_OK), -1);
    report = crash_report(&dying);
    assert_string_equal(crash_text(report, "title"), "SIGSEGV in null_write: write to 0x0 (null pointer)");
    assert_string_equal(crash_text(json_object_get(report, "process"), "executable"), path);
    crash_expect(report, "null_write deleted_place main ");
    json_decref(report);
}

/* Its files are in a mount namespace of its own: only by way of the process's root can they be opened. */
static void test_reader_of_a_container(void **state)
{
    static char unshare[] = "/usr/bin/unshare", mounts[] = "--mount", shell[] = "/bin/sh", with[] = "-c";
    char script[1024];
    char *const arguments[] = {unshare, mounts, shell, with, script, NULL};
    struct dying dying;
    json_t *report;

    (void)state;
    if (geteuid() != 0) {
        print_message("mounting is root's: skipped\n");
        skip();
    }
    (void)snprintf(script, sizeof(script),
                   "mount -t tmpfs none /mnt && cp '%s/crasher' /mnt/service && exec /mnt/service null_write",
                   TEST_APPS);
    dying = dying_program(arguments, false);
    report = crash_report(&dying);
    assert_string_equal(crash_text(report, "title"), "SIGSEGV in null_write: write to 0x0 (null pointer)");
    assert_string_equal(crash_text(json_array_get(crash_frames(report), 0), "module"), "/mnt/service");
    json_decref(report);
}

static const struct row cxx_rows[] = {
    {{"crasher_cxx", "out_of_range"},
     "std::out_of_range in shop::Order::total: vector::_M_range_check: __n (which is 7) >= this->size() (which is 3)",
     "shop::Order::total out_of_range main "},
    {{"crasher_cxx", "refused"}, "shop::Refused in refused: no money left", "refused main "},
    {{"crasher_cxx", "number"}, "int in number: 42", "number main "},
    {{"crasher_cxx", "in_thread"}, "shop::Refused in refused: no money left", "refused "},
    {{"crasher_cxx", "in_noexcept"}, "shop::Refused in refused: no money left", "main "},
    {{"crasher_cxx", "terminate"}, "SIGABRT in main: abort", "main "},
};

static void test_reader_of_cxx_exceptions(void **state)
{
    (void)state;
    if (access(TEST_APPS "/crasher_cxx", X_OK)) {
        print_message("no C++ compiler: skipped\n");
        skip();
    }
    for (size_t i = 0; i < sizeof(cxx_rows) / sizeof(cxx_rows[0]); i++) {
        json_t *copied = run(cxx_rows[i].arguments, true);

        check(&cxx_rows[i], false);
        crash_expect(copied, cxx_rows[i].functions); /* the exception itself is not in the copy */
        json_decref(copied);
    }
}

/* Rust before 1.70 leaves nothing of this text. */
static void expect_refusal(json_t *report)
{
    const char *title = crash_text(report, "title");

    if (strcmp(title, "panic in panic::refuse: no stock left") && strcmp(title, "panic in panic::refuse"))
        crash_fail(report, "panic in panic::refuse: no stock left");
    crash_expect(report, "panic::refuse ");
    json_decref(report);
}

static void test_reader_of_rust_panics(void **state)
{
    static const char *const words[ARGUMENTS_MAX] = {"crasher_rust", "words"};
    static const char *const numbers[ARGUMENTS_MAX] = {"crasher_rust", "panic"};

    (void)state;
    if (access(TEST_APPS "/crasher_rust", X_OK)) {
        print_message("no Rust compiler: skipped\n");
        skip();
    }
    for (int backtrace = 0; backtrace <= 1; backtrace++) { /* printing it overwrites the text that was printed */
        json_t *report;

        assert_int_equal(setenv("RUST_BACKTRACE", backtrace ? "1" : "0", 1), 0);
        expect_refusal(run(words, false));
        report = run(numbers, false);
        assert_non_null(strstr(crash_text(report, "title"), "panic in panic::price: index out of bounds"));
        crash_expect(report, "panic::price panic::main ");
        json_decref(report);
        report = run(numbers, true); /* a copy begins at the stack pointer */
        assert_non_null(strstr(crash_text(report, "title"), "panic in panic::price: index out of bounds"));
        json_decref(report);
    }
}

static void expect_threads(const char *place, size_t count)
{
    json_t *report = run((const char *const[]){"crasher", "null_write", place, NULL}, false), *thread;
    const json_t *threads = json_object_get(report, "threads");
    size_t i;

    assert_int_equal(json_array_size(threads), count);
    json_array_foreach(threads, i, thread)
    {
        assert_int_equal(json_is_true(json_object_get(thread, "crashed")), i == 0);
        assert_true(json_array_size(json_object_get(thread, "frames")) >= 1);
        assert_string_equal(crash_text(thread, "name"), "crasher");
    }
    assert_null(json_object_get(report, "incomplete"));
    print_message("%zu threads: held for %.1f ms\n", count, (double)crash_held_ns / 1e6);
    json_decref(report);
}

static void test_reader_of_many_threads(void **state)
{
    (void)state;
    expect_threads("twenty", 20);
    expect_threads("crowd", 200);
    assert_true(crash_held_ns < 5000000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_of_all_ways_to_crash), cmocka_unit_test(test_reader_of_the_copy_alone),
        cmocka_unit_test(test_reader_of_a_stripped_binary), cmocka_unit_test(test_reader_of_a_deleted_binary),
        cmocka_unit_test(test_reader_of_a_container),       cmocka_unit_test(test_reader_of_cxx_exceptions),
        cmocka_unit_test(test_reader_of_rust_panics),       cmocka_unit_test(test_reader_of_many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
