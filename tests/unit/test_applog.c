/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/applog.h"

#include "preload/current.h"
#include "preload/glob.h"
#include "preload/logfile.h"
#include "preload/process.h"
#include "preload/ring.h"
#include "tests/support/shim_core.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

enum { CELLS = 1024, SOME_FD = 900 };

static struct wire_ring *ring; /* of the test that runs */
static char folder[] = "/tmp/spanshim-test.XXXXXX";
static char pattern[64];

static int setup(void **state)
{
    static struct glob_list files;
    uint64_t old;

    (void)state;
    (void)snprintf(pattern, sizeof(pattern), "%s/*.log", folder);
    (void)glob_list_read(pattern, &files);
    ring = shim_core_ring(1, 64, CELLS);
    applog_init(APPLOG_ALL, &files);
    (void)fdtab_set(SOME_FD, FDTAB_UNKNOWN, &old);
    return ring ? 0 : -1;
}

/* The next record; its bytes behind the path. */
static struct wire_log next(const char **ret_bytes, size_t *ret_length)
{
    static union shim_record record;
    struct wire_log log;
    size_t length = 0;

    assert_int_equal(shim_core_take(ring, 0, &record, &length), WIRE_RECORD_LOG);
    memcpy(&log, record.bytes, sizeof(log));
    *ret_bytes = (const char *)record.bytes + sizeof(log) + log.path_length;
    *ret_length = length - sizeof(log) - log.path_length;
    return log;
}

static void assert_nothing(void)
{
    union shim_record record;
    size_t length;

    assert_int_equal(shim_core_take(ring, 0, &record, &length), WIRE_RECORD_NONE);
}

static struct wire_log assert_next(enum wire_log_stream stream, const char *text)
{
    const char *bytes;
    size_t length;
    struct wire_log log = next(&bytes, &length);

    assert_int_equal(log.stream, stream);
    assert_int_equal(length, strlen(text));
    assert_memory_equal(bytes, text, length);
    return log;
}

static uint64_t dropped(void)
{
    return atomic_load(&shim_core_lane(ring, 0)->dropped[WIRE_DROP_LOG_LINES]);
}

static void test_applog_takes_what_was_written(void **state)
{
    (void)state;
    errno = EXDEV;
    applog_written(STDOUT_FILENO, "out\n", 4);
    applog_written(STDERR_FILENO, "error, not all of it", 5);
    applog_written(STDERR_FILENO, "failed", -1);
    applog_written(STDERR_FILENO, "", 0);
    applog_written(SOME_FD, "another one", 11);
    assert_int_equal(errno, EXDEV);
    struct wire_log log = assert_next(WIRE_LOG_STDOUT, "out\n");
    assert_int_equal(log.flags, 0);
    assert_int_equal(log.writer & 1, 1);
    assert_next(WIRE_LOG_STDERR, "error");
    assert_nothing();
}

static void test_applog_takes_a_vector_as_far_as_it_went(void **state)
{
    static char one[] = "one ", two[] = "two ", three[] = "three";
    const struct iovec iov[] = {{one, 4}, {NULL, 0}, {two, 4}, {three, 5}};

    (void)state;
    applog_written_vector(STDERR_FILENO, iov, 4, 10);
    assert_int_equal(assert_next(WIRE_LOG_STDERR, "one ").flags, WIRE_LOG_CONTINUES);
    assert_int_equal(assert_next(WIRE_LOG_STDERR, "two ").flags, WIRE_LOG_CONTINUES);
    assert_int_equal(assert_next(WIRE_LOG_STDERR, "th").flags, 0);
    assert_nothing();
}

static void test_applog_cuts_a_long_call(void **state)
{
    static char text[300 * 1024], got[sizeof(text)];
    size_t total = 0, length;
    const char *bytes;
    struct wire_log log;

    (void)state;
    ring = shim_core_ring(1, 64, 8192);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i % 26);
    applog_written(STDOUT_FILENO, text, sizeof(text));
    do {
        log = next(&bytes, &length);
        memcpy(got + total, bytes, length);
        total += length;
        assert_int_equal(log.left_out, sizeof(text) - 256 * 1024);
        assert_true(log.flags & WIRE_LOG_SHARED); /* a buffer was written out */
    } while (log.flags & WIRE_LOG_CONTINUES);
    assert_int_equal(total, 256 * 1024);
    assert_memory_equal(got, text, total);
    assert_nothing();
}

static void test_applog_knows_whose_work_it_is(void **state)
{
    const uint8_t none[16] = {0};
    struct request_ref request = shim_core_begin(0);

    (void)state;
    current_set(&request);
    applog_written(STDERR_FILENO, "during", 6);
    struct wire_log log = assert_next(WIRE_LOG_STDERR, "during");
    assert_memory_equal(log.trace_id, wire_slot_request(request.slot)->trace_id, sizeof(log.trace_id));
    assert_memory_equal(log.span_id, wire_slot_request(request.slot)->span_id, sizeof(log.span_id));
    shim_core_end(&request);
    applog_written(STDERR_FILENO, "after", 5);
    assert_memory_equal(assert_next(WIRE_LOG_STDERR, "after").trace_id, none, sizeof(none));
}

