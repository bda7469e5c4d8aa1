/* SPDX-License-Identifier: Apache-2.0 */
/* What a payload costs on the disk: it is committed, read and deleted again. Payloads as large as batches of 512
 * typical spans, and reports, whose commit waits for the disk. Usage: bench_spool [FOLDER]; a private folder, for the
 * answer depends on the disk. */
#include "exporters/agent/spool.h"
#include "exporters/agent/clock.h"
#include "exporters/agent/loop.h"
#include "exporters/encode/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SPAN_BYTES = 547, BATCH = 512, REPORT_BYTES = 60000, DAY_MS = 86400000, RUNS = 1000, REPORTS = 50 };

struct timing {
    uint64_t cpu_ns, wall_ns, put_ns, worst_ns;
};

static bool run_once(struct spool_queue *queue, enum spool_kind kind, const struct buffer *payload, struct buffer *read,
                     struct timing *timing)
{
    struct spool_payload found;
    uint64_t start_ns = clock_now_ns(CLOCK_MONOTONIC);
    int64_t id;

    if (spool_put(queue, kind, BATCH, payload, &id) < 0)
        return false;
    uint64_t put_ns = clock_now_ns(CLOCK_MONOTONIC) - start_ns;
    if (spool_next(queue, read, &found) <= 0)
        return false;
    spool_done(queue);
    uint64_t all_ns = clock_now_ns(CLOCK_MONOTONIC) - start_ns;
    timing->wall_ns += all_ns;
    timing->put_ns += put_ns;
    if (all_ns > timing->worst_ns)
        timing->worst_ns = all_ns;
    return true;
}

static bool measure(struct spool_queue *queue, const char *name, enum spool_kind kind, size_t length, unsigned runs)
{
    struct buffer payload = {0}, read = {0};
    struct timing timing = {0};
    bool is_good = buffer_reserve(&payload, length) == 0;

    memset(payload.bytes, 'x', length);
    payload.length = length;
    uint64_t start_ns = clock_now_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; is_good && i < runs; i++)
        is_good = run_once(queue, kind, &payload, &read, &timing);
    timing.cpu_ns = clock_now_ns(CLOCK_PROCESS_CPUTIME_ID) - start_ns;
    (void)printf("%-28s %6.0f us of processor, %6.0f us in all (%6.0f to commit), worst %6.0f us\n", name,
                 (double)timing.cpu_ns / runs / 1e3, (double)timing.wall_ns / runs / 1e3,
                 (double)timing.put_ns / runs / 1e3, (double)timing.worst_ns / 1e3);
    buffer_deinit(&payload);
    buffer_deinit(&read);
    return is_good;
}

static void remove_files(const char *folder)
{
    static const char *const names[] = {"spool.db", "spool.lock"};
    char path[4096];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
}

int main(int argc, char **argv)
{
    char own[] = "/tmp/spanshim-bench.XXXXXX";
    const char *folder = argc > 1 ? argv[1] : mkdtemp(own);
    struct spool_queue_options options = {
        .identity = {getuid(), "bench", "nowhere", "", 0}, .bytes_max = 1 << 30, .age_ms = DAY_MS};
    struct spool_queue *queue;
    struct loop *loop;

    spool_set_folder(folder);
    if (folder == NULL || loop_new(&loop) < 0)
        return EXIT_FAILURE;
    struct spool *spool = spool_new(loop);
    if (spool == NULL || spool_queue_open(spool, &options, &queue) < 0)
        return EXIT_FAILURE;
    bool is_good = measure(queue, "a batch of 512 spans", SPOOL_SPANS, (size_t)SPAN_BYTES * BATCH, RUNS) &&
                   measure(queue, "the same, compressed", SPOOL_SPANS, (size_t)SPAN_BYTES * BATCH / 10, RUNS) &&
                   measure(queue, "a report", SPOOL_REPORT, REPORT_BYTES, REPORTS);
    spool_queue_close(queue);
    spool_free(spool);
    remove_files(folder);
    if (argc <= 1)
        (void)rmdir(folder);
    loop_free(loop);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
