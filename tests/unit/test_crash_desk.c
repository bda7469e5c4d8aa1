/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/crash_desk.h"

#include "exporters/agent/crash_helper.h"
#include "exporters/agent/crash_store.h"
#include "exporters/agent/drain.h"
#include "exporters/agent/intake.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/rounds.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"
#include "exporters/agent/users.h"
#include "exporters/agent/wait_status.h"
#include "tests/support/dying.h"
#include "tests/support/wire_writer.h"

#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CELLS = 64, SLOTS = 64, PATIENCE_MS = 20000 };

/* A ring whose only lane is a crashed process's, and the desk. */
struct fixture {
    struct wire_writer writer;
    struct source source;
    struct loop *loop;
    int helper;
    bool helper_is_gone;
    struct journal *journal;
    int journal_memfd;
    struct dying dying;
    char folder[64];
};

static struct fixture test; /* of the test that runs */

/* the process */

__attribute__((noinline)) static void write_to_null(void)
{
    *(volatile int *)8 = 1; /* NOLINT: what it is for */
}

static void crash(void)
{
    write_to_null();
}

/* A request that is open in slot 0. */
static void open_request(void)
{
    struct wire_slot *slot = wire_writer_slot(&test.writer, 0, 0);
    struct wire_request *request = wire_slot_request(slot);

    (void)wire_writer_request(request, 7, 20);
    request->kind = WIRE_KIND_SERVER;
    request->end_ns = 0;
    atomic_store(&slot->open, WIRE_SLOT_OPEN);
    atomic_store(&wire_writer_lane(&test.writer, 0)->slot_map[0], 1);
}

/* It crashes; its lane says so, in this state. */
static struct wire_crash *crash_in(uint32_t state, void (*body)(void))
{
    struct wire_crash *shared = wire_writer_crash(&test.writer, 0);
    struct source_lane *lane = &test.source.lanes[0];

    test.dying = dying_function(body, false);
    assert_true(wire_writer_claim(&test.writer, 0, (uint32_t)test.dying.pid));
    lane->owner = atomic_load(&wire_writer_lane(&test.writer, 0)->owner);
    lane->process = process_new(&test.source, 0, 1, test.dying.pid);
    lane->pidfd = dup(test.dying.pidfd);
    open_request();
    memcpy(shared, &test.dying.area->crash, sizeof(*shared));
    memcpy(shared->span_id, wire_slot_request(wire_writer_slot(&test.writer, 0, 0))->span_id, sizeof(shared->span_id));
    atomic_store(&shared->state, state);
    return shared;
}

/* the desk */

static struct loop_timer poll_timer;
static bool (*is_met)(void);
static int rounds_left;

static void check(void *arg)
{
    (void)arg;
    if (is_met() || --rounds_left == 0)
        loop_stop(test.loop);
    else
        (void)loop_timer_set(test.loop, &poll_timer, 2000000);
}

static void run_until(bool (*condition)(void))
{
    is_met = condition;
    rounds_left = PATIENCE_MS / 2;
    poll_timer.fn = check;
    (void)loop_timer_set(test.loop, &poll_timer, 0);
    assert_int_equal(loop_run(test.loop), 0);
    assert_true(condition());
}

static bool is_released(void)
{
    return atomic_load(&wire_writer_crash(&test.writer, 0)->state) == WIRE_CRASH_DONE;
}

static bool is_filed(void)
{
    return atomic_load(&wire_writer_crash(&test.writer, 0)->state) == WIRE_CRASH_NONE;
}

static bool asks_for_copy(void)
{
    return atomic_load(&wire_writer_crash(&test.writer, 0)->state) == WIRE_CRASH_REFUSED;
}

static bool helper_is_gone(void)
{
    return test.helper_is_gone;
}

static void note_helper(void)
{
    test.helper_is_gone = true;
}

/* The only report of the folder; NULL: there is none. */
static json_t *only_report(void)
{
    char path[512] = "", folder[128];
    const struct dirent *entry;
    struct stat status;
    DIR *dir;

    (void)snprintf(folder, sizeof(folder), "%s/spanshim/crashes", test.folder);
    dir = opendir(folder);
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            assert_string_equal(path, "");
            (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        }
    if (!dir)
        return NULL;
    (void)closedir(dir);
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    if (path[0] && stat(path, &status) == 0)
        assert_int_equal(status.st_mode & 0777, 0600);
    return path[0] ? json_load_file(path, 0, NULL) : NULL;
}