static void test_applog_counts_what_finds_no_room(void **state)
{
    uint32_t written = 0;

    (void)state;
    while (dropped() == 0) {
        applog_written(STDOUT_FILENO, "a line\n", 7);
        written++;
    }
    applog_written(STDOUT_FILENO, "two\nlines\n", 10);
    applog_written(STDERR_FILENO, "no end", 6);
    assert_int_equal(written - 1, CELLS - CELLS / 4); /* requests have the rest */
    assert_int_equal(dropped(), 3);
    for (uint32_t i = 0; i < written - 1; i++)
        assert_int_equal(assert_next(WIRE_LOG_STDOUT, "a line\n").lost_lines, 0);
    applog_written(STDOUT_FILENO, "room\n", 5);
    assert_int_equal(assert_next(WIRE_LOG_STDOUT, "room\n").lost_lines, 3);
    applog_written(STDOUT_FILENO, "room\n", 5);
    assert_int_equal(assert_next(WIRE_LOG_STDOUT, "room\n").lost_lines, 0);
    applog_written(STDERR_FILENO, "room\n", 5);
    assert_int_equal(assert_next(WIRE_LOG_STDERR, "room\n").lost_lines, 1); /* a piece of one */
}

static void test_applog_leaves_room_for_requests(void **state)
{
    struct wire_request request = {.kind = WIRE_KIND_SERVER};

    (void)state;
    while (dropped() == 0)
        applog_written(STDOUT_FILENO, "a line\n", 7);
    assert_true(ring_write(WIRE_RECORD_REQUEST, &request, sizeof(request), NULL));
}

static void test_applog_takes_messages_of_syslog(void **state)
{
    (void)state;
    applog_syslog(3 | 10 << 3, "by a facility", 13, 0);
    struct wire_log log = assert_next(WIRE_LOG_SYSLOG, "by a facility");
    assert_int_equal(log.severity, 4);
    assert_int_equal(log.flags, WIRE_LOG_WHOLE);
    applog_syslog(-1, "cut", 3, 1000);
    log = assert_next(WIRE_LOG_SYSLOG, "cut");
    assert_int_equal(log.severity, 8);
    assert_int_equal(log.left_out, 1000);
    applog_syslog(0, "", 0, 0);
    assert_nothing();
}

static void test_applog_says_when_threads_share_a_buffer(void **state)
{
    (void)state;
    applog_flushed(STDOUT_FILENO, "half a li", 9);
    assert_true(assert_next(WIRE_LOG_STDOUT, "half a li").flags & WIRE_LOG_SHARED);
}

static void test_applog_leaves_a_vfork_child_alone(void **state)
{
    (void)state;
    process_in_vfork = 1;
    applog_written(STDERR_FILENO, "child", 5);
    applog_syslog(3, "child", 5, 0);
    process_in_vfork = 0;
    assert_nothing();
}

static void test_applog_follows_copies(void **state)
{
    const uint32_t out = fdtab_value(fdtab_get(STDOUT_FILENO)), error = fdtab_value(fdtab_get(STDERR_FILENO));

    (void)state;
    assert_int_not_equal(out, error);
    assert_int_equal(applog_value_of_copy(SOME_FD, error), error);
    assert_int_equal(applog_value_of_copy(STDOUT_FILENO, error), error); /* 1>&2 */
    assert_int_equal(applog_value_of_copy(STDOUT_FILENO, FDTAB_UNKNOWN), out);
    assert_int_equal(applog_value_of_copy(STDERR_FILENO, FDTAB_IGNORED), error);
    assert_int_equal(applog_value_of_copy(STDERR_FILENO, FDTAB_CONN + 7), FDTAB_CONN + 7);
    assert_int_equal(applog_value_of_copy(SOME_FD, FDTAB_UNKNOWN), FDTAB_UNKNOWN);
}

/* A file under this name, as SOME_FD. */
static void open_file(const char *name)
{
    char path[512];
    uint64_t old;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(fd >= 0);
    assert_int_equal(dup2(fd, SOME_FD), SOME_FD);
    (void)close(fd);
    (void)fdtab_set(SOME_FD, FDTAB_UNKNOWN, &old);
}

static void close_file(const char *name)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    (void)close(SOME_FD);
    (void)unlink(path);
}

