/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that wait to be joined, and workers that are killed at any point: every line comes once, whole, in order. */
#include "exporters/agent/drain_logs.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/drain_internal.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/log_event.h"
#include "exporters/agent/log_wal.h"
#include "exporters/agent/process.h"
#include "exporters/agent/reading.h"
#include "exporters/agent/source.h"
#include "preload/config.h"
#include "tests/support/wire_writer.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

enum {
    LANES = 8,
    CELLS = 4096,
    SLOTS = 64,
    PID = 4711,
    SMALL = 1 << 20,
    LARGE = 16 << 20,
    KILLS = 100,
    BATCH = 80,
    TEXT_MAX = 1024,
    FILLED = 700
};
enum { LINES = 1, TRACEBACKS, REQUESTS }; /* writers; and requests, which have lines, too */

struct fixture {
    struct wire_writer writer;
    struct source source;
    struct journal *journal, *traces;
    int journal_memfd, traces_memfd, wal_memfd;
    uint64_t mono_ns;
    uint64_t *now_ns;                                   /* shared with workers: time goes on while they work */
    unsigned written[REQUESTS + 1], came[REQUESTS + 1]; /* by writer */
};

static struct process process = {.pid = PID};

/* A worker starts. */
static void take_over(struct fixture *fixture)
{
    struct source *source = &fixture->source;

    *source = (struct source){.id = 1};
    assert_int_equal(drain_logs_restore(fixture->wal_memfd), 0);
    assert_int_equal(journal_open(fixture->journal_memfd, &fixture->journal), 0);
    assert_int_equal(source_map(source, fixture->writer.ring_memfd, fixture->writer.control_memfd), 0);
    assert_int_equal(journal_open(fixture->traces_memfd, &fixture->traces), 0);
    source->outlets[SIGNAL_LOGS].journal = fixture->journal;
    source->outlets[SIGNAL_TRACES].journal = fixture->traces;
    source->request_lines = REQUEST_LINES_SHORT;
    drain_start(source);
    drain_resume(source);
    drain_logs_start();
    source->lanes[0].owner = atomic_load(&wire_writer_lane(&fixture->writer, 0)->owner);
    source->lanes[0].process = &process;
}

/* And is gone, with all that is in its memory. */
static void abandon(struct fixture *fixture)
{
    drain_logs_deinit();
    source_unmap(&fixture->source);
    journal_close(fixture->journal);
    journal_close(fixture->traces);
}

static int setup_journals(void **state, size_t capacity)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_int_equal(wire_writer_open(&fixture->writer, LANES, SLOTS, CELLS), 0);
    assert_true(wire_writer_claim(&fixture->writer, 0, PID));
    assert_int_equal(log_wal_create(&fixture->wal_memfd), 0);
    assert_int_equal(journal_create(capacity, &fixture->journal_memfd), 0);
    assert_int_equal(journal_create(capacity, &fixture->traces_memfd), 0);
    fixture->now_ns = mmap(NULL, sizeof(*fixture->now_ns), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(fixture->now_ns != MAP_FAILED);
    *fixture->now_ns = 1000 * MS;
    take_over(fixture);
    journal_set_consumers(fixture->journal, 1);
    journal_set_consumers(fixture->traces, 1);
    *state = fixture;
    return 0;
}

static int setup(void **state)
{
    return setup_journals(state, SMALL);
}

static int setup_large(void **state)
{
    return setup_journals(state, LARGE);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    abandon(fixture);
    close(fixture->journal_memfd);
    close(fixture->traces_memfd);
    close(fixture->wal_memfd);
    wire_writer_close(&fixture->writer);
    (void)munmap(fixture->now_ns, sizeof(*fixture->now_ns));
    free(process.recent);
    free(process.last_lines);
    process = (struct process){.pid = PID};
    free(fixture);
    return 0;
}

/* A call of its own. */
static void write_text(struct fixture *fixture, uint32_t writer, const char *text)
{
    struct {
        struct wire_log log;
        char text[TEXT_MAX];
    } piece = {.log = {.mono_ns = ++fixture->mono_ns, .stream = WIRE_LOG_STDERR, .writer = writer * 2 + 1}};
    size_t length = strlen(text);

    assert_true(length <= sizeof(piece.text));
    memcpy(piece.text, text, length);
    assert_true(wire_writer_write(&fixture->writer, 0, WIRE_RECORD_LOG, &piece, sizeof(piece.log) + length, NULL));
}