static bool is_kept(void)
{
    json_t *report = only_report();

    json_decref(report);
    return report != NULL;
}

static const char *text_in(const json_t *report, const char *object, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(report, object), key));

    return text ? text : "";
}

static int setup(void **state)
{
    (void)state;
    test = (struct fixture){.folder = "/tmp/test_crash_desk.XXXXXX"};
    assert_non_null(mkdtemp(test.folder));
    assert_int_equal(setenv("XDG_STATE_HOME", test.folder, 1), 0);
    assert_int_equal(crash_helper_start(&test.helper), 0);
    assert_int_equal(loop_new(&test.loop), 0);
    assert_int_equal(rounds_init(test.loop), 0);
    crash_desk_init(test.loop, test.helper, note_helper);
    assert_int_equal(wire_writer_open(&test.writer, 1, SLOTS, CELLS), 0);
    assert_int_equal(source_map(&test.source, test.writer.ring_memfd, test.writer.control_memfd), 0);
    test.source.id = 1;
    test.source.uid = geteuid();
    test.source.same_clock = true;
    test.source.crash_limit_ms = 60000;
    test.source.wall_offset_ns = intake_wall_offset_ns();
    test.source.executable = strdup("/usr/bin/thing");
    test.source.settings = settings_new(NULL, 0, NULL);
    test.source.resource = resource_new(&(struct resource_facts){.executable = "/usr/bin/thing"}, test.source.settings);
    assert_int_equal(journal_create(1 << 20, &test.journal_memfd), 0);
    assert_int_equal(journal_open(test.journal_memfd, &test.journal), 0);
    journal_set_consumers(test.journal, 1);
    test.source.outlets[SIGNAL_TRACES].journal = test.journal;
    drain_start(&test.source);
    return 0;
}

static int teardown(void **state)
{
    char command[160];

    (void)state;
    loop_timer_clear(test.loop, &poll_timer);
    crash_desk_deinit();
    rounds_deinit();
    close(test.source.lanes[0].pidfd);
    process_forget(&test.source);
    source_unmap(&test.source);
    resource_free(test.source.resource);
    settings_unref(test.source.settings);
    free(test.source.executable);
    journal_close(test.journal);
    close(test.journal_memfd);
    wire_writer_close(&test.writer);
    loop_free(test.loop);
    (void)snprintf(command, sizeof(command), "rm -r %s", test.folder);
    return system(command); /* NOLINT: our own folder */
}

/* The innermost call: file and line are there as the test is built with debug information. */
static void assert_has_frame(const struct process_exception *exception, const char *function, const char *file)
{
    const json_t *frame = json_array_get(exception->frames, 0);

    assert_string_equal(json_string_value(json_object_get(frame, "label")), function);
    assert_non_null(strstr(json_string_value(json_object_get(frame, "path")), file));
    assert_true(json_integer_value(json_object_get(frame, "line")) > 0);
    assert_in_range(json_array_size(exception->frames), 1, PROCESS_FRAMES_MAX);
}

/* tests */

static void test_crash_desk_reads_releases_and_files(void **state)
{
    json_t *report;

    (void)state;
    (void)crash_in(WIRE_CRASH_READY, crash);
    assert_true(crash_desk_look(&test.source, 0));
    run_until(is_released);
    assert_true(crash_desk_look(&test.source, 0)); /* nothing new */
    assert_int_equal(WTERMSIG(dying_end(&test.dying)), SIGSEGV);
    run_until(is_filed);
    report = only_report();
    assert_string_equal(text_in(report, "signal", "name"), "SIGSEGV");
    assert_string_equal(text_in(report, "service", "name"), "thing");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(report, "exit"), "signal")), SIGSEGV);
    assert_true(json_integer_value(json_object_get(report, "held_ns")) > 0);
    assert_true(json_is_true(json_object_get(json_object_get(report, "request"), "certain")));
    assert_int_equal(strlen(text_in(report, "request", "trace_id")), 32);
    assert_int_equal(json_array_size(json_object_get(report, "open_requests")), 1);
    assert_false(crash_desk_holds(&test.source, 0));
    assert_string_equal(crash_desk_end(&test.source, 0), "SIGSEGV");
    assert_memory_equal(test.source.lanes[0].process->exceptions[0]->span_id,
                        wire_slot_request(wire_writer_slot(&test.writer, 0, 0))->span_id, 8);
    assert_non_null(strstr(test.source.lanes[0].process->exceptions[0]->stacktrace, "write_to_null"));
    assert_has_frame(test.source.lanes[0].process->exceptions[0], "write_to_null", "test_crash_desk.c");
    json_decref(report);
}

