/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/deliver.h"

#include "exporters/agent/journal.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/process.h"
#include "exporters/agent/span.h"
#include "exporters/agent/spool.h"
#include "exporters/encode/buffer.h"
#include "tests/support/sample_request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NS_PER_MS UINT64_C(1000000)

enum { BATCHES_MAX = 30000, DEADLINE_MS = 5000, FOREVER_MS = 60000, GONE = 99 };

/* An exporter that answers as the test says, at once or when the test does. */
static struct {
    struct exporter_result answers[8]; /* in turn; the last one stays */
    size_t answer_count;
    bool holds_back; /* the test answers by release() */
    bool fails_to_open;
    int encode_error;
    exporter_done *done;
    void *arg;
    size_t batch_count;
    size_t batch_sizes[BATCHES_MAX];
    unsigned first_of_batch[BATCHES_MAX]; /* the number put into the span's id */
    uint64_t sent_at_ns[BATCHES_MAX];
    size_t wanted; /* batches after which the loop stops */
} fake;

static struct loop *loop;
static struct journal *journal;
static int journal_fd;
static struct process process;
static struct destinations_host host;
static struct settings *settings;
static struct deliver *deliver;
static struct spool *spool;
static char folder[64];
static unsigned idle_count;
static unsigned appended;

static const struct exporter_result *next_answer(void)
{
    size_t n = fake.batch_count - 1;

    return &fake.answers[n < fake.answer_count ? n : fake.answer_count - 1];
}

static int fake_open(const struct exporter_host *exporter_host, const struct settings *given, void **ret_instance,
                     char error[256])
{
    (void)exporter_host;
    (void)given;
    if (fake.fails_to_open) {
        (void)snprintf(error, 256, "no such place");
        return -ENOENT;
    }
    *ret_instance = &fake;
    return 0;
}

/* A payload: the first span's number, and how many there are; or a report's own number, and 0. */
struct parcel {
    unsigned first, count;
};

static int fake_encode_spans(void *instance, const struct span *const *spans, size_t count, struct buffer *payload)
{
    struct parcel parcel = {.count = (unsigned)count};

    assert_ptr_equal(instance, &fake);
    assert_int_equal(payload->length, 0);
    memcpy(&parcel.first, spans[0]->request->span_id, sizeof(parcel.first));
    return fake.encode_error != 0 ? fake.encode_error : buffer_append(payload, &parcel, sizeof(parcel));
}

static int fake_encode_report(void *instance, const json_t *report, struct buffer *payload)
{
    struct parcel parcel = {.first = (unsigned)json_integer_value(report)};

    assert_ptr_equal(instance, &fake);
    return fake.encode_error != 0 ? fake.encode_error : buffer_append(payload, &parcel, sizeof(parcel));
}

static void fake_send(void *instance, const void *payload, size_t length, exporter_done *done, void *arg)
{
    struct parcel parcel;

    assert_ptr_equal(instance, &fake);
    assert_null(fake.done); /* never two at once */
    assert_true(fake.batch_count < BATCHES_MAX);
    assert_int_equal(length, sizeof(parcel));
    memcpy(&parcel, payload, length);
    fake.first_of_batch[fake.batch_count] = parcel.first;
    fake.sent_at_ns[fake.batch_count] = loop_now_ns(loop);
    fake.batch_sizes[fake.batch_count++] = parcel.count;
    if (fake.batch_count == fake.wanted)
        loop_stop(loop);
    if (fake.holds_back) {
        fake.done = done;
        fake.arg = arg;
    } else {
        done(arg, next_answer());
    }
}

static void release(void)
{
    exporter_done *done = fake.done;

    assert_non_null(done);
    fake.done = NULL;
    done(fake.arg, next_answer());
}

static void fake_close(void *instance)
{
    (void)instance;
}

static void fake_describe(const struct settings *given, char *text, size_t size)
{
    (void)given;
    (void)snprintf(text, size, "nowhere");
}

static const struct exporter exporter_fake = {.name = "fake",
                                              .describe = fake_describe,
                                              .open = fake_open,
                                              .encode_spans = fake_encode_spans,
                                              .encode_report = fake_encode_report,
                                              .send = fake_send,
                                              .close = fake_close};

static struct process *find_process(const struct journal_origin *origin)
{
    return origin->source != GONE ? &process : NULL;
}

static void on_idle(void *arg)
{
    (void)arg;
    idle_count++;
}

static int set_up(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    fake.answers[0].outcome = EXPORTER_SENT;
    fake.answer_count = 1;
    idle_count = appended = 0;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(journal_create(1 << 20, &journal_fd), 0);
    assert_int_equal(journal_open(journal_fd, &journal), 0);
    journal_set_consumers(journal, 1);
    host = (struct destinations_host){.loop = loop, .process_find = find_process};
    settings = settings_new(NULL, 0, NULL);
    settings->batch_delay_ms = FOREVER_MS;
    settings->batch_size = 3;
    return 0;
}

/* All but what delivers. */
static int unset(void **state)
{
    (void)state;
    settings_unref(settings);
    journal_close(journal);
    (void)close(journal_fd);
    loop_free(loop);
    return 0;
}

static int tear_down(void **state)
{
    deliver_free(deliver);
    deliver = NULL;
    return unset(state);
}

static void start(void)
{
    struct deliver_options options = {
        .host = &host, .exporter = &exporter_fake, .settings = settings, .journal = journal, .on_idle = on_idle};

    assert_int_equal(deliver_new(&options, &deliver), 0);
}