static void wait_ms(struct fixture *fixture, unsigned ms)
{
    *fixture->now_ns += ms * MS;
    (void)drain_lane(&fixture->source, 0, *fixture->now_ns);
    (void)drain_look_at_logs(&fixture->source, 0, *fixture->now_ns);
}

/* The next event's text; false: there is none. */
static bool next_text(struct fixture *fixture, char text[TEXT_MAX])
{
    struct journal_entry entry;
    struct log_event event;

    if (!journal_read(fixture->journal, journal_position(fixture->journal, 0), &entry))
        return false;
    assert_int_equal(log_event_parse(&process, entry.record, entry.length, &event), 0);
    assert_true(event.text.length < TEXT_MAX);
    memcpy(text, event.text.bytes, event.text.length);
    text[event.text.length] = '\0';
    journal_ack(fixture->journal, 0, entry.next);
    return true;
}

static void assert_next(struct fixture *fixture, const char *expected)
{
    char text[TEXT_MAX];

    assert_true(next_text(fixture, text));
    assert_string_equal(text, expected);
}

static void assert_none(struct fixture *fixture)
{
    char text[TEXT_MAX];

    assert_false(next_text(fixture, text));
}

static void restart(struct fixture *fixture)
{
    abandon(fixture);
    take_over(fixture);
}

/* what the next worker goes on with */

static void test_drain_logs_go_on_with_a_line(void **state)
{
    struct fixture *fixture = *state;

    write_text(fixture, LINES, "one ");
    wait_ms(fixture, 1);
    restart(fixture);
    write_text(fixture, LINES, "line\n");
    wait_ms(fixture, 1);
    restart(fixture);
    assert_none(fixture);
    wait_ms(fixture, 100);
    assert_next(fixture, "one line");
    restart(fixture);
    wait_ms(fixture, 5000);
    assert_none(fixture);
}

/* It has waited for as long as it would have without a restart. */
static void test_drain_logs_go_on_with_the_time(void **state)
{
    struct fixture *fixture = *state;

    write_text(fixture, LINES, "Password: ");
    wait_ms(fixture, 0);
    *fixture->now_ns += 1900 * MS;
    restart(fixture);
    wait_ms(fixture, 0);
    assert_none(fixture);
    wait_ms(fixture, 100);
    assert_next(fixture, "Password: ");
}

static void test_drain_logs_go_on_with_a_traceback(void **state)
{
    struct fixture *fixture = *state;

    write_text(fixture, TRACEBACKS, "Traceback (most recent call last):\n");
    write_text(fixture, TRACEBACKS, "  File \"x.py\", line 1, in f\n");
    wait_ms(fixture, 1);
    restart(fixture);
    wait_ms(fixture, 500);
    write_text(fixture, TRACEBACKS, "ValueError: no\n");
    write_text(fixture, TRACEBACKS, "next\n");
    wait_ms(fixture, 0);
    assert_next(fixture, "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nValueError: no");
    assert_none(fixture);
}

/* Who ended meanwhile has nobody left to wait for. */
static void test_drain_logs_of_a_lane_that_is_gone_go_on(void **state)
{
    struct fixture *fixture = *state;

    write_text(fixture, LINES, "the last words");
    wait_ms(fixture, 1);
    abandon(fixture);
    atomic_store(&wire_writer_lane(&fixture->writer, 0)->owner, UINT64_C(7) << 32);
    take_over(fixture);
    assert_next(fixture, "the last words");
    assert_none(fixture);
}

static void test_drain_logs_are_ended_once(void **state)
{
    struct fixture *fixture = *state;

    write_text(fixture, LINES, "the last words");
    wait_ms(fixture, 1);
    drain_end_logs(&fixture->source, 0);
    restart(fixture);
    wait_ms(fixture, 5000);
    assert_next(fixture, "the last words");
    assert_none(fixture);
}

/* What was sent already is not in the journal any more, and is not sent again. */
static void test_drain_logs_that_were_sent_are_not_sent_again(void **state)
{
    struct fixture *fixture = *state;

    write_text(fixture, LINES, "one\n");
    write_text(fixture, LINES, "two\n");
    wait_ms(fixture, 1);
    assert_next(fixture, "one");
    journal_trim(fixture->journal);
    restart(fixture);
    wait_ms(fixture, 100);
    assert_next(fixture, "two");
    assert_none(fixture);
}

