/* SPDX-License-Identifier: Apache-2.0 */
/* What a receiver has not accepted goes to the disk, and comes from there. */
#include "tests/support/deliver_fixture.h"

#include "exporters/agent/journal.h"
#include "exporters/agent/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_deliver_spares_the_disk_while_all_is_well(void **state)
{
    char path[128];

    (void)state;
    start();
    append(9);
    deliver_wake(deliver);
    assert_int_equal(count_of("exported", NULL), 9);
    (void)snprintf(path, sizeof(path), "%s/spool.db", folder);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* What was not accepted, and what comes after it: batches go on being made. */
static void test_deliver_puts_on_the_disk_what_can_not_be_sent(void **state)
{
    (void)state;
    fake.answers[0] = (struct exporter_result){.outcome = EXPORTER_RETRY, .retry_after_ms = 50};
    fake.answers[1].outcome = EXPORTER_SENT;
    fake.answer_count = 2;
    start();
    append(3);
    deliver_wake(deliver);
    assert_int_equal(count_of("spooled", NULL), 3);
    append(7);
    deliver_wake(deliver);
    assert_int_equal(count_of("spooled", NULL), 9);
    assert_int_equal(journal_depth(journal, 0), 1);
    assert_false(deliver_is_kept(deliver));
    run_until_sent(5);
    for (unsigned i = 1; i < 5; i++)
        assert_int_equal(fake.first_of_batch[i], 3 * i - 2);
    assert_int_equal(count_of("exported", NULL), 10);
    assert_true(deliver_is_idle(deliver));
}

static void test_deliver_makes_batches_by_the_delay_while_it_backs_off(void **state)
{
    (void)state;
    settings->batches[SIGNAL_TRACES].delay_ms = 20;
    fake.answers[0] = (struct exporter_result){.outcome = EXPORTER_RETRY, .retry_after_ms = 300};
    fake.answers[1].outcome = EXPORTER_SENT;
    fake.answer_count = 2;
    start();
    append(3);
    deliver_wake(deliver);
    append(1);
    deliver_wake(deliver);
    assert_int_equal(journal_depth(journal, 0), 1);
    run_until_sent(3);
    assert_int_equal(fake.batch_sizes[2], 1); /* a payload of its own */
}

static void test_deliver_does_not_wait_in_memory_for_a_slow_answer(void **state)
{
    bool is_over;
    struct loop_timer timer = {.fn = stop_loop, .arg = &is_over};

    (void)state;
    fake.holds_back = true;
    start();
    append(3);
    deliver_wake(deliver);
    assert_int_equal(count_of("spooled", NULL), 0);
    assert_int_equal(loop_timer_set(loop, &timer, 400 * NS_PER_MS), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_int_equal(count_of("spooled", NULL), 3);
    assert_int_equal(journal_depth(journal, 0), 0);
    release();
    assert_int_equal(fake.batch_count, 1); /* not sent again */
    assert_int_equal(count_of("exported", NULL), 3);
    assert_int_equal(count_of("spooled", NULL), 0);
}

static void test_deliver_puts_reports_on_the_disk_first(void **state)
{
    (void)state;
    fake.holds_back = true;
    start();
    report(100);
    assert_int_equal(count_of("spooled", NULL), 1);
    deliver_wake(deliver);
    assert_int_equal(fake.batch_count, 1);
    release();
    assert_int_equal(count_of("exported", NULL), 1);
    assert_true(deliver_is_idle(deliver));
}

static void test_deliver_flush_waits_for_the_disk_too(void **state)
{
    (void)state;
    fake.answers[0] =
        (struct exporter_result){.outcome = EXPORTER_RETRY, .retry_after_ms = FOREVER_MS, .error = "gone"};
    start();
    append(3);
    deliver_wake(deliver);
    append(2);
    flush();
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.last.failed, 5);
    assert_int_equal(count_of("spooled", NULL), 5);
    fake.answers[0].outcome = EXPORTER_SENT;
    fake.holds_back = true;
    flush();
    release();
    append(3); /* after the call: not its business */
    assert_int_equal(flushes.count, 0);
    release();
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.last.exported, 5);
    assert_int_equal(flushes.last.failed, 0);
}

static void test_deliver_keeps_to_the_queue_size_on_the_disk(void **state)
{
    (void)state;
    settings->batches[SIGNAL_TRACES].queue_size = 7;
    fake.answers[0] = (struct exporter_result){.outcome = EXPORTER_RETRY, .retry_after_ms = FOREVER_MS};
    start();
    append(3);
    deliver_wake(deliver);
    append(6);
    deliver_wake(deliver);
    assert_int_equal(count_of("dropped", "queue_full"), 3);
    assert_int_equal(count_of("queued", NULL), 6);
}

static void test_deliver_stows_what_is_left_at_the_end(void **state)
{
    (void)state;
    fake.holds_back = true;
    start();
    append(4);
    deliver_wake(deliver); /* one batch is under way, one span waits */
    deliver_stow(deliver);
    assert_int_equal(count_of("spooled", NULL), 4);
    assert_true(deliver_is_kept(deliver));
    deliver_free(deliver);
    deliver = NULL;
    fake.holds_back = false;
    fake.done = NULL;
    start();
    deliver_wake(deliver);
    assert_int_equal(count_of("exported", NULL), 4);
}

static void test_deliver_goes_on_without_the_disk(void **state)
{
    (void)state;
    assert_int_equal(chmod(folder, 0777), 0); /* it is refused */
    fake.answers[0] = (struct exporter_result){.outcome = EXPORTER_RETRY, .retry_after_ms = 20};
    fake.answers[1].outcome = EXPORTER_SENT;
    fake.answer_count = 2;
    start();
    append(6);
    deliver_wake(deliver);
    report(100);
    assert_int_equal(count_of("spooled", NULL), 0);
    assert_int_equal(count_of("queued", NULL), 7);
    run_until_sent(4);
    assert_int_equal(count_of("exported", NULL), 7);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_spool, tear_down_spool)
    const struct CMUnitTest tests[] = {
        TEST(test_deliver_spares_the_disk_while_all_is_well),
        TEST(test_deliver_puts_on_the_disk_what_can_not_be_sent),
        TEST(test_deliver_makes_batches_by_the_delay_while_it_backs_off),
        TEST(test_deliver_does_not_wait_in_memory_for_a_slow_answer),
        TEST(test_deliver_puts_reports_on_the_disk_first),
        TEST(test_deliver_flush_waits_for_the_disk_too),
        TEST(test_deliver_keeps_to_the_queue_size_on_the_disk),
        TEST(test_deliver_stows_what_is_left_at_the_end),
        TEST(test_deliver_goes_on_without_the_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
