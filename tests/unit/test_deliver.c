/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/deliver_state.h"

#include "tests/support/deliver_fixture.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_deliver_sends_full_batches_at_once_and_the_rest_after_the_delay(void **state)
{
    (void)state;
    settings->batches[SIGNAL_TRACES].delay_ms = 50;
    start();
    append(7);
    uint64_t start_ns = loop_now_ns(loop);
    deliver_wake(deliver);
    assert_int_equal(fake.batch_count, 2);
    assert_state("waiting");
    run_until_sent(3);
    assert_int_equal(fake.batch_sizes[0], 3);
    assert_int_equal(fake.batch_sizes[2], 1);
    assert_int_equal(fake.first_of_batch[2], 7);
    assert_true(fake.sent_at_ns[2] - start_ns >= 50 * NS_PER_MS);
    assert_true(deliver_is_idle(deliver));
    assert_int_equal(idle_count, 1);
    assert_int_equal(count_of("exported", NULL), 7);
    assert_int_equal(journal_depth(journal, 0), 0);
}

static void test_deliver_sends_one_batch_at_a_time(void **state)
{
    (void)state;
    fake.holds_back = true;
    start();
    append(3);
    deliver_wake(deliver);
    append(3);
    deliver_wake(deliver);
    assert_int_equal(fake.batch_count, 1);
    assert_state("sending");
    assert_int_equal(journal_depth(journal, 0), 6); /* not given up before it is accepted */
    release();
    assert_int_equal(fake.batch_count, 2);
    release();
    assert_true(deliver_is_idle(deliver));
}

static bool is_failing(void)
{
    json_t *status = deliver_status(deliver);
    bool failing = json_is_true(json_object_get(status, "failing"));

    json_decref(status);
    return failing;
}

static void test_deliver_comes_again_when_the_receiver_says(void **state)
{
    (void)state;
    fake.answers[0] = (struct exporter_result){.outcome = EXPORTER_RETRY, .retry_after_ms = 80, .error = "429"};
    fake.answers[1].outcome = EXPORTER_SENT;
    fake.answer_count = 2;
    start();
    append(3);
    deliver_wake(deliver);
    assert_state("retrying");
    assert_true(is_failing());
    append(3);
    deliver_wake(deliver); /* new spans don't shorten the wait */
    assert_int_equal(fake.batch_count, 1);
    run_until_sent(3);
    assert_true(fake.sent_at_ns[1] - fake.sent_at_ns[0] >= 80 * NS_PER_MS);
    assert_int_equal(fake.first_of_batch[1], 1);
    assert_int_equal(fake.first_of_batch[2], 4);
    assert_false(is_failing());
    assert_int_equal(count_of("retries", NULL), 1);
    assert_int_equal(count_of("exported", NULL), 6);
}

/* The next attempt was put off by so long, at some time after the last one was sent. */
static void assert_put_off_ms(uint64_t least, uint64_t most)
{
    uint64_t due_ns = deliver->timer.deadline_ns;

    assert_true(due_ns >= fake.sent_at_ns[fake.batch_count - 1] + least * NS_PER_MS);
    assert_true(due_ns <= clock_now_ns(CLOCK_MONOTONIC) + most * NS_PER_MS);
}

static void test_deliver_backs_off_with_jitter(void **state)
{
    (void)state;
    fake.answers[0].outcome = EXPORTER_RETRY;
    start();
    append(3);
    deliver_wake(deliver);
    assert_put_off_ms(700, 1300);
    run_until_sent(2);
    assert_put_off_ms(1050, 1950);
}