/* With a queue on the disk. */
static int set_up_spool(void **state)
{
    if (set_up(state) != 0)
        return -1;
    (void)snprintf(folder, sizeof(folder), "/tmp/spanshim-test.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    spool_set_folder(folder);
    spool = host.spool = spool_new(loop);
    return spool != NULL ? 0 : -1;
}

static int tear_down_spool(void **state)
{
    static const char *const names[] = {"spool.db", "spool.lock"};
    char path[128];

    deliver_free(deliver);
    deliver = NULL;
    spool_free(spool); /* the last to close it: SQLite removes its own files */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder) | unset(state);
}

static void append_from(uint32_t source, unsigned count)
{
    struct {
        struct wire_record header;
        union sample_request sample;
    } record;

    for (unsigned i = 0; i < count; i++) {
        struct journal_origin origin = {.source = source, .position = appended};

        sample_fill(&record.sample.request, ++appended);
        size_t length = sample_size(&record.sample.request);
        record.header = (struct wire_record){.type = WIRE_RECORD_REQUEST, .length = (uint16_t)length};
        assert_int_equal(journal_append(journal, &origin, &record, sizeof(record.header) + length), 0);
    }
}

static void append(unsigned count)
{
    append_from(1, count);
}

static void stop_loop(void *arg)
{
    *(bool *)arg = true;
    loop_stop(loop);
}

/* Until so many batches were sent. */
static void run_until_sent(size_t batches)
{
    bool is_late = false;
    struct loop_timer timer = {.fn = stop_loop, .arg = &is_late};

    if (fake.batch_count >= batches)
        return;
    fake.wanted = batches;
    assert_int_equal(loop_timer_set(loop, &timer, DEADLINE_MS * NS_PER_MS), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_false(is_late);
    loop_timer_clear(loop, &timer);
}

static json_int_t count_of(const char *key, const char *cause)
{
    json_t *status = deliver_status(deliver);
    json_t *value = json_object_get(status, key);

    if (cause != NULL)
        value = json_object_get(value, cause);
    json_int_t count = json_integer_value(value);
    json_decref(status);
    return count;
}

static void assert_state(const char *expected)
{
    json_t *status = deliver_status(deliver);

    assert_string_equal(json_string_value(json_object_get(status, "state")), expected);
    json_decref(status);
}

static struct {
    unsigned count;
    struct destinations_flushed last;
} flushes;

static void on_flushed(void *arg, const struct destinations_flushed *flushed)
{
    flushes.count++;
    flushes.last = *flushed;
    if (arg != NULL)
        loop_stop(loop);
}

static void flush(void)
{
    memset(&flushes, 0, sizeof(flushes));
    deliver_flush(deliver, FOREVER_MS, on_flushed, NULL);
}

static void test_deliver_sends_full_batches_at_once_and_the_rest_after_the_delay(void **state)
{
    (void)state;
    settings->batch_delay_ms = 50;
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

static void test_deliver_backs_off_with_jitter(void **state)
{
    (void)state;
    fake.answers[0].outcome = EXPORTER_RETRY;
    start();
    append(3);
    deliver_wake(deliver);
    run_until_sent(3);
    uint64_t first_ms = (fake.sent_at_ns[1] - fake.sent_at_ns[0]) / NS_PER_MS;
    uint64_t second_ms = (fake.sent_at_ns[2] - fake.sent_at_ns[1]) / NS_PER_MS;
    assert_in_range(first_ms, 700, 1400);
    assert_in_range(second_ms, 1050, 2100);
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
    settings->batch_size = 1;
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
    settings->queue_size = 4;
    settings->batch_size = 4;
    start();
    append(10);
    deliver_wake(deliver);
    assert_int_equal(count_of("dropped", "queue_full"), 6);
    assert_int_equal(fake.first_of_batch[0], 7);
    assert_int_equal(count_of("exported", NULL), 4);
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

static void report(unsigned number)
{
    json_t *json = json_integer(number);

    deliver_report(deliver, json);
    json_decref(json);
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
    settings->batch_delay_ms = 20;
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
    settings->queue_size = 7;
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
#define TEST(name)       cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SPOOL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_spool, tear_down_spool)
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
        TEST(test_deliver_counts_an_overrun_batch_once),
        TEST(test_deliver_without_a_destination_drops_and_says_why),
        TEST(test_deliver_gives_up_what_waits),
        TEST(test_deliver_sends_reports_at_once_and_oldest_first),
        TEST(test_deliver_passes_over_reports_that_are_not_to_be_sent),
        TEST(test_deliver_drops_spans_that_cannot_be_encoded),
        SPOOL_TEST(test_deliver_spares_the_disk_while_all_is_well),
        SPOOL_TEST(test_deliver_puts_on_the_disk_what_can_not_be_sent),
        SPOOL_TEST(test_deliver_makes_batches_by_the_delay_while_it_backs_off),
        SPOOL_TEST(test_deliver_does_not_wait_in_memory_for_a_slow_answer),
        SPOOL_TEST(test_deliver_puts_reports_on_the_disk_first),
        SPOOL_TEST(test_deliver_flush_waits_for_the_disk_too),
        SPOOL_TEST(test_deliver_keeps_to_the_queue_size_on_the_disk),
        SPOOL_TEST(test_deliver_stows_what_is_left_at_the_end),
        SPOOL_TEST(test_deliver_goes_on_without_the_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