/* It waited no more, and the agent came late: what it wrote itself is reported, once. */
static void test_crash_desk_reports_who_is_dead(void **state)
{
    json_t *report;

    (void)state;
    (void)crash_in(WIRE_CRASH_ALONE, crash);
    (void)dying_end(&test.dying);
    assert_true(crash_desk_holds(&test.source, 0));
    run_until(is_filed);
    report = only_report();
    assert_string_equal(text_in(report, "signal", "name"), "SIGSEGV");
    assert_true(json_array_size(json_object_get(report, "incomplete")) > 0);
    assert_non_null(json_object_get(report, "request"));
    json_decref(report);
    assert_false(crash_desk_holds(&test.source, 0));
}

/* The worker before this one had read it and kept the report: it is filed, not read again. */
static void test_crash_desk_goes_on_where_a_worker_ended(void **state)
{
    struct wire_crash *shared = crash_in(WIRE_CRASH_READY, crash);
    json_t *before, *after;

    (void)state;
    assert_true(crash_desk_look(&test.source, 0));
    run_until(is_released);
    run_until(is_kept);
    before = only_report();
    crash_desk_deinit(); /* it dies */
    assert_int_equal(atomic_load(&shared->state), WIRE_CRASH_DONE);
    (void)dying_end(&test.dying);
    crash_desk_init(test.loop, -1, note_helper);
    (void)crash_desk_holds(&test.source, 0);
    run_until(is_filed);
    after = only_report();
    assert_true(json_equal(json_object_get(before, "uuid"), json_object_get(after, "uuid")));
    assert_true(json_equal(json_object_get(before, "threads"), json_object_get(after, "threads")));
    assert_non_null(json_object_get(after, "exit"));
    json_decref(before);
    json_decref(after);
}

/* A process that is not released dies of its own time limit; here, it is released. */
static void test_crash_desk_releases_without_a_helper(void **state)
{
    json_t *report;

    (void)state;
    crash_desk_deinit();
    crash_desk_init(test.loop, -1, note_helper);
    (void)crash_in(WIRE_CRASH_READY, crash);
    assert_true(crash_desk_look(&test.source, 0));
    assert_true(is_released());
    (void)dying_end(&test.dying);
    run_until(is_filed);
    report = only_report();
    assert_true(json_array_size(json_object_get(report, "incomplete")) > 0);
    json_decref(report);
}

/* Who says that it is a vfork's child must be a child of the lane's owner. */
static void test_crash_desk_reads_no_stranger(void **state)
{
    struct wire_crash *shared = crash_in(WIRE_CRASH_NONE, crash);
    json_t *report;

    (void)state;
    shared->flags = WIRE_CRASH_VFORK_CHILD;
    shared->pid = (uint32_t)getpid();
    atomic_store(&shared->state, WIRE_CRASH_READY);
    assert_true(crash_desk_look(&test.source, 0));
    run_until(is_filed);
    report = only_report();
    assert_true(json_array_size(json_object_get(report, "incomplete")) > 0);
    json_decref(report);
    (void)dying_end(&test.dying);
}

/* An agent of root is led to a process that the ring's user could not look into. */
static void test_crash_desk_reads_nobody_elses_process(void **state)
{
    const json_t *frame;
    json_t *report;

    (void)state;
    if (geteuid() != 0) {
        (void)puts("skipped: only root's agent could read it");
        return;
    }
    test.source.uid = 61239;
    (void)crash_in(WIRE_CRASH_READY, crash);
    assert_true(crash_desk_look(&test.source, 0));
    run_until(asks_for_copy);
    atomic_store(&wire_writer_crash(&test.writer, 0)->state, WIRE_CRASH_COPIED); /* of nothing: no room */
    run_until(is_released);
    (void)dying_end(&test.dying);
    run_until(is_filed);
    report = only_report();
    assert_string_equal(text_in(report, "signal", "name"), "SIGSEGV");
    frame = json_array_get(json_object_get(json_array_get(json_object_get(report, "threads"), 0), "frames"), 0);
    assert_non_null(json_object_get(frame, "address"));
    assert_null(json_object_get(frame, "function"));
    assert_true(json_array_size(json_object_get(report, "incomplete")) > 0);
    json_decref(report);
}

