/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/journal.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { CAPACITY = 64 << 10 };

struct fixture {
    int memfd;
    struct journal *journal;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_int_equal(journal_create(CAPACITY, &fixture->memfd), 0);
    assert_int_equal(journal_open(fixture->memfd, &fixture->journal), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    journal_close(fixture->journal);
    close(fixture->memfd);
    free(fixture);
    return 0;
}

static void reopen(struct fixture *fixture)
{
    journal_close(fixture->journal);
    assert_int_equal(journal_open(fixture->memfd, &fixture->journal), 0);
}

/* A record of any length that tells its number at both ends. */
static size_t make_record(uint8_t *record, uint32_t number)
{
    size_t length = 8 + number % 1500;

    memset(record, (int)(number & 0xff), length);
    memcpy(record, &number, sizeof(number));
    memcpy(record + length - 4, &number, sizeof(number));
    return length;
}

static void append(struct journal *journal, uint32_t number)
{
    struct journal_origin origin = {.source = 1, .lane = 2, .generation = 3, .cells = 1, .position = number, .pid = 42};
    uint8_t record[2048];
    size_t length = make_record(record, number);

    assert_int_equal(journal_append(journal, &origin, record, length), 0);
}

static uint32_t entry_number(const struct journal_entry *entry)
{
    uint8_t record[2048];
    uint32_t number;

    memcpy(&number, entry->record, sizeof(number));
    assert_int_equal(entry->length, make_record(record, number));
    assert_memory_equal(entry->record, record, entry->length);
    assert_int_equal(entry->origin.position, number);
    return number;
}

static void test_journal_reads_what_was_added(void **state)
{
    struct fixture *fixture = *state;
    struct journal_entry entry;
    uint64_t position;

    journal_set_consumers(fixture->journal, 1);
    for (uint32_t i = 0; i < 20; i++)
        append(fixture->journal, i);
    assert_int_equal(journal_depth(fixture->journal, 0), 20);
    position = journal_position(fixture->journal, 0);
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(journal_read(fixture->journal, position, &entry), 1);
        assert_int_equal(entry_number(&entry), i);
        assert_int_equal(entry.origin.pid, 42);
        position = entry.next;
    }
    assert_int_equal(journal_read(fixture->journal, position, &entry), 0);
    assert_int_equal(position, journal_end(fixture->journal));
}

static void test_journal_counts_what_is_too_long_as_lost(void **state)
{
    static const uint8_t record[(512 << 10) + 1];
    const struct journal_origin origin = {.source = 1};
    struct fixture *fixture = *state;
    struct fixture large = {0};

    journal_set_consumers(fixture->journal, 2);
    append(fixture->journal, 1);
    assert_int_equal(journal_append(fixture->journal, &origin, record, CAPACITY), -EMSGSIZE);
    assert_int_equal(journal_lost(fixture->journal, 1), 1);
    assert_int_equal(journal_depth(fixture->journal, 1), 1);

    assert_int_equal(journal_create(4 << 20, &large.memfd), 0);
    assert_int_equal(journal_open(large.memfd, &large.journal), 0);
    journal_set_consumers(large.journal, 1);
    assert_int_equal(journal_append(large.journal, &origin, record, sizeof(record)), -EMSGSIZE);
    assert_int_equal(journal_append(large.journal, &origin, record, sizeof(record) - 1), 0);
    reopen(&large);
    assert_int_equal(journal_depth(large.journal, 0), 1);
    journal_close(large.journal);
    close(large.memfd);
}

static void test_journal_keeps_consumers_apart(void **state)
{
    struct fixture *fixture = *state;
    struct journal_entry entry;

    journal_set_consumers(fixture->journal, 2);
    append(fixture->journal, 1);
    append(fixture->journal, 2);
    assert_int_equal(journal_read(fixture->journal, journal_position(fixture->journal, 0), &entry), 1);
    journal_ack(fixture->journal, 0, entry.next);
    assert_int_equal(journal_depth(fixture->journal, 0), 1);
    assert_int_equal(journal_depth(fixture->journal, 1), 2);
    assert_int_equal(journal_done(fixture->journal), journal_position(fixture->journal, 1));
    journal_ack(fixture->journal, 1, UINT64_MAX); /* beyond the end is the end */
    assert_int_equal(journal_depth(fixture->journal, 1), 0);
    assert_int_equal(journal_done(fixture->journal), entry.next);
}

static bool is_even(void *arg, const struct journal_entry *entry)
{
    (void)arg;
    return entry_number(entry) % 2 == 0;
}

static void test_journal_counts_for_a_consumer_what_it_takes(void **state)
{
    struct fixture *fixture = *state;
    struct journal_entry entry;

    journal_set_consumers(fixture->journal, 2);
    for (uint32_t i = 0; i < 5; i++)
        append(fixture->journal, i);
    journal_set_filter(fixture->journal, 1, is_even, NULL);
    assert_int_equal(journal_depth(fixture->journal, 1), 3);
    append(fixture->journal, 5);
    append(fixture->journal, 6);
    assert_int_equal(journal_depth(fixture->journal, 0), 7);
    assert_int_equal(journal_depth(fixture->journal, 1), 4);
    for (uint64_t left = 4; left-- > 2;) { /* over 0 and 1, 2 and 3 */
        for (int i = 0; i < 2; i++) {
            (void)journal_read(fixture->journal, journal_position(fixture->journal, 1), &entry);
            journal_ack(fixture->journal, 1, entry.next);
        }
        assert_int_equal(journal_depth(fixture->journal, 1), left);
    }
    for (uint32_t i = 7; i < 3007; i++)
        append(fixture->journal, i);
    uint64_t lost = journal_lost(fixture->journal, 1);
    assert_true(lost > 500);
    assert_int_equal(lost + journal_depth(fixture->journal, 1), 2 + 1500); /* the even ones from 4 to 3006 */
    journal_ack(fixture->journal, 1, UINT64_MAX);
    assert_int_equal(journal_depth(fixture->journal, 1), 0);
    journal_set_filter(fixture->journal, 1, NULL, NULL);
    append(fixture->journal, 1);
    assert_int_equal(journal_depth(fixture->journal, 1), 1);
}

