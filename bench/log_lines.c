/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent's reading of logs costs: from the ring's cells to events in the journal, lines put together and looked
 * through for their severity, what waits kept for a worker to come. Goal: 100,000 lines of 100 bytes in a second take a
 * quarter of a core, 2500 ns each. */
#include "exporters/agent/clock.h"
#include "exporters/agent/drain.h"
#include "exporters/agent/drain_logs.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/source.h"
#include "tests/support/wire_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CELLS = 4096, BATCH = 2000, BATCHES = 200, LINE = 100, PID = 4711, JOURNAL = 4 << 20 };

struct bench {
    struct wire_writer writer;
    struct source source;
    struct journal *journal;
    int journal_memfd;
};

/* Nobody takes over: that the lines would outlive us costs the same. */
static int hold(int memfd)
{
    (void)memfd;
    return 0;
}

static bool open_bench(struct bench *bench)
{
    if (wire_writer_open(&bench->writer, 1, 64, CELLS) < 0 || !wire_writer_claim(&bench->writer, 0, PID) ||
        journal_create(JOURNAL, &bench->journal_memfd) < 0 || journal_open(bench->journal_memfd, &bench->journal) < 0 ||
        source_map(&bench->source, bench->writer.ring_memfd, bench->writer.control_memfd) < 0)
        return false;
    journal_set_consumers(bench->journal, 1);
    bench->source.outlets[SIGNAL_LOGS].journal = bench->journal;
    drain_logs_init(hold);
    drain_start(&bench->source);
    bench->source.lanes[0].owner = atomic_load(&wire_writer_lane(&bench->writer, 0)->owner);
    return true;
}

static void close_bench(struct bench *bench)
{
    drain_logs_deinit();
    source_unmap(&bench->source);
    journal_close(bench->journal);
    (void)close(bench->journal_memfd);
    wire_writer_close(&bench->writer);
}

/* A line of 100 bytes with its end, written by a call of its own. */
static bool write_line(const struct bench *bench, const char *start, uint64_t number)
{
    struct {
        struct wire_log log;
        char text[LINE];
    } piece = {.log = {.mono_ns = number, .stream = WIRE_LOG_STDOUT, .writer = 1}};
    size_t length = strlen(start);

    memset(piece.text, 'x', sizeof(piece.text));
    memcpy(piece.text, start, length);
    piece.text[sizeof(piece.text) - 1] = '\n';
    return wire_writer_write(&bench->writer, 0, WIRE_RECORD_LOG, &piece, sizeof(piece), NULL);
}

static bool measure(struct bench *bench, const char *name, const char *start)
{
    uint64_t spent_ns = 0, events = bench->source.counts->log_event_count;

    for (unsigned batch = 0; batch < BATCHES; batch++) {
        for (unsigned i = 0; i < BATCH; i++)
            if (!write_line(bench, start, (uint64_t)batch * BATCH + i + 1))
                return false;
        uint64_t start_ns = clock_now_ns(CLOCK_PROCESS_CPUTIME_ID);
        (void)drain_lane(&bench->source, 0, clock_now_ns(CLOCK_MONOTONIC));
        spent_ns += clock_now_ns(CLOCK_PROCESS_CPUTIME_ID) - start_ns;
        journal_ack(bench->journal, 0, journal_end(bench->journal));
    }
    double per_line_ns = (double)spent_ns / BATCH / BATCHES;
    (void)printf("%-28s %5.0f ns a line, %4.1f %% of a core at 100,000 lines/s\n", name, per_line_ns,
                 per_line_ns / 100);
    return bench->source.counts->log_event_count - events >= BATCH * BATCHES - 1;
}

int main(void)
{
    struct bench bench = {0};
    bool is_good = open_bench(&bench) && measure(&bench, "plain lines", "the quick brown fox ") &&
                   measure(&bench, "lines with time and level", "2026-11-21 02:53:00,123 - shop.cart - WARNING - ") &&
                   measure(&bench, "JSON", "{\"time\":1763693580123,\"name\":\"shop\",\"level\":\"warn\",\"msg\":\"");

    close_bench(&bench);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
