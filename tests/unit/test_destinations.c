/* SPDX-License-Identifier: Apache-2.0 */
/* Sets with the console as their exporter: what arrives is read from the other end of a pipe. */
#include "exporters/agent/destinations.h"

#include "exporters/agent/journal.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/console.h"
#include "tests/support/sample_request.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FOREVER_MS = 60000, KNOWN = 1 };

static struct loop *loop;
static struct settings *settings;
static struct resource *resource;
static struct process process;
static bool knows_processes;
static struct journal *journals[4];
static unsigned obtained_count;

static int obtain_journal(const uint8_t key[SETTINGS_DIGEST_SIZE], size_t capacity, struct journal **ret_journal)
{
    int fd;

    (void)key;
    assert_int_equal(journal_create(capacity, &fd), 0);
    assert_int_equal(journal_open(fd, ret_journal), 0);
    (void)close(fd);
    journals[obtained_count++] = *ret_journal;
    return 0;
}

static void drop_journal(struct journal *journal)
{
    (void)journal; /* closed with the test */
}

static struct process *find_process(const struct journal_origin *origin)
{
    return knows_processes && origin->source == KNOWN ? &process : NULL;
}

static struct settings *make_settings(const char *session)
{
    char entry[64];
    const char *const entries[] = {"SPANSHIM_EXPORTERS=console", entry, "OTEL_BSP_SCHEDULE_DELAY=60000"};

    (void)snprintf(entry, sizeof(entry), "SPANSHIM_SESSION=%s", session);
    return settings_new(entries, 3, NULL);
}

static int set_up(void **state)
{
    (void)state;
    obtained_count = 0;
    knows_processes = true;
    assert_int_equal(loop_new(&loop), 0);
    destinations_init(&(struct destinations_host){
        .loop = loop, .journal_obtain = obtain_journal, .journal_drop = drop_journal, .process_find = find_process});
    destinations_start();
    settings = make_settings("one");
    resource = resource_new(&(struct resource_facts){.executable = "/x/shop"}, settings);
    process = (struct process){.pid = 1, .resource = resource};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    destinations_deinit();
    while (obtained_count > 0)
        journal_close(journals[--obtained_count]);
    resource_free(resource);
    settings_unref(settings);
    loop_free(loop);
    return 0;
}

static void append(struct destinations *set, unsigned n)
{
    struct {
        struct wire_record header;
        union sample_request sample;
    } record;
    struct journal_origin origin = {.source = KNOWN, .position = n};

    sample_fill(&record.sample.request, n);
    size_t length = sample_size(&record.sample.request);
    record.header = (struct wire_record){.type = WIRE_RECORD_REQUEST, .length = (uint16_t)length};
    assert_int_equal(journal_append(destinations_journal(set), &origin, &record, sizeof(record.header) + length), 0);
    destinations_wake(set);
}

static struct destinations_flushed flushed;
static unsigned flushed_count;

static void on_flushed(void *arg, const struct destinations_flushed *result)
{
    (void)arg;
    flushed_count++;
    flushed = *result;
}

/* What was written, until the last writer is gone. */
static size_t read_all(int fd, char *out, size_t size)
{
    size_t length = 0;
    ssize_t n;

    while ((n = read(fd, out + length, size - 1 - length)) > 0)
        length += (size_t)n;
    assert_int_equal(n, 0);
    out[length] = '\0';
    (void)close(fd);
    return length;
}

static int attach(const char *session)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(console_attach(loop, session, fds[1]), 0);
    return fds[0];
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned count = 0;

    for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
        count++;
    return count;
}

static void test_destinations_are_shared_by_equal_settings(void **state)
{
    (void)state;
    struct settings *equal = make_settings("one");
    struct settings *other = make_settings("two");
    struct destinations *set = destinations_for(settings, SIGNAL_TRACES);

    assert_non_null(set);
    assert_ptr_equal(destinations_for(equal, SIGNAL_TRACES), set);
    assert_ptr_not_equal(destinations_for(other, SIGNAL_TRACES), set);
    assert_int_equal(obtained_count, 2);
    json_t *status = destinations_status_all(geteuid());
    assert_int_equal(json_array_size(status), 2);
    json_decref(status);
    settings_unref(equal);
    settings_unref(other);
}

static void test_destinations_without_exporters_are_none(void **state)
{
    (void)state;
    static const char *const entries[] = {"OTEL_TRACES_EXPORTER=none"};
    struct settings *none = settings_new(entries, 1, NULL);

    errno = EIO;
    assert_null(destinations_for(none, SIGNAL_TRACES));
    assert_int_equal(errno, 0);
    settings_unref(none);
}

