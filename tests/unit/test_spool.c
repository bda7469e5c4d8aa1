/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/spool.h"

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
    struct spool *spool;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_int_equal(spool_create(CAPACITY, &fixture->memfd), 0);
    assert_int_equal(spool_open(fixture->memfd, &fixture->spool), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    spool_close(fixture->spool);
    close(fixture->memfd);
    free(fixture);
    return 0;
}

static void reopen(struct fixture *fixture)
{
    spool_close(fixture->spool);
    assert_int_equal(spool_open(fixture->memfd, &fixture->spool), 0);
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

static void append(struct spool *spool, uint32_t number)
{
    struct spool_origin origin = {.source = 1, .lane = 2, .generation = 3, .cells = 1, .position = number, .pid = 42};
    uint8_t record[2048];
    size_t length = make_record(record, number);

    assert_int_equal(spool_append(spool, &origin, record, length), 0);
}

static uint32_t entry_number(const struct spool_entry *entry)
{
    uint8_t record[2048];
    uint32_t number;

    memcpy(&number, entry->record, sizeof(number));
    assert_int_equal(entry->length, make_record(record, number));
    assert_memory_equal(entry->record, record, entry->length);
    assert_int_equal(entry->origin.position, number);
    return number;
}

static void test_spool_reads_what_was_added(void **state)
{
    struct fixture *fixture = *state;
    struct spool_entry entry;
    uint64_t position;

    spool_set_consumers(fixture->spool, 1);
    for (uint32_t i = 0; i < 20; i++)
        append(fixture->spool, i);
    assert_int_equal(spool_depth(fixture->spool, 0), 20);
    position = spool_position(fixture->spool, 0);
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(spool_read(fixture->spool, position, &entry), 1);
        assert_int_equal(entry_number(&entry), i);
        assert_int_equal(entry.origin.pid, 42);
        position = entry.next;
    }
    assert_int_equal(spool_read(fixture->spool, position, &entry), 0);
    assert_int_equal(position, spool_end(fixture->spool));
}

static void test_spool_keeps_consumers_apart(void **state)
{
    struct fixture *fixture = *state;
    struct spool_entry entry;

    spool_set_consumers(fixture->spool, 2);
    append(fixture->spool, 1);
    append(fixture->spool, 2);
    assert_int_equal(spool_read(fixture->spool, spool_position(fixture->spool, 0), &entry), 1);
    spool_ack(fixture->spool, 0, entry.next);
    assert_int_equal(spool_depth(fixture->spool, 0), 1);
    assert_int_equal(spool_depth(fixture->spool, 1), 2);
    assert_int_equal(spool_done(fixture->spool), spool_position(fixture->spool, 1));
    spool_ack(fixture->spool, 1, UINT64_MAX); /* beyond the end is the end */
    assert_int_equal(spool_depth(fixture->spool, 1), 0);
    assert_int_equal(spool_done(fixture->spool), entry.next);
}

static void test_spool_counts_what_a_slow_consumer_lost(void **state)
{
    struct fixture *fixture = *state;
    struct spool_entry entry;
    uint32_t last = 0;
    uint64_t position;

    spool_set_consumers(fixture->spool, 2);
    for (uint32_t i = 0; i < 3000; i++) {
        append(fixture->spool, i);
        spool_ack(fixture->spool, 1, spool_end(fixture->spool));
    }
    assert_int_equal(spool_lost(fixture->spool, 1), 0);
    assert_true(spool_lost(fixture->spool, 0) > 2000);
    assert_int_equal(spool_lost(fixture->spool, 0) + spool_depth(fixture->spool, 0), 3000);
    for (position = spool_position(fixture->spool, 0); spool_read(fixture->spool, position, &entry);
         position = entry.next)
        last = entry_number(&entry);
    assert_int_equal(last, 2999);
}

static void test_spool_outlives_its_worker(void **state)
{
    struct fixture *fixture = *state;
    struct spool_entry entry;

    spool_set_consumers(fixture->spool, 1);
    for (uint32_t i = 0; i < 200; i++)
        append(fixture->spool, i);
    assert_int_equal(spool_read(fixture->spool, spool_position(fixture->spool, 0), &entry), 1);
    spool_ack(fixture->spool, 0, entry.next);
    reopen(fixture);
    spool_set_consumers(fixture->spool, 1);
    append(fixture->spool, 200);
    assert_int_equal(spool_depth(fixture->spool, 0) + spool_lost(fixture->spool, 0), 200);
    assert_int_equal(spool_read(fixture->spool, spool_position(fixture->spool, 0), &entry), 1);
}

static void test_spool_gives_memory_back_only_when_all_is_done(void **state)
{
    struct fixture *fixture = *state;
    struct spool_entry entry;

    spool_set_consumers(fixture->spool, 1);
    for (uint32_t i = 0; i < 500; i++)
        append(fixture->spool, i);
    spool_trim(fixture->spool);
    assert_int_equal(spool_read(fixture->spool, spool_position(fixture->spool, 0), &entry), 1);
    spool_ack(fixture->spool, 0, UINT64_MAX);
    spool_trim(fixture->spool);
    assert_int_equal(spool_read(fixture->spool, 0, &entry), 0);
    append(fixture->spool, 7);
    assert_int_equal(spool_depth(fixture->spool, 0), 1);
    assert_int_equal(spool_read(fixture->spool, spool_position(fixture->spool, 0), &entry), 1);
    assert_int_equal(entry_number(&entry), 7);
    reopen(fixture);
    assert_int_equal(spool_depth(fixture->spool, 0), 1);
}

static void test_spool_refuses_what_is_no_journal(void **state)
{
    int memfd = memfd_create("other", MFD_CLOEXEC);
    struct spool *spool;

    (void)state;
    assert_int_equal(spool_open(memfd, &spool), -EBADMSG);
    assert_int_equal(ftruncate(memfd, 4096 + CAPACITY), 0);
    assert_int_equal(spool_open(memfd, &spool), -EBADMSG);
    close(memfd);
}

static void test_spool_refuses_a_broken_entry(void **state)
{
    struct fixture *fixture = *state;
    struct spool *spool;
    uint32_t size = 3;

    append(fixture->spool, 1);
    append(fixture->spool, 2);
    assert_int_equal(pwrite(fixture->memfd, &size, sizeof(size), 4096), sizeof(size));
    assert_int_equal(spool_open(fixture->memfd, &spool), -EBADMSG);
}

/* A worker is killed at any moment while it adds: the next finds whole entries, each number once, none left out. */
static void test_spool_survives_kills(void **state)
{
    struct fixture *fixture = *state;
    unsigned rounds = getenv("SPANSHIM_TEST_FULL") ? 1000 : 100;
    struct spool_entry entry = {0};

    spool_set_consumers(fixture->spool, 1);
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t position = spool_position(fixture->spool, 0);
        uint32_t next = 0;
        pid_t child;

        while (spool_read(fixture->spool, position, &entry)) {
            assert_true(next == 0 || entry_number(&entry) == next);
            next = entry_number(&entry) + 1;
            position = entry.next;
        }
        child = fork();
        if (child == 0)
            for (;;)
                append(fixture->spool, next++);
        usleep((useconds_t)(rand() % 2000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        reopen(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_spool_reads_what_was_added, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool_keeps_consumers_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool_counts_what_a_slow_consumer_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool_outlives_its_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool_gives_memory_back_only_when_all_is_done, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool_refuses_what_is_no_journal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool_refuses_a_broken_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool_survives_kills, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
