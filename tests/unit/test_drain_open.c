/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that a living process works on, told of once they are overdue; what the dead leave is test_drain.c's. */
#include "exporters/agent/drain.h"

#include "exporters/agent/journal.h"
#include "exporters/agent/process.h"
#include "exporters/agent/source.h"
#include "exporters/agent/span.h"
#include "tests/support/wire_writer.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { CELLS = 64, SLOTS = 128, PID = 4711, TURNS = 1000000 };

static struct {
    struct wire_writer writer;
    struct source source;
    struct journal *journal;
    int journal_memfd;
    atomic_bool is_over;
} test;

static const struct drain_overdue all = {.after_ns = 0, .until_ns = UINT64_MAX};

static void take_over(void)
{
    test.source = (struct source){.id = 1, .outlets[SIGNAL_TRACES].journal = test.journal};
    assert_int_equal(source_map(&test.source, test.writer.ring_memfd, test.writer.control_memfd), 0);
    drain_start(&test.source);
    test.source.lanes[0].owner = atomic_load(&wire_writer_lane(&test.writer, 0)->owner);
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(wire_writer_open(&test.writer, 1, SLOTS, CELLS), 0);
    assert_true(wire_writer_claim(&test.writer, 0, PID));
    assert_int_equal(journal_create(1 << 20, &test.journal_memfd), 0);
    assert_int_equal(journal_open(test.journal_memfd, &test.journal), 0);
    journal_set_consumers(test.journal, 1);
    take_over();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    source_unmap(&test.source);
    journal_close(test.journal);
    close(test.journal_memfd);
    wire_writer_close(&test.writer);
    return 0;
}

/* As a shim opens one: filled, then marked. */
static struct wire_request *open_slot(uint32_t index, uint64_t number, uint64_t start_ns)
{
    struct wire_slot *slot = wire_writer_slot(&test.writer, 0, index);
    struct wire_request *request = wire_slot_request(slot);

    (void)wire_writer_request(slot->request, number, 30);
    request->start_ns = start_ns;
    request->end_ns = 0;
    request->flags |= WIRE_REQUEST_XRAY_SAMPLED;
    atomic_store(&slot->record_position, 0);
    atomic_store(&slot->open, WIRE_SLOT_OPEN);
    atomic_fetch_or(&wire_writer_lane(&test.writer, 0)->slot_map[index / 64], UINT64_C(1) << index % 64);
    return request;
}

/* The next request in the journal, until something is appended; its number, UINT64_MAX: it is torn. NULL: none. */
static const struct wire_request *next_request(uint64_t *ret_number)
{
    struct journal_entry entry;

    if (!journal_read(test.journal, journal_position(test.journal, 0), &entry))
        return NULL;
    journal_ack(test.journal, 0, entry.next);
    *ret_number = wire_writer_number((const uint8_t *)entry.record + sizeof(struct wire_record),
                                     entry.length - sizeof(struct wire_record));
    return (const void *)((const uint8_t *)entry.record + sizeof(struct wire_record));
}

static void test_drain_open_tells_what_is_overdue(void **state)
{
    struct process process = {0};
    const struct wire_request *request;
    struct span span;
    uint64_t number;

    (void)state;
    (void)open_slot(5, 1, 1000);
    (void)open_slot(70, 2, 2000);
    (void)open_slot(127, 3, 3000);
    assert_int_equal(drain_overdue_requests(&test.source, 0, &(struct drain_overdue){1000, 2000}), 1);
    request = next_request(&number);
    assert_int_equal(number, 2);
    assert_int_equal(request->end_ns, 0);
    assert_int_equal(span_parse(&process, request, sizeof(*request) + request->text_length, &span), 0);
    assert_true(span.is_open);
    assert_int_equal(span.end_unix_ns, span.start_unix_ns);
    assert_int_equal(drain_overdue_requests(&test.source, 0, &(struct drain_overdue){2000, 3000}), 1);
    assert_non_null(next_request(&number));
    assert_int_equal(number, 3);
    assert_null(next_request(&number));
}

static void test_drain_open_tells_only_what_xray_is_to_hear_of(void **state)
{
    (void)state;
    open_slot(0, 1, 1000)->flags = WIRE_REQUEST_SAMPLED;
    open_slot(1, 2, 1000)->kind = WIRE_KIND_CLIENT;
    open_slot(2, 3, 1000)->end_ns = 2000;
    open_slot(3, 4, 1000)->flags |= WIRE_REQUEST_AFTER_CLOSE;
    wire_slot_request(wire_writer_slot(&test.writer, 0, 3))->first_byte_ns = 0;
    open_slot(4, 5, 1000)->text_length = UINT16_MAX;
    (void)open_slot(5, 6, 1000);
    atomic_store(&wire_writer_slot(&test.writer, 0, 5)->open, WIRE_SLOT_ENDING);
    (void)open_slot(6, 7, 1000);
    atomic_fetch_and(&wire_writer_lane(&test.writer, 0)->slot_map[0], ~(UINT64_C(1) << 6));
    assert_int_equal(drain_overdue_requests(&test.source, 0, &all), 0);
}

/* The process goes on with it: the next worker leaves its slot, and its lane, as they are. */
static void test_drain_open_changes_nothing_for_the_next_worker(void **state)
{
    uint64_t number;

    (void)state;
    (void)open_slot(5, 1, 1000);
    assert_int_equal(drain_overdue_requests(&test.source, 0, &all), 1);
    source_unmap(&test.source);
    take_over();
    drain_resume(&test.source);
    assert_int_equal(atomic_load(&wire_writer_slot(&test.writer, 0, 5)->open), WIRE_SLOT_OPEN);
    assert_int_equal(test.source.lanes[0].tail, 0);
    test.source.lanes[0].dead = true;
    assert_int_equal(drain_open_requests(&test.source, 0, 5000, NULL), 1);
    assert_int_equal(next_request(&number)->end_ns, 0);
    assert_int_equal(next_request(&number)->end_ns, 5000);
    assert_int_equal(number, 1);
}

/* Ends requests and begins others in the same slot. */
static void *serve(void *arg)
{
    struct wire_slot *slot = wire_writer_slot(&test.writer, 0, 0);

    (void)arg;
    for (uint64_t number = 2; number < TURNS; number++) {
        atomic_store(&slot->open, WIRE_SLOT_CLOSED);
        (void)open_slot(0, number, number);
    }
    atomic_store(&test.is_over, true);
    return NULL;
}

static void test_drain_open_never_tells_of_a_torn_request(void **state)
{
    struct drain_overdue overdue = all;
    pthread_t thread;
    uint64_t number;
    size_t told_count = 0;

    (void)state;
#if defined(__SANITIZE_THREAD__)
    print_message("skipped: a slot is copied while it is filled, and that is what this sanitizer reports\n");
    skip();
#endif
    (void)open_slot(0, 1, 1);
    atomic_store(&test.is_over, false);
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    while (!atomic_load(&test.is_over)) {
        const struct wire_request *request;

        told_count += drain_overdue_requests(&test.source, 0, &overdue);
        while ((request = next_request(&number)) != NULL) {
            assert_int_not_equal(number, UINT64_MAX);
            assert_int_equal(request->start_ns, number);
            overdue.after_ns = request->start_ns;
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    told_count += drain_overdue_requests(&test.source, 0, &overdue);
    assert_true(told_count > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_drain_open_tells_what_is_overdue),
        TEST(test_drain_open_tells_only_what_xray_is_to_hear_of),
        TEST(test_drain_open_changes_nothing_for_the_next_worker),
        TEST(test_drain_open_never_tells_of_a_torn_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
