/* SPDX-License-Identifier: Apache-2.0 */
/* Writers killed at any moment, with requests open: no lane is blocked, no record torn, none is lost and none comes
 * twice. */
#include "exporters/agent/drain.h"
#include "exporters/agent/source.h"
#include "exporters/agent/spool.h"
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

enum { CELLS = 128, SLOTS = 64, KILLS = 10000, WINDOW = 1 << 16 };

/* What the writers tell their killer: numbers whose request was opened. */
static _Atomic uint64_t *opened;

struct ring {
    struct wire_writer writer;
    struct source source;
    struct spool *spool;
};

/* Request `number` from its first byte to its record, as the shim does it. */
static void serve_request(const struct wire_writer *writer, uint64_t number)
{
    uint32_t index = (uint32_t)(number % SLOTS);
    struct wire_slot *slot = wire_writer_slot(writer, 0, index);
    _Atomic uint64_t *map = &wire_writer_lane(writer, 0)->slot_map[0];
    size_t length;

    atomic_fetch_or(map, UINT64_C(1) << index);
    atomic_store(&slot->record_position, 0);
    length = wire_writer_request(slot->request, number, number * 31 % 1800);
    wire_slot_request(slot)->end_ns = 0;
    atomic_store(&slot->open, 1);
    atomic_store(opened, number + 1);
    wire_slot_request(slot)->end_ns = 1;
    while (!wire_writer_write(writer, 0, WIRE_RECORD_REQUEST, slot->request, length, slot))
        ; /* the reader makes room */
    atomic_store(&slot->open, 0);
    atomic_fetch_and(map, ~(UINT64_C(1) << index));
}

static pid_t start_writer(struct ring *ring)
{
    uint64_t number = atomic_load(opened);
    pid_t child = fork();

    if (child == 0) {
        if (!wire_writer_claim(&ring->writer, 0, (uint32_t)getpid()))
            _exit(1);
        for (;;)
            serve_request(&ring->writer, number++);
    }
    return child;
}

/* Read all that came: every number once, whole. */
static uint64_t check_spool(struct ring *ring, uint8_t seen[WINDOW])
{
    struct spool_entry entry;
    uint64_t count = 0;

    for (; spool_read(ring->spool, spool_position(ring->spool, 0), &entry); count++) {
        uint64_t number = wire_writer_number((const uint8_t *)entry.record + sizeof(struct wire_record),
                                             entry.length - sizeof(struct wire_record));

        assert_true(number != UINT64_MAX);
        assert_int_equal(seen[number % WINDOW], 0);
        seen[number % WINDOW] = 1;
        spool_ack(ring->spool, 0, entry.next);
    }
    return count;
}

static void bury(struct ring *ring, pid_t child)
{
    struct source_lane *lane = &ring->source.lanes[0];

    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    lane->owner = atomic_load(&wire_writer_lane(&ring->writer, 0)->owner);
    if ((uint32_t)lane->owner == 0) /* killed before it had claimed */
        return;
    lane->dead = true;
    (void)drain_lane(&ring->source, 0, 0);
    assert_int_equal(lane->tail, atomic_load(&wire_writer_lane(&ring->writer, 0)->head));
    (void)drain_open_requests(&ring->source, 0, 1);
    drain_release(&ring->source, 0);
    lane->dead = lane->dirty = false;
}

/* One life of a writer, read while it lives and after. How many records came. */
static uint64_t live_and_die(struct ring *ring)
{
    static uint8_t seen[WINDOW];
    uint64_t first = atomic_load(opened), came = 0, last;
    pid_t child = start_writer(ring);

    for (int rounds = rand() % 8; rounds > 0; rounds--) {
        const struct timespec pause = {.tv_nsec = rand() % 100000};

        (void)nanosleep(&pause, NULL);
        (void)drain_lane(&ring->source, 0, 1); /* a time that doesn't pass: the living are waited for */
        came += check_spool(ring, seen);
    }
    bury(ring, child);
    came += check_spool(ring, seen);
    last = atomic_load(opened);
    assert_true(last - first < WINDOW);
    /* One more may have been opened and not been told. */
    assert_true(came == last - first || (came == last - first + 1 && seen[last % WINDOW]));
    for (uint64_t number = first; number < last; number++)
        assert_int_equal(seen[number % WINDOW], 1);
    for (uint64_t number = first; number <= last; number++)
        seen[number % WINDOW] = 0;
    atomic_store(opened, last + 1);
    return came;
}

static void test_drain_kills(void **state)
{
    unsigned kills = getenv("SPANSHIM_TEST_KILLS") ? (unsigned)atoi(getenv("SPANSHIM_TEST_KILLS")) : KILLS;
    struct ring ring = {0};
    uint64_t records = 0;
    int memfd;

    (void)state;
    opened = mmap(NULL, sizeof(*opened), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(wire_writer_open(&ring.writer, 1, SLOTS, CELLS), 0);
    assert_int_equal(source_map(&ring.source, ring.writer.ring_memfd, ring.writer.control_memfd), 0);
    assert_int_equal(spool_create(1 << 20, &memfd), 0);
    assert_int_equal(spool_open(memfd, &ring.spool), 0);
    spool_set_consumers(ring.spool, 1);
    ring.source.spool = ring.spool;
    srand(1);
    for (unsigned i = 0; i < kills; i++)
        records += live_and_die(&ring);
    print_message(
        "%u writers killed, %llu records, %llu ended as errors, %llu cells left in writing, %llu never begun\n", kills,
        (unsigned long long)records, (unsigned long long)ring.source.counts.abandoned_count,
        (unsigned long long)ring.source.counts.quarantined_count, (unsigned long long)ring.source.counts.skipped_count);
    assert_int_equal(ring.source.counts.corrupt_count, 0);
    source_unmap(&ring.source);
    spool_close(ring.spool);
    close(memfd);
    wire_writer_close(&ring.writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_drain_kills)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