/* A worker may be killed right after a save: what is saved doesn't tell of the piece that comes next. */
static void test_drain_logs_save_what_was_taken(void **state)
{
    enum { PIECES = 800 };
    struct fixture *fixture = *state;
    struct log_wal_entry entry;
    struct log_wal *wal;
    uint64_t saved_count = 0, saved_end = 0;
    size_t position = 0;
    bool is_done;

    for (unsigned i = 0; i < PIECES; i++) {
        write_text(fixture, LINES, i % 2 ? "is whole\n" : "this line ");
        wait_ms(fixture, 0);
    }
    assert_int_equal(log_wal_open(fixture->wal_memfd, &wal), 0);
    while (log_wal_read(wal, &position, &entry, &is_done)) {
        if (entry.kind == LOG_WAL_WRITER) {
            saved_count++;
            saved_end = entry.origin.position + entry.origin.cells;
        } else if (entry.kind == LOG_WAL_PIECE) {
            assert_int_equal(entry.origin.position, saved_end);
            break;
        }
    }
    assert_true(saved_count > 0);
    log_wal_close(wal);
}

/* Or every worker would crash of it. */
static void test_drain_logs_that_crash_workers_are_given_up(void **state)
{
    struct fixture *fixture = *state;

    write_text(fixture, LINES, "half");
    wait_ms(fixture, 1);
    *reading_replays() = 4;
    restart(fixture);
    assert_int_equal(*reading_replays(), 0);
    *reading_replays() = 5;
    restart(fixture);
    wait_ms(fixture, 5000);
    assert_none(fixture);
    assert_int_equal(*reading_replays(), 0);
}

/* All lanes together may have so much; whose is the most goes on first. */
static void test_drain_logs_that_wait_are_bounded(void **state)
{
    enum { PIECE = 3000, TEXT = 10, MOST = 4 << 20 };
    struct fixture *fixture = *state;
    struct {
        struct wire_log log;
        char text[PIECE];
    } piece = {.log = {.stream = WIRE_LOG_STDERR}};
    struct journal_entry entry;
    size_t given = 0, gone = 0;

    memset(piece.text, 'x', sizeof(piece.text));
    for (uint32_t lane = 0; lane < LANES; lane++)
        for (unsigned i = 0; i < 300; i++) {
            const struct log_lines_place place = {i, 1};

            piece.log.writer = i % 30 * 2 + 1;
            assert_true(drain_take_log(&fixture->source.lanes[lane], &place, &piece, sizeof(piece), 0));
            given += PIECE;
            if (i % 50 == 0)
                restart(fixture);
        }
    for (uint64_t position = 0; journal_read(fixture->journal, position, &entry); position = entry.next)
        gone += entry.length - sizeof(struct log_event_record);
    assert_in_range(given - gone, MOST / 2, MOST);
    for (uint32_t lane = 0; lane < LANES; lane++)
        drain_end_logs(&fixture->source, lane);
    gone = 0;
    for (uint64_t position = 0; journal_read(fixture->journal, position, &entry); position = entry.next)
        gone += entry.length - sizeof(struct log_event_record);
    assert_int_equal(gone, given);
}

/* workers that are killed */

static void write_request(struct fixture *fixture)
{
    _Alignas(8) uint8_t bytes[WIRE_RECORD_MAX];
    size_t length = wire_writer_request(bytes, ++fixture->written[REQUESTS], 20);

    assert_true(wire_writer_write(&fixture->writer, 0, WIRE_RECORD_REQUEST, bytes, length, NULL));
}

/* Lines in two calls, long enough that the write-ahead log begins anew with most batches; tracebacks in three calls;
 * and requests. The end of the last line and of the last traceback comes with the next batch. */
static void write_batch(struct fixture *fixture)
{
    char text[TEXT_MAX];

    for (unsigned i = 0; i < BATCH; i++) {
        unsigned *line = &fixture->written[LINES], *traceback = &fixture->written[TRACEBACKS];

        (void)snprintf(text, sizeof(text), "is %*s\nline %u ", FILLED, "whole", *line + 1);
        write_text(fixture, LINES, *line ? text : "line 1 ");
        ++*line;
        write_request(fixture);
        if (i % 4)
            continue;
        if (*traceback)
            write_text(fixture, TRACEBACKS, "Error: no\n");
        write_text(fixture, TRACEBACKS, "Traceback (most recent call last):\n");
        (void)snprintf(text, sizeof(text), "  File \"x.py\", line %u, in f\n", ++*traceback);
        write_text(fixture, TRACEBACKS, text);
    }
}

