/* SPDX-License-Identifier: Apache-2.0 */
/* A ring that may contain anything: a million records and their surroundings with bytes changed at random. What is
 * promised is that nothing is read out of bounds (sanitizers), that it ends, and that what comes out is within its
 * limits. */
#include "exporters/agent/drain.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/process.h"
#include "exporters/agent/source.h"
#include "exporters/agent/span.h"
#include "tests/support/wire_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { CELLS = 64, SLOTS = 64, RECORDS = 1000000 };

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % limit;
}

static void change_bytes(void *bytes, size_t length, unsigned count)
{
    static const uint8_t values[] = {0, 1, 2, 0x7f, 0x80, 0xfe, 0xff};

    for (unsigned i = 0; i < count; i++)
        ((uint8_t *)bytes)[random_below((uint32_t)length)] =
            random_below(2) ? values[random_below(sizeof(values))] : (uint8_t)random_below(256);
}

/* Most changes hit the record and its cell's head, some the slots, few the lane itself. */
static void change_something(const struct wire_writer *writer, uint64_t position)
{
    struct wire_cell *cell = wire_writer_cell(writer, 0, position);
    struct wire_slot *slot = wire_writer_slot(writer, 0, random_below(SLOTS));

    switch (random_below(16)) {
    case 0:
        change_bytes(cell, 8, 1); /* state, part, parts, length */
        break;
    case 1:
        change_bytes(cell->payload, sizeof(struct wire_record), 1);
        break;
    case 2:
        change_bytes(slot, sizeof(*slot), 64);
        atomic_store(&slot->open, 1);
        atomic_fetch_or(&wire_writer_lane(writer, 0)->slot_map[0], random_state);
        break;
    case 3:
        if (random_below(64) == 0)
            change_bytes(wire_writer_lane(writer, 0), sizeof(struct wire_lane), 3);
        break;
    default:
        change_bytes(cell->payload, 200, 1 + random_below(4));
    }
}

/* A span that is accepted lies within its record. */
static void check_span(const struct span *span, const uint8_t *bytes, size_t length)
{
    for (int i = 0; i < WIRE_TEXT_COUNT; i++)
        if (span->text[i].length)
            assert_true((const uint8_t *)span->text[i].bytes >= bytes &&
                        (const uint8_t *)span->text[i].bytes + span->text[i].length <= bytes + length);
    assert_true(span->end_unix_ns >= span->start_unix_ns);
    assert_true(span->request_header_count <= SPAN_HEADERS_MAX);
}

static void read_journal(struct journal *journal, uint64_t *accepted_count)
{
    static const struct process process = {.wall_offset_ns = 1};
    struct journal_entry entry;
    struct span span;

    while (journal_read(journal, journal_position(journal, 0), &entry)) {
        /* A copy of its own size: a read beyond it is found. */
        size_t length = entry.length - sizeof(struct wire_record);
        uint8_t *bytes = malloc(length);
        char buf[8];

        memcpy(bytes, (const uint8_t *)entry.record + sizeof(struct wire_record), length);
        if (span_parse(&process, bytes, length, &span) == 0) {
            check_span(&span, bytes, length);
            (void)span_error_type(&span, buf);
            (*accepted_count)++;
        }
        free(bytes);
        journal_ack(journal, 0, entry.next);
    }
}

static void test_drain_hostile_records(void **state)
{
    struct wire_writer writer;
    struct source source = {0};
    struct journal *journal;
    uint64_t accepted_count = 0;
    int memfd;

    (void)state;
    assert_int_equal(wire_writer_open(&writer, 1, SLOTS, CELLS), 0);
    assert_int_equal(source_map(&source, writer.ring_memfd, writer.control_memfd), 0);
    assert_int_equal(journal_create(1 << 20, &memfd), 0);
    assert_int_equal(journal_open(memfd, &journal), 0);
    journal_set_consumers(journal, 1);
    source.outlets[SIGNAL_TRACES].journal = journal;
    for (unsigned i = 0; i < RECORDS; i++) {
        uint64_t position = atomic_load(&wire_writer_lane(&writer, 0)->head);
        _Alignas(8) uint8_t bytes[WIRE_RECORD_MAX];
        size_t length = wire_writer_request(bytes, i, random_below(8) ? 10 : random_below(1800));

        (void)wire_writer_write(&writer, 0, WIRE_RECORD_REQUEST, bytes, length, NULL);
        change_something(&writer, position);
        source.lanes[0].dead = random_below(8) == 0;
        (void)drain_lane(&source, 0, i * UINT64_C(50000000));
        if (random_below(16) == 0)
            (void)drain_overdue_requests(&source, 0, &(struct drain_overdue){0, UINT64_MAX});
        if (random_below(64) == 0)
            (void)drain_open_requests(&source, 0, i, NULL);
        if (random_below(256) == 0)
            drain_release(&source, 0);
        if (random_below(4096) == 0) {
            drain_start(&source);
            drain_resume(&source);
        }
        read_journal(journal, &accepted_count);
    }
    print_message("%d records changed: %llu taken, %llu spans, %llu corrupt\n", RECORDS,
                  (unsigned long long)source.counts->taken_count, (unsigned long long)accepted_count,
                  (unsigned long long)source.counts->corrupt_count);
    assert_true(accepted_count > RECORDS / 4); /* the test would be worth little if nothing came through */
    assert_true(source.counts->corrupt_count > 1000);
    drain_end_logs(&source, 0);
    source_unmap(&source);
    journal_close(journal);
    close(memfd);
    wire_writer_close(&writer);
}

/* Geometry: whatever is accepted can be read from end to end. */
static void test_drain_hostile_geometry(void **state)
{
    struct wire_writer writer;
    unsigned accepted_count = 0;
    struct wire_ring good;

    (void)state;
    assert_int_equal(wire_writer_open(&writer, 2, SLOTS, CELLS), 0);
    good = *writer.ring;
    for (unsigned i = 0; i < 20000; i++) {
        struct source source = {0};

        *writer.ring = good;
        change_bytes(writer.ring, 64, 1 + random_below(3));
        if (source_map(&source, writer.ring_memfd, writer.control_memfd))
            continue;
        accepted_count++;
        for (uint32_t lane = 0; lane < source.lane_count; lane++) {
            volatile uint8_t sum = 0;

            sum = (uint8_t)(sum + (uint8_t)atomic_load(&source_lane(&source, lane)->slot_map[WIRE_SLOT_MAP_WORDS - 1]));
            if (source.slot_count)
                sum = (uint8_t)(sum + source_slot(&source, lane, source.slot_count - 1)->request[100]);
            sum = (uint8_t)(sum + source_cell(&source, lane, source.cell_count - 1)->payload[WIRE_CELL_PAYLOAD - 1]);
        }
        source_unmap(&source);
    }
    assert_true(accepted_count > 0);
    wire_writer_close(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_drain_hostile_records),
                                       cmocka_unit_test(test_drain_hostile_geometry)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