static void test_destinations_end_of_a_console_prints_and_closes(void **state)
{
    char text[4096];

    (void)state;
    struct destinations *set = destinations_for(settings, SIGNAL_TRACES);
    int fd = attach("one");
    append(set, 1);
    append(set, 2);
    assert_true(destinations_busy());
    flushed_count = 0;
    destinations_end_console("one", FOREVER_MS, on_flushed, NULL);
    assert_int_equal(flushed_count, 1);
    assert_int_equal(flushed.exported, 2);
    assert_int_equal(flushed.failed, 0);
    assert_true(read_all(fd, text, sizeof(text)) > 0);
    assert_int_equal(count_of(text, "GET /orders/4711?page=2"), 2);
    assert_int_equal(count_of(text, "  shop  "), 2);
    assert_false(destinations_busy());
}

static void test_destinations_of_two_terminals_stay_apart(void **state)
{
    char text[4096];

    (void)state;
    struct settings *other = make_settings("two");
    struct destinations *one = destinations_for(settings, SIGNAL_TRACES);
    struct destinations *two = destinations_for(other, SIGNAL_TRACES);
    int one_fd = attach("one");
    int two_fd = attach("two");
    append(one, 1);
    append(two, 2);
    append(two, 3);
    destinations_end_console("one", FOREVER_MS, on_flushed, NULL);
    (void)read_all(one_fd, text, sizeof(text));
    assert_int_equal(count_of(text, "trace "), 1);
    assert_non_null(strstr(text, "trace 01000000"));
    destinations_end_console("two", FOREVER_MS, on_flushed, NULL);
    (void)read_all(two_fd, text, sizeof(text));
    assert_int_equal(count_of(text, "trace "), 2);
    assert_null(strstr(text, "trace 01000000"));
    settings_unref(other);
}

static void test_destinations_without_the_terminal_drop_and_count(void **state)
{
    (void)state;
    struct destinations *set = destinations_for(settings, SIGNAL_TRACES);

    append(set, 1);
    destinations_flush_all(geteuid(), FOREVER_MS, on_flushed, NULL);
    assert_int_equal(flushed.failed, 1);
    assert_non_null(strstr(flushed.error, "SPANSHIM_CONSOLE"));
}

static void test_destinations_session_names_are_taken_once(void **state)
{
    int fds[2];

    (void)state;
    int fd = attach("one");
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(console_attach(loop, "one", fds[1]), -EEXIST);
    assert_int_equal(fcntl(fds[1], F_GETFD), -1); /* closed all the same */
    (void)close(fds[0]);
    console_detach("one");
    console_detach("one");
    (void)close(fd);
}

/* Nobody reads the pipe: nothing may wait for it (the test would hang), and the program's own descriptor keeps its
 * flags. */
static void test_destinations_are_not_held_up_by_a_stopped_terminal(void **state)
{
    int fds[2];

    (void)state;
    struct destinations *set = destinations_for(settings, SIGNAL_TRACES);
    assert_int_equal(pipe(fds), 0);
    int programs_own = dup(fds[1]);
    assert_int_equal(console_attach(loop, "one", fds[1]), 0);
    for (unsigned i = 1; i <= 10000; i++)
        append(set, i);
    destinations_end_console("one", FOREVER_MS, on_flushed, NULL);
    assert_int_equal(flushed.exported + flushed.failed, 10000 - 10000 / 512 * 512);
    assert_int_equal(fcntl(programs_own, F_GETFL) & O_NONBLOCK, 0);
    (void)close(programs_own);
    (void)close(fds[0]);
}

/* An earlier worker's records are nobody's until all hand-overs were taken. */
static void test_destinations_send_nothing_before_the_start(void **state)
{
    char text[4096];

    destinations_deinit();
    (void)state;
    knows_processes = false;
    struct destinations *set = destinations_for(settings, SIGNAL_TRACES);
    int fd = attach("one");
    append(set, 1);
    destinations_wake(set);
    knows_processes = true;
    destinations_start();
    destinations_end_console("one", FOREVER_MS, on_flushed, NULL);
    assert_int_equal(flushed.exported, 1);
    (void)read_all(fd, text, sizeof(text));
    assert_int_equal(count_of(text, "trace "), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_destinations_are_shared_by_equal_settings),
        TEST(test_destinations_without_exporters_are_none),
        TEST(test_destinations_end_of_a_console_prints_and_closes),
        TEST(test_destinations_of_two_terminals_stay_apart),
        TEST(test_destinations_without_the_terminal_drop_and_count),
        TEST(test_destinations_session_names_are_taken_once),
        TEST(test_destinations_are_not_held_up_by_a_stopped_terminal),
        TEST(test_destinations_send_nothing_before_the_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
