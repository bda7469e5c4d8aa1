/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/reclaim.h"

#include "exporters/agent/drain.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/source.h"
#include "tests/support/wire_writer.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CELLS = 2048, SLOTS = 256, PID = 4711, CELLS_SIZE = CELLS * WIRE_CELL_SIZE, LAPS = 200 };

struct fixture {
    struct wire_writer writer;
    struct source source;
    struct journal *journal;
    int journal_memfd;
    uint64_t written, taken;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_int_equal(wire_writer_open(&fixture->writer, 2, SLOTS, CELLS), 0);
    assert_true(wire_writer_claim(&fixture->writer, 0, PID));
    assert_int_equal(journal_create(4 << 20, &fixture->journal_memfd), 0);
    assert_int_equal(journal_open(fixture->journal_memfd, &fixture->journal), 0);
    journal_set_consumers(fixture->journal, 1);
    assert_int_equal(source_map(&fixture->source, fixture->writer.ring_memfd, fixture->writer.control_memfd), 0);
    fixture->source.id = 1;
    fixture->source.outlets[SIGNAL_TRACES].journal = fixture->journal;
    drain_start(&fixture->source);
    fixture->source.lanes[0].owner = atomic_load(&wire_writer_lane(&fixture->writer, 0)->owner);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    source_unmap(&fixture->source);
    journal_close(fixture->journal);
    close(fixture->journal_memfd);
    wire_writer_close(&fixture->writer);
    free(fixture);
    return 0;
}

static size_t resident_bytes(const struct fixture *fixture)
{
    struct stat status;

    assert_int_equal(fstat(fixture->writer.ring_memfd, &status), 0);
    return (size_t)status.st_blocks * 512;
}

static bool write_one(struct fixture *fixture, struct wire_slot *slot)
{
    _Alignas(8) uint8_t bytes[WIRE_RECORD_MAX];
    size_t length = wire_writer_request(bytes, fixture->written, 30);

    if (!wire_writer_write(&fixture->writer, 0, WIRE_RECORD_REQUEST, bytes, length, slot))
        return false;
    fixture->written++;
    return true;
}