static void test_crash_desk_notices_the_helpers_end(void **state)
{
    (void)state;
    (void)shutdown(test.helper, SHUT_WR);
    run_until(helper_is_gone);
    assert_false(crash_desk_can_read());
}

/* The helper is gone, but that is not heard yet: a process that waits is left to the next worker and its helper. */
static void test_crash_desk_leaves_who_waits_to_the_next_worker(void **state)
{
    struct wire_crash *shared = crash_in(WIRE_CRASH_READY, crash);
    struct pollfd end = {.fd = test.helper};
    json_t *report;

    (void)state;
    (void)shutdown(test.helper, SHUT_WR);
    while (!(end.revents & POLLHUP))
        assert_int_equal(poll(&end, 1, PATIENCE_MS), 1);
    assert_true(crash_desk_look(&test.source, 0));
    run_until(helper_is_gone);
    assert_int_equal(atomic_load(&shared->state), WIRE_CRASH_READING);
    assert_null(only_report());
    crash_desk_deinit();
    assert_int_equal(crash_helper_start(&test.helper), 0);
    crash_desk_init(test.loop, test.helper, note_helper);
    assert_true(crash_desk_look(&test.source, 0));
    run_until(is_released);
    (void)dying_end(&test.dying);
    run_until(is_filed);
    report = only_report();
    assert_true(json_array_size(json_object_get(report, "threads")) > 0); /* a sanitizer has some of its own */
    json_decref(report);
}

static void kill_itself(void)
{
    (void)raise(SIGKILL);
}

static void stop_in_order(void)
{
    _exit(0);
}

/* A process that ends so, and is reaped: does it make a report? */
static json_t *report_of_death(void (*end)(void))
{
    pid_t pid = fork();
    struct source_lane *lane = &test.source.lanes[0];

    if (pid == 0) {
        end();
        _exit(1);
    }
    lane->process = process_new(&test.source, 0, 1, pid);
    lane->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    open_request();
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(crash_desk_holds(&test.source, 0));
    assert_null(crash_desk_end(&test.source, 0));
    return only_report();
}

static void test_crash_desk_reports_a_kill(void **state)
{
    json_t *report = report_of_death(kill_itself);
    int status;

    (void)state;
    if (!report && wait_status_of(test.source.lanes[0].pidfd, &status)) {
        (void)puts("skipped: this kernel doesn't tell how processes ended (6.15 does)");
        return;
    }
    assert_string_equal(json_string_value(json_object_get(report, "kind")), "death");
    assert_string_equal(text_in(report, "signal", "name"), "SIGKILL");
    assert_int_equal(json_array_size(json_object_get(report, "open_requests")), 1);
    json_decref(report);
}

static void test_crash_desk_files_no_ordinary_end(void **state)
{
    (void)state;
    assert_null(report_of_death(stop_in_order));
}

/* The worker before this one has reported the crash, and ended before the lane did. */
static void test_crash_desk_reports_no_death_of_a_crash_told_before(void **state)
{
    struct wire_crash *shared = wire_writer_crash(&test.writer, 0);

    (void)state;
    shared->flags = WIRE_CRASH_TOLD;
    assert_null(report_of_death(kill_itself));
    assert_int_equal(shared->flags, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_crash_desk_reads_releases_and_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_desk_reports_who_is_dead, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_desk_goes_on_where_a_worker_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_desk_releases_without_a_helper, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_desk_reads_no_stranger, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_desk_reads_nobody_elses_process, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_desk_notices_the_helpers_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_desk_leaves_who_waits_to_the_next_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_desk_reports_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_desk_files_no_ordinary_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_desk_reports_no_death_of_a_crash_told_before, setup, teardown),
    };

    return users_init() ? EXIT_FAILURE : cmocka_run_group_tests(tests, NULL, NULL);
}