static void test_deliver_drops_what_is_refused_and_goes_on(void **state)
{
    (void)state;
    fake.answers[0] = (struct exporter_result){.outcome = EXPORTER_DROP, .error = "401: the header is empty"};
    fake.answers[1] = (struct exporter_result){.outcome = EXPORTER_SENT, .rejected_count = 2, .error = "too old"};
    fake.answer_count = 2;
    start();
    append(6);
    deliver_wake(deliver);
    assert_int_equal(fake.batch_count, 2);
    assert_int_equal(count_of("dropped", "refused"), 3);
    assert_int_equal(count_of("dropped", "rejected"), 2);
    assert_int_equal(count_of("exported", NULL), 1);
    assert_true(deliver_is_idle(deliver));
}

static void test_deliver_counts_what_it_cannot_read(void **state)
{
    (void)state;
    start();
    append(1);
    append_from(GONE, 2);
    append(2);
    deliver_wake(deliver);
    assert_int_equal(count_of("dropped", "unreadable"), 2);
    assert_int_equal(count_of("exported", NULL), 3);
    append_from(GONE, 3);
    deliver_wake(deliver);
    assert_int_equal(count_of("dropped", "unreadable"), 5);
    assert_true(deliver_is_idle(deliver));
}

static void test_deliver_answers_at_once_without_a_deep_stack(void **state)
{
    (void)state;
    settings->batches[SIGNAL_TRACES].size = 1;
    start();
    append(2000);
    deliver_wake(deliver);
    assert_int_equal(fake.batch_count, 2000);
    assert_int_equal(count_of("exported", NULL), 2000);
}

static void test_deliver_flush_sends_now(void **state)
{
    (void)state;
    start();
    flush();
    assert_int_equal(flushes.count, 1); /* nothing to do */
    append(2);
    deliver_wake(deliver);
    assert_int_equal(fake.batch_count, 0);
    fake.holds_back = true;
    flush();
    assert_int_equal(fake.batch_count, 1);
    append(1); /* after the call: not its business */
    assert_int_equal(flushes.count, 0);
    release();
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.last.exported, 2);
    assert_int_equal(flushes.last.failed, 0);
    assert_string_equal(flushes.last.error, "");
}

static void test_deliver_flush_tries_once_though_backing_off(void **state)
{
    (void)state;
    fake.answers[0] =
        (struct exporter_result){.outcome = EXPORTER_RETRY, .retry_after_ms = FOREVER_MS, .error = "nothing listens"};
    start();
    append(3);
    deliver_wake(deliver);
    assert_state("retrying");
    append(1);
    flush();
    assert_int_equal(fake.batch_count, 2);
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.last.exported, 0);
    assert_int_equal(flushes.last.failed, 4);
    assert_string_equal(flushes.last.error, "nothing listens");
    assert_state("retrying");
    assert_int_equal(journal_depth(journal, 0), 4);
}

static void test_deliver_flush_has_an_attempt_of_its_own(void **state)
{
    (void)state;
    fake.holds_back = true;
    fake.answers[0] = (struct exporter_result){.outcome = EXPORTER_RETRY, .retry_after_ms = FOREVER_MS};
    fake.answers[1].outcome = EXPORTER_SENT;
    fake.answer_count = 2;
    start();
    append(3);
    deliver_wake(deliver);
    flush(); /* while one is under way that will fail */
    release();
    assert_int_equal(flushes.count, 0);
    assert_int_equal(fake.batch_count, 2);
    release();
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.last.exported, 3);
}

static void test_deliver_flush_ends_in_time(void **state)
{
    (void)state;
    fake.holds_back = true;
    start();
    append(3);
    memset(&flushes, 0, sizeof(flushes));
    deliver_flush(deliver, 30, on_flushed, &flushes);
    assert_int_equal(loop_run(loop), 0);
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.last.failed, 3);
    assert_string_not_equal(flushes.last.error, "");
    release();
    assert_int_equal(flushes.count, 1);
    assert_true(deliver_is_idle(deliver));
}

static void test_deliver_flush_reports_what_was_refused(void **state)
{
    (void)state;
    fake.answers[0] = (struct exporter_result){.outcome = EXPORTER_DROP, .error = "404"};
    start();
    append(4);
    flush();
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.last.failed, 4);
    assert_string_equal(flushes.last.error, "404");
}