static void write_many(struct fixture *fixture, unsigned count)
{
    while (count-- > 0)
        assert_true(write_one(fixture, NULL));
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* All that came is whole, in order, and nothing is missing. */
static void read_all(struct fixture *fixture)
{
    struct journal_entry entry;

    (void)drain_lane(&fixture->source, 0, now_ns());
    while (journal_read(fixture->journal, journal_position(fixture->journal, 0), &entry)) {
        assert_int_equal(wire_writer_number((const uint8_t *)entry.record + sizeof(struct wire_record),
                                            entry.length - sizeof(struct wire_record)),
                         fixture->taken);
        fixture->taken++;
        journal_ack(fixture->journal, 0, entry.next);
    }
}

static void test_reclaim_gives_back_what_was_read(void **state)
{
    struct fixture *fixture = *state;

    write_many(fixture, CELLS - 300);
    read_all(fixture);
    assert_true(resident_bytes(fixture) > CELLS_SIZE * 3 / 4);
    assert_true(reclaim_source(&fixture->source) > CELLS_SIZE * 3 / 4);
    assert_true(resident_bytes(fixture) < CELLS_SIZE / 16);
    assert_int_equal(reclaim_source(&fixture->source), 0);
}

static void test_reclaim_leaves_what_comes_next(void **state)
{
    struct fixture *fixture = *state;

    write_many(fixture, CELLS);
    read_all(fixture);
    (void)reclaim_source(&fixture->source);
    assert_int_equal(atomic_load(&wire_writer_cell(&fixture->writer, 0, CELLS + 255)->state),
                     wire_cell_word(255, CELLS, WIRE_CELL_CONSUMED));
    assert_int_equal(atomic_load(&wire_writer_cell(&fixture->writer, 0, CELLS + 256)->state), 0);
}

static void test_reclaim_disturbs_no_lap(void **state)
{
    struct fixture *fixture = *state;

    for (int lap = 0; lap < LAPS; lap++) {
        write_many(fixture, (unsigned)(lap * 37 % CELLS));
        read_all(fixture);
        (void)reclaim_source(&fixture->source);
    }
    assert_int_equal(fixture->taken, fixture->written);
    assert_int_equal(fixture->source.counts->skipped_count, 0);
}

static void test_reclaim_leaves_pages_with_other_cells(void **state)
{
    struct fixture *fixture = *state;
    uint64_t position;

    assert_true(wire_writer_reserve(&fixture->writer, 0, 1, &position));
    assert_true(wire_writer_begin(&fixture->writer, 0, position)); /* and never commits */
    write_many(fixture, 15);
    (void)drain_lane(&fixture->source, 0, 1);
    (void)drain_lane(&fixture->source, 0, 2 * DRAIN_PATIENCE_NS);
    assert_int_equal(fixture->source.lanes[0].tail, 16);
    assert_true(reclaim_source(&fixture->source) >= WIRE_PAGE);
    assert_int_equal(atomic_load(&wire_writer_cell(&fixture->writer, 0, 0)->state),
                     wire_cell_word(0, CELLS, WIRE_CELL_WRITING));
    assert_int_equal(atomic_load(&wire_writer_cell(&fixture->writer, 0, 1)->state),
                     wire_cell_word(1, CELLS, WIRE_CELL_CONSUMED));
    assert_int_equal(atomic_load(&wire_writer_cell(&fixture->writer, 0, 8)->state), 0);
}

static void open_slot(struct fixture *fixture, uint32_t index)
{
    struct wire_slot *slot = wire_writer_slot(&fixture->writer, 0, index);

    (void)wire_writer_request(slot->request, index, 30);
    wire_slot_request(slot)->end_ns = 0;
    atomic_store(&slot->record_position, 0);
    atomic_store(&slot->open, WIRE_SLOT_OPEN);
    atomic_fetch_or(&wire_writer_lane(&fixture->writer, 0)->slot_map[index / 64], UINT64_C(1) << index % 64);
}

/* Stopped after its record was made and before its slot was free, for as long as you like. */
static void test_reclaim_does_not_double_a_request(void **state)
{
    struct fixture *fixture = *state;

    open_slot(fixture, 5);
    assert_true(write_one(fixture, wire_writer_slot(&fixture->writer, 0, 5)));
    write_many(fixture, 20);
    read_all(fixture);
    assert_true(reclaim_source(&fixture->source) > 0);
    fixture->source.lanes[0].dead = true;
    assert_int_equal(drain_open_requests(&fixture->source, 0, 1, NULL), 0);
}

static void test_reclaim_gives_back_free_slots_only(void **state)
{
    struct fixture *fixture = *state;

    for (uint32_t index = 0; index < SLOTS; index++)
        open_slot(fixture, index);
    for (uint32_t index = 0; index < SLOTS; index++)
        if (index != 130)
            atomic_fetch_and(&wire_writer_lane(&fixture->writer, 0)->slot_map[index / 64],
                             ~(UINT64_C(1) << index % 64));
    write_many(fixture, 8);
    read_all(fixture);
    size_t before = resident_bytes(fixture);
    (void)reclaim_source(&fixture->source);
    /* The first 64 and those around the open one stay. */
    assert_true(before - resident_bytes(fixture) >= 2 * 64 * WIRE_SLOT_SIZE);
    assert_int_equal(atomic_load(&wire_writer_slot(&fixture->writer, 0, 130)->open), WIRE_SLOT_OPEN);
    assert_int_equal(atomic_load(&wire_writer_slot(&fixture->writer, 0, 63)->open), WIRE_SLOT_OPEN);
    assert_int_equal(atomic_load(&wire_writer_slot(&fixture->writer, 0, 64)->open), WIRE_SLOT_CLOSED);
    for (unsigned word = 0; word < SLOTS / 64; word++)
        assert_int_equal(atomic_load(&wire_writer_lane(&fixture->writer, 0)->slot_map[word]), word == 2 ? 4 : 0);
}

static void *write_always(void *arg)
{
    struct fixture *fixture = arg;

    while (fixture->written < (uint64_t)LAPS * CELLS)
        if (!write_one(fixture, NULL))
            sched_yield();
    return NULL;
}

/* A cell that is held when its turn comes is given up by the writer, who says so; nothing else is lost, none is
 * torn. */
static void test_reclaim_is_safe_while_others_write(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, write_always, fixture), 0);
    while (fixture->taken < (uint64_t)LAPS * CELLS) {
        read_all(fixture);
        (void)reclaim_source(&fixture->source);
    }
    pthread_join(thread, NULL);
    assert_int_equal(fixture->source.counts->corrupt_count, 0);
    assert_int_equal(fixture->source.counts->quarantined_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_reclaim_gives_back_what_was_read),
        TEST(test_reclaim_leaves_what_comes_next),
        TEST(test_reclaim_disturbs_no_lap),
        TEST(test_reclaim_leaves_pages_with_other_cells),
        TEST(test_reclaim_does_not_double_a_request),
        TEST(test_reclaim_gives_back_free_slots_only),
        TEST(test_reclaim_is_safe_while_others_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
