/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/drain.h"

#include "exporters/agent/journal.h"
#include "exporters/agent/process.h"
#include "exporters/agent/recent.h"
#include "exporters/agent/source.h"
#include "preload/config.h"
#include "tests/support/wire_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { CELLS = 64, SLOTS = 64, PID = 4711 };
#define SECOND UINT64_C(1000000000)

struct fixture {
    struct wire_writer writer;
    struct source source;
    struct journal *journal;
    int journal_memfd;
};

static void take_over(struct fixture *fixture)
{
    assert_int_equal(source_map(&fixture->source, fixture->writer.ring_memfd, fixture->writer.control_memfd), 0);
    fixture->source.id = 1;
    fixture->source.outlets[SIGNAL_TRACES].journal = fixture->journal;
    drain_start(&fixture->source);
    fixture->source.lanes[0].owner = atomic_load(&wire_writer_lane(&fixture->writer, 0)->owner);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_int_equal(wire_writer_open(&fixture->writer, 2, SLOTS, CELLS), 0);
    assert_true(wire_writer_claim(&fixture->writer, 0, PID));
    assert_int_equal(journal_create(1 << 20, &fixture->journal_memfd), 0);
    assert_int_equal(journal_open(fixture->journal_memfd, &fixture->journal), 0);
    journal_set_consumers(fixture->journal, 1);
    take_over(fixture);
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

static bool write_number(struct fixture *fixture, uint64_t number, size_t path_length, struct wire_slot *slot)
{
    _Alignas(8) uint8_t bytes[WIRE_RECORD_MAX];
    size_t length = wire_writer_request(bytes, number, path_length);

    return wire_writer_write(&fixture->writer, 0, WIRE_RECORD_REQUEST, bytes, length, slot);
}

/* The next number in the journal; UINT64_MAX: none. The record is borrowed until the next append. */
static uint64_t next_record(struct fixture *fixture, const struct wire_request **ret_request)
{
    struct journal_entry entry;

    if (!journal_read(fixture->journal, journal_position(fixture->journal, 0), &entry))
        return UINT64_MAX;
    journal_ack(fixture->journal, 0, entry.next);
    if (ret_request)
        *ret_request = (const void *)((const uint8_t *)entry.record + sizeof(struct wire_record));
    return wire_writer_number((const uint8_t *)entry.record + sizeof(struct wire_record),
                              entry.length - sizeof(struct wire_record));
}

static uint64_t next_number(struct fixture *fixture)
{
    return next_record(fixture, NULL);
}

static void assert_empty(struct fixture *fixture)
{
    assert_int_equal(journal_depth(fixture->journal, 0), 0);
}

static uint64_t shared_tail(struct fixture *fixture)
{
    return atomic_load(&wire_writer_lane(&fixture->writer, 0)->tail);
}

static void test_drain_steps_over_an_early_shims_diagnostics(void **state)
{
    static const uint8_t line[] = "what was said";
    struct fixture *fixture = *state;

    assert_true(wire_writer_write(&fixture->writer, 0, WIRE_RECORD_DIAGNOSTIC, line, sizeof(line), NULL));
    assert_true(write_number(fixture, 7, 0, NULL));
    assert_true(drain_lane(&fixture->source, 0, 0) > 0);
    assert_int_equal(next_number(fixture), 7);
    assert_empty(fixture);
    assert_int_equal(fixture->source.counts->taken_count, 1);
    assert_int_equal(fixture->source.counts->corrupt_count, 0);
}

/* A request is a span for one journal, a line for the other. */
static void test_drain_puts_requests_among_the_logs(void **state)
{
    struct process process = {.pid = PID};
    struct fixture *fixture = *state;
    struct source *source = &fixture->source;
    struct journal_entry entry;
    struct journal *logs;
    int memfd;

    assert_int_equal(journal_create(1 << 16, &memfd), 0);
    assert_int_equal(journal_open(memfd, &logs), 0);
    journal_set_consumers(logs, 1);
    source->outlets[SIGNAL_LOGS].journal = logs;
    source->lanes[0].process = &process;
    assert_true(write_number(fixture, 1, 0, NULL));
    assert_true(drain_lane(source, 0, 0) > 0);
    assert_int_equal(journal_depth(logs, 0), 0);
    source->request_lines = REQUEST_LINES_SHORT;
    assert_true(write_number(fixture, 2, 0, NULL));
    assert_true(drain_lane(source, 0, 0) > 0);
    assert_int_equal(journal_depth(logs, 0), 1);
    assert_true(journal_read(logs, 0, &entry));
    assert_int_equal(((const struct wire_record *)entry.record)->type, WIRE_RECORD_LOG);
    assert_int_equal(process.journal_end[SIGNAL_LOGS], entry.next);
    assert_int_equal(next_number(fixture), 1);
    assert_int_equal(next_number(fixture), 2);
    source->lanes[0].process = NULL;
    free(process.recent);
    journal_close(logs);
    close(memfd);
}

static void test_drain_takes_records_of_any_length(void **state)
{
    struct fixture *fixture = *state;

    for (uint64_t number = 0; number < 100; number++) {
        assert_true(write_number(fixture, number, number * 37 % 1800, NULL));
        assert_true(drain_lane(&fixture->source, 0, 0) > 0);
        assert_int_equal(next_number(fixture), number);
    }
    assert_int_equal(fixture->source.counts->taken_count, 100);
    assert_int_equal(fixture->source.counts->corrupt_count, 0);
    assert_int_equal(shared_tail(fixture), atomic_load(&wire_writer_lane(&fixture->writer, 0)->head));
    assert_empty(fixture);
}

static void test_drain_makes_room_in_a_full_lane(void **state)
{
    struct fixture *fixture = *state;
    uint64_t written = 0;

    while (write_number(fixture, written, 10, NULL))
        written++;
    assert_int_equal(written, CELLS);
    assert_int_equal(drain_lane(&fixture->source, 0, 0), CELLS);
    assert_true(write_number(fixture, written, 10, NULL));
}

static void test_drain_waits_for_a_writer_that_lives(void **state)
{
    struct fixture *fixture = *state;
    uint64_t position;

    assert_true(wire_writer_reserve(&fixture->writer, 0, 1, &position));
    assert_true(wire_writer_begin(&fixture->writer, 0, position));
    assert_true(write_number(fixture, 1, 10, NULL));
    assert_int_equal(drain_lane(&fixture->source, 0, 1 * SECOND), 0);
    assert_true(fixture->source.lanes[0].stuck_since_ns != 0);
    assert_int_equal(drain_lane(&fixture->source, 0, 1 * SECOND + DRAIN_PATIENCE_NS - 1), 0);
    assert_empty(fixture);
}

static void test_drain_steps_over_a_writer_that_does_not_come_back(void **state)
{
    struct fixture *fixture = *state;
    uint64_t position;

    assert_true(wire_writer_reserve(&fixture->writer, 0, 1, &position));
    assert_true(wire_writer_begin(&fixture->writer, 0, position));
    assert_true(write_number(fixture, 1, 10, NULL));
    assert_int_equal(drain_lane(&fixture->source, 0, 1 * SECOND), 0);
    assert_int_equal(drain_lane(&fixture->source, 0, 1 * SECOND + DRAIN_PATIENCE_NS), 2);
    assert_int_equal(next_number(fixture), 1);
    assert_int_equal(fixture->source.counts->quarantined_count, 1);
    assert_int_equal(fixture->source.lanes[0].stuck_since_ns, 0);
    /* It comes back late: what it commits is not read, and laps go on. */
    wire_writer_commit(&fixture->writer, 0, position);
    for (uint64_t number = 2; number < 5 * CELLS; number++) {
        if (write_number(fixture, number, 10, NULL)) {
            (void)drain_lane(&fixture->source, 0, 4 * SECOND);
            assert_int_equal(next_number(fixture), number);
        }
    }
    assert_empty(fixture);
}

static void test_drain_skips_a_cell_that_was_never_begun(void **state)
{
    struct fixture *fixture = *state;
    uint64_t position;

    assert_true(wire_writer_reserve(&fixture->writer, 0, 1, &position));
    assert_true(write_number(fixture, 1, 10, NULL));
    (void)drain_lane(&fixture->source, 0, 1 * SECOND);
    assert_int_equal(drain_lane(&fixture->source, 0, 1 * SECOND + DRAIN_PATIENCE_NS), 2);
    assert_int_equal(fixture->source.counts->skipped_count, 1);
    assert_false(wire_writer_begin(&fixture->writer, 0, position)); /* the late writer is told */
}

static void test_drain_gives_each_stuck_cell_its_own_time(void **state)
{
    struct fixture *fixture = *state;
    uint64_t first, second;

    assert_true(wire_writer_reserve(&fixture->writer, 0, 1, &first));
    (void)drain_lane(&fixture->source, 0, 1 * SECOND);
    assert_true(wire_writer_reserve(&fixture->writer, 0, 1, &second)); /* later than the waiting for the first began */
    assert_int_equal(drain_lane(&fixture->source, 0, 1 * SECOND + DRAIN_PATIENCE_NS), 1);
    assert_true(wire_writer_begin(&fixture->writer, 0, second));
}

static void test_drain_does_not_wait_for_the_dead(void **state)
{
    struct fixture *fixture = *state;
    uint64_t position;

    assert_true(wire_writer_reserve(&fixture->writer, 0, 3, &position));
    assert_true(wire_writer_begin(&fixture->writer, 0, position));
    assert_true(wire_writer_begin(&fixture->writer, 0, position + 1));
    wire_writer_commit(&fixture->writer, 0, position + 1);
    fixture->source.lanes[0].dead = true;
    assert_int_equal(drain_lane(&fixture->source, 0, 1), 3);
    assert_empty(fixture);
}

static struct wire_slot *open_slot(struct fixture *fixture, uint32_t index, uint64_t number)
{
    struct wire_slot *slot = wire_writer_slot(&fixture->writer, 0, index);

    (void)wire_writer_request(slot->request, number, 30);
    wire_slot_request(slot)->end_ns = 0;
    atomic_store(&slot->record_position, 0);
    atomic_store(&slot->open, 1);
    atomic_fetch_or(&wire_writer_lane(&fixture->writer, 0)->slot_map[index / 64], UINT64_C(1) << index % 64);
    return slot;
}

static void test_drain_ends_what_the_dead_left_open(void **state)
{
    struct fixture *fixture = *state;
    const struct wire_request *request;
    uint64_t end_ns;

    end_ns = wire_slot_request(open_slot(fixture, 5, 42))->start_ns + 777;
    fixture->source.lanes[0].dead = true;
    assert_int_equal(drain_open_requests(&fixture->source, 0, end_ns, NULL), 1);
    assert_int_equal(next_record(fixture, &request), 42);
    assert_int_equal(request->error, WIRE_ERROR_PROCESS_EXITED);
    assert_int_equal(request->end_ns, end_ns);
    assert_int_equal(drain_open_requests(&fixture->source, 0, end_ns, NULL), 0);
    /* The next owner fills it while it counts as closed. */
    assert_int_equal(atomic_load(&wire_writer_slot(&fixture->writer, 0, 5)->open), 0);
}

/* As the shim records them: what nobody samples where all are asked for, never what the user has ruled out. */
static void test_drain_ends_unsampled_requests_where_they_are_wanted(void **state)
{
    struct fixture *fixture = *state;

    wire_slot_request(open_slot(fixture, 5, 42))->flags = 0;
    fixture->source.lanes[0].dead = true;
    assert_int_equal(drain_open_requests(&fixture->source, 0, 1, NULL), 0);
    fixture->source.wants_unsampled = true;
    wire_slot_request(open_slot(fixture, 5, 43))->flags = 0;
    wire_slot_request(open_slot(fixture, 6, 44))->flags = 0;
    wire_slot_request(wire_writer_slot(&fixture->writer, 0, 6))->trace_flags |= WIRE_TRACE_UNWANTED;
    assert_int_equal(drain_open_requests(&fixture->source, 0, 1, NULL), 1);
    assert_int_equal(next_number(fixture), 43);
    assert_empty(fixture);
}

/* What a client sends after it asked to close is a request only if it is answered. */
static void test_drain_drops_what_came_after_a_close(void **state)
{
    struct fixture *fixture = *state;
    const struct wire_request *request;
    struct wire_request *silent = wire_slot_request(open_slot(fixture, 5, 42));
    struct wire_request *answered = wire_slot_request(open_slot(fixture, 6, 43));

    silent->flags |= WIRE_REQUEST_AFTER_CLOSE;
    silent->first_byte_ns = 0;
    answered->flags |= WIRE_REQUEST_AFTER_CLOSE;
    answered->first_byte_ns = answered->start_ns + 1;
    fixture->source.lanes[0].dead = true;
    assert_int_equal(drain_open_requests(&fixture->source, 0, answered->start_ns + 777, NULL), 1);
    assert_int_equal(next_record(fixture, &request), 43);
    assert_empty(fixture);
}

static void test_drain_does_not_double_a_request_whose_record_came(void **state)
{
    struct fixture *fixture = *state;
    struct wire_slot *slot = open_slot(fixture, 5, 42);

    assert_true(write_number(fixture, 42, 30, slot));
    fixture->source.lanes[0].dead = true;
    (void)drain_lane(&fixture->source, 0, 0);
    assert_int_equal(next_number(fixture), 42);
    assert_int_equal(drain_open_requests(&fixture->source, 0, 1, NULL), 0);
    assert_empty(fixture);
}

static void test_drain_takes_a_request_that_was_just_ending(void **state)
{
    struct fixture *fixture = *state;
    struct wire_slot *slot = open_slot(fixture, 5, 42);
    const struct wire_request *request;

    atomic_store(&slot->open, WIRE_SLOT_ENDING);
    wire_slot_request(slot)->end_ns = wire_slot_request(slot)->start_ns + 5;
    assert_int_equal(drain_open_requests(&fixture->source, 0, UINT64_MAX, NULL), 1);
    assert_int_equal(next_record(fixture, &request), 42);
    assert_int_equal(request->error, WIRE_ERROR_NONE);
    assert_int_equal(request->end_ns, request->start_ns + 5);
}

/* A fork's child that holds the connection writes its record into its own lane. */
static void test_drain_leaves_a_request_to_the_process_that_ends_it(void **state)
{
    struct fixture *fixture = *state;

    atomic_store(&open_slot(fixture, 5, 42)->open, WIRE_SLOT_ENDING_BY_KIN);
    assert_int_equal(drain_open_requests(&fixture->source, 0, 1, NULL), 0);
    assert_empty(fixture);
    assert_int_equal(wire_writer_lane(&fixture->writer, 0)->slot_map[0], 0);
}

static void test_drain_leaves_unsampled_requests_alone(void **state)
{
    struct fixture *fixture = *state;

    wire_slot_request(open_slot(fixture, 0, 1))->flags = 0;
    assert_int_equal(drain_open_requests(&fixture->source, 0, 1, NULL), 0);
}

static void test_drain_gives_a_clean_lane_to_the_next_owner(void **state)
{
    struct fixture *fixture = *state;
    struct source_lane *lane = &fixture->source.lanes[0];
    uint64_t position;

    (void)open_slot(fixture, 5, 42);
    assert_true(wire_writer_reserve(&fixture->writer, 0, 2, &position));
    assert_true(wire_writer_begin(&fixture->writer, 0, position));
    lane->dead = true;
    (void)drain_lane(&fixture->source, 0, 0);
    drain_release(&fixture->source, 0);
    assert_int_equal(atomic_load(&wire_writer_lane(&fixture->writer, 0)->owner), UINT64_C(1) << 32);
    assert_int_equal(atomic_load(&wire_writer_lane(&fixture->writer, 0)->slot_map[0]), 0);
    assert_true(wire_writer_claim(&fixture->writer, 0, PID + 1));
    lane->dead = lane->dirty = false;
    lane->owner = atomic_load(&wire_writer_lane(&fixture->writer, 0)->owner);
    for (uint64_t number = 0; number < 2 * CELLS; number++) { /* no cell is lost to what the dead left */
        assert_true(write_number(fixture, number, 10, NULL));
        assert_int_equal(drain_lane(&fixture->source, 0, 0), 1);
        assert_int_equal(next_number(fixture), number);
    }
}

/* Killed after the append, before the tail moved: the next worker finds it in the journal. */
static void test_drain_does_not_take_a_record_twice_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct wire_lane *lane = wire_writer_lane(&fixture->writer, 0);

    for (uint64_t number = 0; number < 10; number++)
        assert_true(write_number(fixture, number, 10, NULL));
    (void)drain_lane(&fixture->source, 0, 0);
    atomic_store(&lane->tail, 7);
    for (uint64_t position = 7; position < 10; position++)
        wire_writer_commit(&fixture->writer, 0, position);
    source_unmap(&fixture->source);
    take_over(fixture);
    drain_resume(&fixture->source);
    assert_true(write_number(fixture, 10, 10, NULL));
    (void)drain_lane(&fixture->source, 0, 0);
    for (uint64_t number = 0; number <= 10; number++)
        assert_int_equal(next_number(fixture), number);
    assert_empty(fixture);
    for (uint64_t number = 11; number < 200; number++) {
        assert_true(write_number(fixture, number, 10, NULL));
        (void)drain_lane(&fixture->source, 0, 0);
    }
}