static void test_journal_counts_what_a_slow_consumer_lost(void **state)
{
    struct fixture *fixture = *state;
    struct journal_entry entry;
    uint32_t last = 0;
    uint64_t position;

    journal_set_consumers(fixture->journal, 2);
    for (uint32_t i = 0; i < 3000; i++) {
        append(fixture->journal, i);
        journal_ack(fixture->journal, 1, journal_end(fixture->journal));
    }
    assert_int_equal(journal_lost(fixture->journal, 1), 0);
    assert_true(journal_lost(fixture->journal, 0) > 2000);
    assert_int_equal(journal_lost(fixture->journal, 0) + journal_depth(fixture->journal, 0), 3000);
    for (position = journal_position(fixture->journal, 0); journal_read(fixture->journal, position, &entry);
         position = entry.next)
        last = entry_number(&entry);
    assert_int_equal(last, 2999);
}

static void test_journal_outlives_its_worker(void **state)
{
    struct fixture *fixture = *state;
    struct journal_entry entry;

    journal_set_consumers(fixture->journal, 1);
    for (uint32_t i = 0; i < 200; i++)
        append(fixture->journal, i);
    assert_int_equal(journal_read(fixture->journal, journal_position(fixture->journal, 0), &entry), 1);
    journal_ack(fixture->journal, 0, entry.next);
    reopen(fixture);
    journal_set_consumers(fixture->journal, 1);
    append(fixture->journal, 200);
    assert_int_equal(journal_depth(fixture->journal, 0) + journal_lost(fixture->journal, 0), 200);
    assert_int_equal(journal_read(fixture->journal, journal_position(fixture->journal, 0), &entry), 1);
}

static void test_journal_gives_memory_back_only_when_all_is_done(void **state)
{
    struct fixture *fixture = *state;
    struct journal_entry entry;

    journal_set_consumers(fixture->journal, 1);
    for (uint32_t i = 0; i < 500; i++)
        append(fixture->journal, i);
    journal_trim(fixture->journal);
    assert_int_equal(journal_read(fixture->journal, journal_position(fixture->journal, 0), &entry), 1);
    journal_ack(fixture->journal, 0, UINT64_MAX);
    journal_trim(fixture->journal);
    assert_int_equal(journal_read(fixture->journal, 0, &entry), 0);
    append(fixture->journal, 7);
    assert_int_equal(journal_depth(fixture->journal, 0), 1);
    assert_int_equal(journal_read(fixture->journal, journal_position(fixture->journal, 0), &entry), 1);
    assert_int_equal(entry_number(&entry), 7);
    reopen(fixture);
    assert_int_equal(journal_depth(fixture->journal, 0), 1);
}

static void test_journal_refuses_what_is_no_journal(void **state)
{
    int memfd = memfd_create("other", MFD_CLOEXEC);
    struct journal *journal;

    (void)state;
    assert_int_equal(journal_open(memfd, &journal), -EBADMSG);
    assert_int_equal(ftruncate(memfd, 4096 + CAPACITY), 0);
    assert_int_equal(journal_open(memfd, &journal), -EBADMSG);
    close(memfd);
}

static void test_journal_refuses_a_broken_entry(void **state)
{
    struct fixture *fixture = *state;
    struct journal *journal;
    uint32_t size = 3;

    append(fixture->journal, 1);
    append(fixture->journal, 2);
    assert_int_equal(pwrite(fixture->memfd, &size, sizeof(size), 4096), sizeof(size));
    assert_int_equal(journal_open(fixture->memfd, &journal), -EBADMSG);
}

/* A worker is killed at any moment while it adds: the next finds whole entries, each number once, none left out. */
static void test_journal_survives_kills(void **state)
{
    struct fixture *fixture = *state;
    unsigned rounds = getenv("SPANSHIM_TEST_FULL") ? 1000 : 100;
    struct journal_entry entry = {0};

    journal_set_consumers(fixture->journal, 1);
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t position = journal_position(fixture->journal, 0);
        uint32_t next = 0;
        pid_t child;

        while (journal_read(fixture->journal, position, &entry)) {
            assert_true(next == 0 || entry_number(&entry) == next);
            next = entry_number(&entry) + 1;
            position = entry.next;
        }
        child = fork();
        if (child == 0)
            for (;;)
                append(fixture->journal, next++);
        usleep((useconds_t)(rand() % 2000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        reopen(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_journal_reads_what_was_added, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_counts_what_is_too_long_as_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_keeps_consumers_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_counts_for_a_consumer_what_it_takes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_counts_what_a_slow_consumer_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_outlives_its_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_gives_memory_back_only_when_all_is_done, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_refuses_what_is_no_journal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_refuses_a_broken_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_survives_kills, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
