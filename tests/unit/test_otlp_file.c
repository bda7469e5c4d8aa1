/* SPDX-License-Identifier: Apache-2.0 */
/* The file destination: rotation, other writers, a full disk. That its lines are right OTLP is test_protocols.py's. */
#include "exporters/agent/loop.h"
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/span.h"
#include "exporters/exporter.h"
#include "tests/support/sample_request.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static char path[96];
static struct settings *settings;
static struct resource *resource;
static struct process process;
static union sample_request record;
static void *instance;
static struct loop *loop;
static struct exporter_result last;
static bool is_done;
static int lock_error; /* 0: locks work */
static int holder;     /* another program's descriptor, which locks the file */
static unsigned waits; /* locks that we could not have */

/* libc's, but for file systems that have none. */
int flock(int fd, int operation)
{
    if (lock_error != 0) {
        errno = lock_error;
        return -1;
    }
    int r = (int)syscall(SYS_flock, fd, operation);
    if (r < 0)
        waits++;
    if (r < 0 && waits == 3) /* so long the other program's write takes */
        (void)syscall(SYS_flock, holder, LOCK_UN);
    return r;
}

static int set_up(void **state)
{
    char entry[128];
    char error[256];

    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/spanshim-test.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/t.jsonl", folder);
    (void)snprintf(entry, sizeof(entry), "SPANSHIM_OTLP_FILE=%s", path);
    settings = settings_new((const char *const[]){entry}, 1, NULL);
    resource = resource_new(&(struct resource_facts){.executable = "/x"}, settings);
    process = (struct process){.pid = 1, .resource = resource};
    sample_fill(&record.request, 1);
    lock_error = 0;
    if (loop_new(&loop) != 0)
        return -1;
    return exporter_otlp_file.open(&(struct exporter_host){.loop = loop}, settings, &instance, error);
}

static int tear_down(void **state)
{
    (void)state;
    exporter_otlp_file.close(instance);
    loop_free(loop);
    resource_free(resource);
    settings_unref(settings);
    (void)unlink(path);
    return rmdir(folder);
}

static void on_done(void *arg, const struct exporter_result *result)
{
    (void)arg;
    last = *result;
    is_done = true;
    loop_stop(loop);
}

static enum exporter_outcome send_one(void)
{
    struct span span;
    const struct span *list = &span;

    assert_int_equal(span_parse(&process, &record, sample_size(&record.request), &span), 0);
    is_done = false;
    exporter_otlp_file.send_spans(instance, &list, 1, on_done, NULL);
    if (!is_done)
        assert_int_equal(loop_run(loop), 0);
    return last.outcome;
}

static size_t file_size(void)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return (size_t)status.st_size;
}

static void test_otlp_file_appends_lines_to_a_private_file(void **state)
{
    struct stat status;

    (void)state;
    assert_int_equal(send_one(), EXPORTER_SENT);
    size_t line = file_size();
    assert_int_equal(send_one(), EXPORTER_SENT);
    assert_int_equal(file_size(), 2 * line);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void test_otlp_file_goes_on_in_a_new_file_after_rotation(void **state)
{
    char rotated[128];

    (void)state;
    (void)snprintf(rotated, sizeof(rotated), "%s.1", path);
    assert_int_equal(send_one(), EXPORTER_SENT);
    size_t line = file_size();
    assert_int_equal(rename(path, rotated), 0);
    assert_int_equal(send_one(), EXPORTER_SENT);
    assert_int_equal(file_size(), line);
    assert_int_equal(unlink(rotated), 0);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(send_one(), EXPORTER_SENT);
    assert_int_equal(file_size(), line);
}

static void lock_by_another(void)
{
    assert_int_equal(send_one(), EXPORTER_SENT);
    holder = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(holder, LOCK_EX), 0);
}

static void test_otlp_file_waits_for_another_writer(void **state)
{
    (void)state;
    lock_by_another();
    waits = 0;
    assert_int_equal(send_one(), EXPORTER_SENT);
    assert_int_equal(waits, 3);
    (void)close(holder);
}

static void test_otlp_file_says_that_it_stays_locked(void **state)
{
    (void)state;
    lock_by_another();
    waits = 3;
    assert_int_equal(send_one(), EXPORTER_RETRY);
    assert_true(last.retry_after_ms > 0);
    assert_non_null(strstr(last.error, "is locked by another program"));
    (void)close(holder);
    assert_int_equal(send_one(), EXPORTER_SENT);
}

static void test_otlp_file_is_written_where_there_are_no_locks(void **state)
{
    (void)state;
    lock_error = ENOLCK;
    assert_int_equal(send_one(), EXPORTER_SENT);
    size_t line = file_size();
    assert_int_equal(send_one(), EXPORTER_SENT);
    assert_int_equal(file_size(), 2 * line);
}

static void test_otlp_file_begins_a_line_behind_a_cut_one(void **state)
{
    (void)state;
    assert_int_equal(send_one(), EXPORTER_SENT);
    size_t line = file_size();
    int other = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(other, "{\"cut", 5), 5);
    (void)close(other);
    assert_int_equal(send_one(), EXPORTER_SENT);
    assert_int_equal(file_size(), 2 * line + 6);
}

/* A limit on the file's size cuts a write as a full disk does. */
static void test_otlp_file_takes_a_cut_line_back(void **state)
{
    struct rlimit before;

    (void)state;
    assert_int_equal(send_one(), EXPORTER_SENT);
    size_t line = file_size();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    struct rlimit small = {.rlim_cur = line + line / 2, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum exporter_outcome outcome = send_one();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(outcome, EXPORTER_DROP);
    assert_non_null(strstr(last.error, "can't be written"));
    assert_int_equal(file_size(), line);
    assert_int_equal(send_one(), EXPORTER_SENT);
    assert_int_equal(file_size(), 2 * line);
}

static void test_otlp_file_writes_to_plain_files_only(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(send_one(), EXPORTER_RETRY);
    assert_non_null(strstr(last.error, "no plain file"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(send_one(), EXPORTER_SENT);
}

static void test_otlp_file_wants_a_name(void **state)
{
    struct settings *none = settings_new(NULL, 0, NULL);
    char error[256] = "";
    void *unused;

    (void)state;
    assert_true(exporter_otlp_file.open(&(struct exporter_host){0}, none, &unused, error) < 0);
    assert_non_null(strstr(error, "SPANSHIM_OTLP_FILE"));
    settings_unref(none);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_otlp_file_appends_lines_to_a_private_file),
        TEST(test_otlp_file_goes_on_in_a_new_file_after_rotation),
        TEST(test_otlp_file_waits_for_another_writer),
        TEST(test_otlp_file_says_that_it_stays_locked),
        TEST(test_otlp_file_is_written_where_there_are_no_locks),
        TEST(test_otlp_file_begins_a_line_behind_a_cut_one),
        TEST(test_otlp_file_takes_a_cut_line_back),
        TEST(test_otlp_file_writes_to_plain_files_only),
        cmocka_unit_test(test_otlp_file_wants_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