static void test_deliver_freed_with_a_flush_ends_it(void **state)
{
    (void)state;
    fake.holds_back = true;
    start();
    append(3);
    flush();
    deliver_free(deliver);
    deliver = NULL;
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.last.failed, 3);
    assert_int_equal(journal_depth(journal, 0), 3); /* for the next worker */
}

static void test_deliver_keeps_to_the_queue_size(void **state)
{
    (void)state;
    settings->batches[SIGNAL_TRACES].queue_size = 4;
    settings->batches[SIGNAL_TRACES].size = 4;
    start();
    append(10);
    deliver_wake(deliver);
    assert_int_equal(count_of("dropped", "queue_full"), 6);
    assert_int_equal(fake.first_of_batch[0], 7);
    assert_int_equal(count_of("exported", NULL), 4);
}

/* What is for other exporters fills no batch, waits for nothing, and is no loss of this one's. */
static void test_deliver_counts_its_own_only(void **state)
{
    (void)state;
    settings->batches[SIGNAL_TRACES].queue_size = 6;
    fake.answers[0] = (struct exporter_result){.outcome = EXPORTER_RETRY, .retry_after_ms = FOREVER_MS};
    start();
    append_for_others(100);
    deliver_wake(deliver);
    assert_true(deliver_is_idle(deliver));
    assert_int_equal(journal_done(journal), journal_end(journal));
    append(2);
    append_for_others(100);
    deliver_wake(deliver);
    assert_int_equal(fake.batch_count, 0);
    assert_int_equal(count_of("queued", NULL), 2);
    append(1);
    deliver_wake(deliver);
    assert_int_equal(fake.batch_count, 1);
    assert_int_equal(fake.batch_sizes[0], 3);
    append_for_others(100);
    append(5);
    append_for_others(100);
    deliver_wake(deliver);
    assert_int_equal(count_of("queued", NULL), 6);
    assert_int_equal(count_of("dropped", "queue_full"), 2);
    deliver_give_up(deliver);
    assert_int_equal(count_of("dropped", "given_up"), 6);
    append_for_others(8000); /* more than the journal holds */
    assert_int_equal(count_of("dropped", "queue_full"), 2);
}

static void test_deliver_flush_ends_before_what_is_for_others(void **state)
{
    (void)state;
    fake.holds_back = true;
    start();
    append(3);
    append_for_others(5);
    flush();
    assert_int_equal(flushes.count, 0);
    release();
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.last.exported, 3);
    append_for_others(5);
    flush();
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.last.failed, 0);
}

/* The journal overruns a batch that is under way: no span may be counted twice, none not at all. */
static void test_deliver_counts_an_overrun_batch_once(void **state)
{
    static const enum exporter_outcome outcomes[] = {EXPORTER_SENT, EXPORTER_DROP, EXPORTER_RETRY};

    for (size_t i = 0; i < 3; i++) {
        fake.holds_back = true;
        fake.answers[0] = (struct exporter_result){.outcome = outcomes[i], .retry_after_ms = 1};
        fake.answers[1].outcome = EXPORTER_SENT;
        fake.answer_count = 2;
        start();
        append(3);
        deliver_wake(deliver);
        append(8000); /* more than the journal holds */
        fake.holds_back = false;
        release();
        flush();
        assert_int_equal(flushes.count, 1);
        assert_true(deliver_is_idle(deliver));
        json_int_t total =
            count_of("exported", NULL) + count_of("dropped", "queue_full") + count_of("dropped", "refused");
        assert_int_equal(total, 8003);
        assert_true(count_of("dropped", "queue_full") > 1000);
        tear_down(state);
        set_up(state);
    }
    start();
}