static void test_applog_finds_files_by_their_path(void **state)
{
    static char long_name[200];
    const char *bytes;
    size_t length;
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/app.log", folder);
    open_file("app.log");
    assert_true(applog_takes(SOME_FD));
    applog_written(SOME_FD, "line\n", 5);
    struct wire_log log = next(&bytes, &length);
    assert_int_equal(log.stream, WIRE_LOG_FILE);
    assert_int_equal(length, 5);
    assert_int_equal(log.path_length, strlen(path));
    assert_memory_equal(bytes - log.path_length, path, log.path_length);
    close_file("app.log");

    open_file("data");
    assert_false(applog_takes(SOME_FD));
    assert_int_equal(fdtab_value(fdtab_get(SOME_FD)), FDTAB_IGNORED);
    close_file("data");

    memset(long_name, 'x', sizeof(long_name) - 5);
    memcpy(long_name + sizeof(long_name) - 5, ".log", 4);
    open_file(long_name);
    assert_true(applog_takes(SOME_FD));
    applog_written(SOME_FD, "line\n", 5);
    log = next(&bytes, &length);
    assert_int_equal(log.stream, WIRE_LOG_FILE + 1);
    assert_int_equal(log.path_length, WIRE_LOG_PATH_MAX);
    assert_memory_equal(bytes - 4, ".log", 4);
    close_file(long_name);

    open_file("app.log");
    assert_true(applog_takes(SOME_FD));
    applog_written(SOME_FD, "again\n", 6);
    assert_int_equal(next(&bytes, &length).stream, WIRE_LOG_FILE);
    close_file("app.log");
}

/* It is asked about once. */
static void test_applog_ignores_pipes_but_no_sockets(void **state)
{
    uint64_t old;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    (void)fdtab_set(ends[1], FDTAB_UNKNOWN, &old);
    assert_false(applog_takes(ends[1]));
    assert_int_equal(fdtab_value(fdtab_get(ends[1])), FDTAB_IGNORED);
    (void)close(ends[0]);
    (void)close(ends[1]);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    (void)fdtab_set(ends[1], FDTAB_UNKNOWN, &old);
    assert_false(applog_takes(ends[1]));
    assert_int_equal(fdtab_value(fdtab_get(ends[1])), FDTAB_UNKNOWN);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* Paths are numbered for ever, so this comes last of all that look at files. */
static void test_applog_takes_files_for_whose_path_there_is_no_number(void **state)
{
    struct wire_log log;
    const char *bytes;
    size_t length;
    char name[32];

    (void)state;
    for (int i = 0; i < WIRE_LOG_STREAMS; i++) {
        (void)snprintf(name, sizeof(name), "%d.log", i);
        open_file(name);
        assert_true(applog_takes(SOME_FD));
        applog_written(SOME_FD, "line\n", 5);
        log = next(&bytes, &length);
        close_file(name);
    }
    assert_int_equal(log.stream, WIRE_LOG_STREAMS - 1);
    assert_int_equal(log.path_length, 0);
    assert_int_equal(length, 5);
}

static void test_applog_takes_a_closed_number_for_none(void **state)
{
    const struct glob_list none = {0};
    int copy = dup(STDERR_FILENO);

    (void)state;
    (void)fdtab_clear(STDERR_FILENO);
    (void)close(STDERR_FILENO);
    applog_init(APPLOG_ALL, &none);
    assert_int_equal(dup2(copy, STDERR_FILENO), STDERR_FILENO);
    assert_true(applog_takes(STDOUT_FILENO));
    assert_false(applog_takes(STDERR_FILENO));
    (void)close(copy);
}

static void test_applog_off_takes_nothing(void **state)
{
    const struct glob_list none = {0};

    (void)state;
    applog_init(0, &none);
    assert_false(applog_takes(STDERR_FILENO));
    assert_false(applog_takes(SOME_FD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_applog_takes_what_was_written, setup),
        cmocka_unit_test_setup(test_applog_takes_a_vector_as_far_as_it_went, setup),
        cmocka_unit_test_setup(test_applog_cuts_a_long_call, setup),
        cmocka_unit_test_setup(test_applog_knows_whose_work_it_is, setup),
        cmocka_unit_test_setup(test_applog_counts_what_finds_no_room, setup),
        cmocka_unit_test_setup(test_applog_leaves_room_for_requests, setup),
        cmocka_unit_test_setup(test_applog_takes_messages_of_syslog, setup),
        cmocka_unit_test_setup(test_applog_says_when_threads_share_a_buffer, setup),
        cmocka_unit_test_setup(test_applog_leaves_a_vfork_child_alone, setup),
        cmocka_unit_test_setup(test_applog_follows_copies, setup),
        cmocka_unit_test_setup(test_applog_finds_files_by_their_path, setup),
        cmocka_unit_test_setup(test_applog_ignores_pipes_but_no_sockets, setup),
        cmocka_unit_test_setup(test_applog_takes_files_for_whose_path_there_is_no_number, setup),
        cmocka_unit_test_setup(test_applog_takes_a_closed_number_for_none, setup),
        cmocka_unit_test_setup(test_applog_off_takes_nothing, setup),
    };

    if (!shim_core_init(NULL) || !mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rmdir(folder);
    return failed;
}