/* Reads as rounds.c does, 5 ms after 5 ms, until it is killed; stops before a line without its end is due. */
_Noreturn static void work(struct fixture *fixture, int ready)
{
    abandon(fixture); /* what the parent had */
    take_over(fixture);
    (void)!write(ready, "", 1);
    for (unsigned round = 0; round < 30; round++)
        wait_ms(fixture, 5);
    _exit(0);
}

/* Start a worker, and kill it after `delay_ns` of its work; UINT64_MAX: let it end. */
static void run_worker(struct fixture *fixture, uint64_t delay_ns)
{
    int ready[2], status;
    char byte;

    assert_int_equal(pipe(ready), 0);
    pid_t worker = fork();
    assert_true(worker >= 0);
    if (worker == 0)
        work(fixture, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    uint64_t start_ns = clock_now_ns(CLOCK_MONOTONIC);
    while (delay_ns != UINT64_MAX && clock_now_ns(CLOCK_MONOTONIC) - start_ns < delay_ns)
        ;
    if (delay_ns != UINT64_MAX)
        assert_int_equal(kill(worker, SIGKILL), 0);
    assert_int_equal(waitpid(worker, &status, 0), worker);
}

static bool is_behind(struct fixture *fixture)
{
    const struct wire_lane *lane = wire_writer_lane(&fixture->writer, 0);

    return atomic_load(&lane->head) - atomic_load(&lane->tail) > CELLS / 2;
}

static void take_requests(struct fixture *fixture)
{
    struct journal_entry entry;

    while (journal_read(fixture->traces, journal_position(fixture->traces, 0), &entry)) {
        const uint8_t *request = (const uint8_t *)entry.record + sizeof(struct wire_record);

        assert_int_equal(wire_writer_number(request, entry.length - sizeof(struct wire_record)),
                         ++fixture->came[REQUESTS]);
        journal_ack(fixture->traces, 0, entry.next);
    }
}

/* What came is the next of its writer. Returns how many lines of requests came. */
static unsigned take_events(struct fixture *fixture)
{
    char text[TEXT_MAX], expected[TEXT_MAX];
    unsigned request_lines = 0;

    while (next_text(fixture, text)) {
        if (text[0] == '[') {
            request_lines++;
            continue;
        }
        if (text[0] == 'l')
            (void)snprintf(expected, sizeof(expected), "line %u is %*s", ++fixture->came[LINES], FILLED, "whole");
        else
            (void)snprintf(expected, sizeof(expected),
                           "Traceback (most recent call last):\n  File \"x.py\", line %u, in f\nError: no",
                           ++fixture->came[TRACEBACKS]);
        assert_string_equal(text, expected);
    }
    return request_lines;
}

static void test_drain_logs_of_workers_that_are_killed(void **state)
{
    struct fixture *fixture = *state;
    char text[TEXT_MAX];
    uint32_t random = 1;
    unsigned request_lines = 0;

    for (unsigned kills = 0; kills < KILLS; kills++) {
        write_batch(fixture);
        random = random * 1664525 + 1013904223;
        run_worker(fixture, is_behind(fixture) ? UINT64_MAX : random >> 8 & 0x3ffff);
        request_lines += take_events(fixture);
        take_requests(fixture);
    }
    write_batch(fixture);
    (void)snprintf(text, sizeof(text), "is %*s\n", FILLED, "whole");
    write_text(fixture, LINES, text);
    write_text(fixture, TRACEBACKS, "Error: no\n");
    run_worker(fixture, UINT64_MAX);
    request_lines += take_events(fixture);
    take_requests(fixture);
    assert_memory_equal(fixture->came, fixture->written, sizeof(fixture->came));
    assert_int_equal(request_lines, fixture->written[REQUESTS]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_drain_logs_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(go_on_with_a_line),
        TEST(go_on_with_the_time),
        TEST(go_on_with_a_traceback),
        TEST(of_a_lane_that_is_gone_go_on),
        TEST(are_ended_once),
        TEST(that_were_sent_are_not_sent_again),
        TEST(save_what_was_taken),
        TEST(that_crash_workers_are_given_up),
        cmocka_unit_test_setup_teardown(test_drain_logs_that_wait_are_bounded, setup_large, teardown),
        TEST(of_workers_that_are_killed),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