static void test_drain_does_not_end_a_request_twice_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct wire_lane *lane = wire_writer_lane(&fixture->writer, 0);

    (void)open_slot(fixture, 5, 42);
    (void)drain_open_requests(&fixture->source, 0, 1, NULL);
    atomic_fetch_or(&lane->slot_map[0], UINT64_C(1) << 5); /* as if killed before it was cleared */
    source_unmap(&fixture->source);
    take_over(fixture);
    drain_resume(&fixture->source);
    assert_int_equal(drain_open_requests(&fixture->source, 0, 1, NULL), 0);
}

static void test_drain_survives_a_head_that_jumps(void **state)
{
    struct fixture *fixture = *state;
    struct wire_lane *lane = wire_writer_lane(&fixture->writer, 0);

    atomic_store(&lane->head, UINT64_MAX / 2);
    (void)drain_lane(&fixture->source, 0, 0);
    assert_int_equal(fixture->source.counts->corrupt_count, 1);
    assert_int_equal(shared_tail(fixture), UINT64_MAX / 2);
    atomic_store(&lane->head, 5); /* and back */
    (void)drain_lane(&fixture->source, 0, 0);
    assert_int_equal(shared_tail(fixture), 5);
}

static void test_drain_counts_what_makes_no_sense(void **state)
{
    struct fixture *fixture = *state;
    struct wire_cell *cell = wire_writer_cell(&fixture->writer, 0, 0);
    struct wire_record *record = (void *)cell->payload;

    assert_true(write_number(fixture, 1, 10, NULL));
    cell->length = WIRE_CELL_PAYLOAD + 1;
    assert_true(write_number(fixture, 2, 10, NULL));
    record = (void *)wire_writer_cell(&fixture->writer, 0, 1)->payload;
    record->type = 77;
    assert_true(write_number(fixture, 3, 10, NULL));
    record = (void *)wire_writer_cell(&fixture->writer, 0, 2)->payload;
    record->length = 9;
    assert_true(write_number(fixture, 4, 10, NULL));
    wire_writer_cell(&fixture->writer, 0, 3)->parts = 200;
    assert_true(write_number(fixture, 5, 10, NULL));
    assert_int_equal(drain_lane(&fixture->source, 0, 0), 5);
    assert_int_equal(fixture->source.counts->corrupt_count, 4);
    assert_int_equal(next_number(fixture), 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_drain_takes_records_of_any_length),
        TEST(test_drain_puts_requests_among_the_logs),
        TEST(test_drain_steps_over_an_early_shims_diagnostics),
        TEST(test_drain_makes_room_in_a_full_lane),
        TEST(test_drain_waits_for_a_writer_that_lives),
        TEST(test_drain_steps_over_a_writer_that_does_not_come_back),
        TEST(test_drain_skips_a_cell_that_was_never_begun),
        TEST(test_drain_gives_each_stuck_cell_its_own_time),
        TEST(test_drain_does_not_wait_for_the_dead),
        TEST(test_drain_ends_what_the_dead_left_open),
        TEST(test_drain_ends_unsampled_requests_where_they_are_wanted),
        TEST(test_drain_drops_what_came_after_a_close),
        TEST(test_drain_does_not_double_a_request_whose_record_came),
        TEST(test_drain_takes_a_request_that_was_just_ending),
        TEST(test_drain_leaves_a_request_to_the_process_that_ends_it),
        TEST(test_drain_leaves_unsampled_requests_alone),
        TEST(test_drain_gives_a_clean_lane_to_the_next_owner),
        TEST(test_drain_does_not_take_a_record_twice_after_a_restart),
        TEST(test_drain_does_not_end_a_request_twice_after_a_restart),
        TEST(test_drain_survives_a_head_that_jumps),
        TEST(test_drain_counts_what_makes_no_sense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
