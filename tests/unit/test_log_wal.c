/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_wal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAGE = 4096, DONE = 24 };

struct fixture {
    int memfd;
    struct log_wal *wal;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_int_equal(log_wal_create(&fixture->memfd), 0);
    assert_int_equal(log_wal_open(fixture->memfd, &fixture->wal), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    log_wal_close(fixture->wal);
    close(fixture->memfd);
    free(fixture);
    return 0;
}

static struct log_wal_entry entry_of(const char *text)
{
    return (struct log_wal_entry){.kind = LOG_WAL_PIECE,
                                  .origin = {.source = 7, .lane = 3, .position = 11, .cells = 2},
                                  .now_ns = 5,
                                  .journal_end = 9,
                                  .bytes = text,
                                  .length = strlen(text)};
}

static void append(struct fixture *fixture, const char *text)
{
    const struct log_wal_entry entry = entry_of(text);

    log_wal_append(fixture->wal, &entry);
}

/* The next entry has this text. */
static void assert_next(struct fixture *fixture, size_t *position, const char *text, bool expect_done)
{
    struct log_wal_entry entry;
    bool is_done;

    assert_true(log_wal_read(fixture->wal, position, &entry, &is_done));
    assert_int_equal(entry.kind, LOG_WAL_PIECE);
    assert_int_equal(entry.length, strlen(text));
    assert_memory_equal(entry.bytes, text, entry.length);
    assert_int_equal(entry.origin.source, 7);
    assert_int_equal(entry.origin.position, 11);
    assert_int_equal(entry.now_ns, 5);
    assert_int_equal(entry.journal_end, 9);
    assert_int_equal(is_done, expect_done);
}

static void assert_end(struct fixture *fixture, size_t position)
{
    struct log_wal_entry entry;
    bool is_done;

    assert_false(log_wal_read(fixture->wal, &position, &entry, &is_done));
}

static void reopen(struct fixture *fixture)
{
    log_wal_close(fixture->wal);
    fixture->wal = NULL;
    assert_int_equal(log_wal_open(fixture->memfd, &fixture->wal), 0);
}

static void test_log_wal_is_read_by_the_next(void **state)
{
    struct fixture *fixture = *state;
    size_t position = 0;

    append(fixture, "one");
    log_wal_done(fixture->wal);
    append(fixture, "");
    append(fixture, "three");
    reopen(fixture);
    assert_next(fixture, &position, "one", true);
    assert_next(fixture, &position, "", false);
    assert_next(fixture, &position, "three", false);
    assert_end(fixture, position);
}

/* Killed before its end, a save has not been. */
static void test_log_wal_begins_anew_with_a_save(void **state)
{
    struct fixture *fixture = *state;
    const struct log_wal_entry saved = entry_of("saved");
    size_t position = 0;

    append(fixture, "one");
    log_wal_done(fixture->wal);
    log_wal_save_begin(fixture->wal);
    log_wal_save(fixture->wal, &saved);
    reopen(fixture);
    assert_next(fixture, &position, "one", true);
    assert_end(fixture, position);

    log_wal_save_begin(fixture->wal);
    log_wal_save(fixture->wal, &saved);
    log_wal_save_end(fixture->wal);
    append(fixture, "two");
    reopen(fixture);
    position = 0;
    assert_next(fixture, &position, "saved", true);
    assert_next(fixture, &position, "two", false);
    assert_end(fixture, position);
}

/* However much was saved, as much again has room; and memory of what was much goes back. */
static void test_log_wal_is_full_by_and_by(void **state)
{
    struct fixture *fixture = *state;
    char *text = calloc(1, 256 << 10);
    const struct log_wal_entry saved = {.kind = LOG_WAL_WRITER, .bytes = text, .length = 256 << 10};
    unsigned count = 0;
    struct stat status;

    assert_non_null(text);
    while (!log_wal_is_full(fixture->wal, 100)) {
        append(fixture, "a line");
        count++;
    }
    assert_in_range(count, 500, 5000);
    log_wal_done(fixture->wal);
    log_wal_save_begin(fixture->wal);
    for (size_t length = 0; length + saved.length + 64 <= LOG_WAL_SAVED_MAX; length += saved.length + 64)
        log_wal_save(fixture->wal, &saved);
    log_wal_save_end(fixture->wal);
    for (count = 0; !log_wal_is_full(fixture->wal, 256 << 10); count++)
        log_wal_append(fixture->wal, &saved);
    assert_in_range(count, 10, 30);
    log_wal_done(fixture->wal);
    log_wal_save_begin(fixture->wal);
    log_wal_save_end(fixture->wal);
    assert_int_equal(fstat(fixture->memfd, &status), 0);
    assert_true(status.st_blocks * 512 < 1 << 20);
    free(text);
}

/* The header's word says that there is more than there can be, or an entry that there isn't. */
static void test_log_wal_that_makes_no_sense_is_refused(void **state)
{
    static const struct {
        off_t offset;
        uint64_t word;
    } cases[] = {{0, 0},          {4, 2},           {8, 2},
                 {16, 8},         {16, UINT64_MAX}, {16, 1 << 30},
                 {DONE, 8},       {PAGE, 0},        {PAGE, UINT64_MAX},
                 {PAGE, 1 << 20}, {PAGE + 4, 200}};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct log_wal *wal;
        uint64_t before;

        append(fixture, "one");
        assert_int_equal(pread(fixture->memfd, &before, sizeof(before), cases[i].offset), sizeof(before));
        assert_int_equal(pwrite(fixture->memfd, &cases[i].word, sizeof(before), cases[i].offset), sizeof(before));
        assert_int_equal(log_wal_open(fixture->memfd, &wal), -EBADMSG);
        assert_int_equal(pwrite(fixture->memfd, &before, sizeof(before), cases[i].offset), sizeof(before));
        assert_int_equal(log_wal_open(fixture->memfd, &wal), 0);
        log_wal_close(wal);
    }
    assert_int_equal(log_wal_open(STDIN_FILENO, &(struct log_wal *){NULL}), -EBADMSG);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_log_wal_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(is_read_by_the_next),
        TEST(begins_anew_with_a_save),
        TEST(is_full_by_and_by),
        TEST(that_makes_no_sense_is_refused),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
