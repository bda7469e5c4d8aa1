/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that crash in all ways, read from outside while they wait: as the agent is allowed to, and as it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exporters/crash/reader.h"
#include "tests/support/dying.h"

enum { ARGUMENTS_MAX = 4 };

struct row {
    const char *arguments[ARGUMENTS_MAX]; /* the program, in test-apps */
    const char *title;
    const char *functions; /* that stand in the crashed thread's frames, in this order, each ended by a space */
};

/* Root may read everything; without this capability, only what lets itself be read. */
static void allow_tracing(bool allowed)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    assert_int_equal(syscall(SYS_capget, &header, sets), 0);
    if (!(sets[0].permitted & 1u << CAP_SYS_PTRACE))
        return;
    sets[0].effective &= ~(1u << CAP_SYS_PTRACE);
    sets[0].effective |= (uint32_t)allowed << CAP_SYS_PTRACE;
    assert_int_equal(syscall(SYS_capset, &header, sets), 0);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t held_ns; /* by the last capture */

/* Of a process that is let die at once. */
static json_t *report_of(struct dying *dying)
{
    struct capture *capture = NULL;
    struct wire_crash crash = dying->area->crash;
    struct reader_options options = {.pid = dying->pid, .pidfd = dying->pidfd, .crash = &crash};
    uint8_t *copy = NULL;
    json_t *report;

    if (dying->area->shut) {
        allow_tracing(false);
        assert_int_equal(reader_capture(&options, &capture), -EPERM);
        copy = malloc(WIRE_CRASH_COPY_SIZE);
        memcpy(copy, dying->area->copy, WIRE_CRASH_COPY_SIZE);
        options.copy = copy;
    }
    held_ns = now_ns();
    assert_int_equal(reader_capture(&options, &capture), 0);
    held_ns = now_ns() - held_ns;
    allow_tracing(true);
    (void)dying_end(dying);
    report = reader_report(capture);
    reader_free(capture);
    free(copy);
    return report;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static json_t *crashed_frames(const json_t *report)
{
    json_t *thread = json_array_get(json_object_get(report, "threads"), 0);

    assert_true(json_is_true(json_object_get(thread, "crashed")));
    return json_object_get(thread, "frames");
}

static void fail_with(const json_t *report, const char *what)
{
    char *text = json_dumps(json_object_get(report, "incomplete"), JSON_INDENT(1) | JSON_ENCODE_ANY);
    const json_t *frame;
    size_t i;

    print_error("%s\n%s\n%s\n", what, text_of(report, "title"), text ? text : "");
    json_array_foreach(crashed_frames(report), i, frame)
    {
        print_error("  %s %s +%s %s\n", text_of(frame, "found_by"), text_of(frame, "module"), text_of(frame, "offset"),
                    text_of(frame, "function"));
    }
    free(text);
    fail();
}

/* In this order; others may stand between them. */
static void expect_functions(const json_t *report, const char *functions)
{
    const json_t *frame;
    size_t i;

    json_array_foreach(crashed_frames(report), i, frame)
    {
        size_t length = strcspn(functions, " ");

        if (length && strlen(text_of(frame, "function")) == length &&
            !strncmp(text_of(frame, "function"), functions, length))
            functions += length + 1;
    }
    if (*functions)
        fail_with(report, functions);
}

static json_t *run(const char *const names[ARGUMENTS_MAX], bool shut)
{
    char path[512], *arguments[ARGUMENTS_MAX + 1] = {path};
    struct dying dying;

    (void)snprintf(path, sizeof(path), "%s/%s", TEST_APPS, names[0]);
    for (int i = 1; i < ARGUMENTS_MAX; i++)
        arguments[i] = (char *)(uintptr_t)names[i];
    dying = dying_program(arguments, shut);
    return report_of(&dying);
}

static void check(const struct row *row, bool shut)
{
    json_t *report = run(row->arguments, shut);

    if (strcmp(text_of(report, "title"), row->title))
        fail_with(report, row->title);
    expect_functions(report, row->functions);
    json_decref(report);
}

static const struct row rows[] = {
    {{"crasher", "null_read"}, "SIGSEGV in null_read: read from 0x0 (null pointer)", "null_read crash_fault main "},
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
        expect_functions(copied, cxx_rows[i].functions); /* the exception itself is not in the copy */
        json_decref(copied);
    }
}

static void test_reader_of_rust_panics(void **state)
{
    static const struct row with_text = {{"crasher_rust", "panic"},
                                         "panic in panic::price: index out of bounds: the len is 3 but the index is 8",
                                         "core::panicking::panic_bounds_check panic::price panic::main "};
    static const struct row without = {
        {"crasher_rust", "panic"}, "panic in panic::price: core::panicking::panic_bounds_check", "panic::price "};

    (void)state;
    if (access(TEST_APPS "/crasher_rust", X_OK)) {
        print_message("no Rust compiler: skipped\n");
        skip();
    }
    assert_int_equal(setenv("RUST_BACKTRACE", "0", 1), 0);
    check(&with_text, false);
    check(&without, true);
    assert_int_equal(setenv("RUST_BACKTRACE", "1", 1), 0); /* printing it overwrites the text */
    check(&without, false);
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
        assert_string_equal(text_of(thread, "name"), "crasher");
    }
    assert_null(json_object_get(report, "incomplete"));
    print_message("%zu threads: held for %.1f ms\n", count, (double)held_ns / 1e6);
    json_decref(report);
}

static void test_reader_of_many_threads(void **state)
{
    (void)state;
    expect_threads("twenty", 20);
    expect_threads("crowd", 200);
    assert_true(held_ns < 1000000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_of_all_ways_to_crash), cmocka_unit_test(test_reader_of_the_copy_alone),
        cmocka_unit_test(test_reader_of_cxx_exceptions),    cmocka_unit_test(test_reader_of_rust_panics),
        cmocka_unit_test(test_reader_of_many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