static void test_deliver_without_a_destination_drops_and_says_why(void **state)
{
    (void)state;
    fake.fails_to_open = true;
    start();
    append(5);
    deliver_wake(deliver);
    assert_int_equal(fake.batch_count, 0);
    assert_int_equal(count_of("dropped", "refused"), 5);
    assert_state("unusable");
    json_t *status = deliver_status(deliver);
    assert_string_equal(json_string_value(json_object_get(status, "last_error")), "no such place");
    json_decref(status);
    append(1);
    flush();
    assert_int_equal(flushes.last.failed, 1);
}

static void test_deliver_gives_up_what_waits(void **state)
{
    (void)state;
    fake.answers[0] = (struct exporter_result){.outcome = EXPORTER_RETRY, .retry_after_ms = FOREVER_MS};
    start();
    append(3);
    deliver_wake(deliver);
    deliver_give_up(deliver);
    assert_true(deliver_is_idle(deliver));
    assert_int_equal(count_of("dropped", "given_up"), 3);
}

static void test_deliver_sends_reports_at_once_and_oldest_first(void **state)
{
    (void)state;
    fake.holds_back = true;
    start();
    append(1);
    report(100);
    report(101);
    deliver_wake(deliver);
    assert_int_equal(fake.batch_count, 1);
    release();
    assert_int_equal(fake.batch_count, 2);
    release();
    assert_int_equal(fake.batch_count, 2); /* the span waits for its delay */
    assert_int_equal(fake.first_of_batch[0], 100);
    assert_int_equal(fake.first_of_batch[1], 101);
    assert_int_equal(count_of("exported", NULL), 2);
    assert_int_equal(journal_depth(journal, 0), 1);
}

static void test_deliver_passes_over_reports_that_are_not_to_be_sent(void **state)
{
    (void)state;
    start();
    fake.encode_error = -ECANCELED;
    report(1);
    assert_int_equal(count_of("dropped", "refused"), 0);
    fake.encode_error = -EINVAL;
    report(1);
    assert_int_equal(count_of("dropped", "refused"), 1);
    deliver_wake(deliver);
    assert_int_equal(fake.batch_count, 0);
}

static void test_deliver_drops_spans_that_cannot_be_encoded(void **state)
{
    (void)state;
    start();
    append(3);
    fake.encode_error = -EFBIG;
    deliver_wake(deliver);
    assert_int_equal(count_of("dropped", "refused"), 3);
    append(3);
    fake.encode_error = -ENOMEM;
    deliver_wake(deliver);
    assert_state("retrying");
    assert_int_equal(journal_depth(journal, 0), 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_deliver_sends_full_batches_at_once_and_the_rest_after_the_delay),
        TEST(test_deliver_sends_one_batch_at_a_time),
        TEST(test_deliver_comes_again_when_the_receiver_says),
        TEST(test_deliver_backs_off_with_jitter),
        TEST(test_deliver_drops_what_is_refused_and_goes_on),
        TEST(test_deliver_counts_what_it_cannot_read),
        TEST(test_deliver_answers_at_once_without_a_deep_stack),
        TEST(test_deliver_flush_sends_now),
        TEST(test_deliver_flush_tries_once_though_backing_off),
        TEST(test_deliver_flush_has_an_attempt_of_its_own),
        TEST(test_deliver_flush_ends_in_time),
        TEST(test_deliver_flush_reports_what_was_refused),
        TEST(test_deliver_freed_with_a_flush_ends_it),
        TEST(test_deliver_keeps_to_the_queue_size),
        TEST(test_deliver_counts_its_own_only),
        TEST(test_deliver_flush_ends_before_what_is_for_others),
        TEST(test_deliver_counts_an_overrun_batch_once),
        TEST(test_deliver_without_a_destination_drops_and_says_why),
        TEST(test_deliver_gives_up_what_waits),
        TEST(test_deliver_sends_reports_at_once_and_oldest_first),
        TEST(test_deliver_passes_over_reports_that_are_not_to_be_sent),
        TEST(test_deliver_drops_spans_that_cannot_be_encoded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
