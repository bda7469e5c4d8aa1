/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/deliver.h"

#include "exporters/agent/batch.h"
#include "exporters/agent/flushes.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/outbox.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)

enum {
    SLOW_MS = 250, /* an answer that takes longer is not waited for in memory */
    REREAD_MS = 1000,
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 30000,
    LOG_BURST = 5,
    LOG_INTERVAL_S = 60
};

enum state {
    IDLE,        /* nothing is sent; perhaps a batch grows until it is full or its delay is over */
    SENDING,     /* one is under way */
    BACKING_OFF, /* the last attempt failed; the timer says when to come again */
};

/* Why spans did not arrive, besides the journal's and the spool's own losses. */
enum drop { DROP_QUEUE_FULL, DROP_REJECTED, DROP_REFUSED, DROP_UNREADABLE, DROP_GIVEN_UP, DROP_LIMITED, DROP_COUNT };

struct deliver {
    struct deliver_options options;
    struct exporter_host exporter_host;
    void *instance;       /* NULL: could not be opened */
    struct outbox outbox; /* older than what is in the journal */
    enum state state;
    struct loop_timer timer;       /* of the attempt: until it is slow, or until the next */
    struct loop_timer batch_timer; /* of the spans in the journal */
    bool is_late;                  /* their delay is over */
    uint32_t backoff_ms;
    struct flushes flushes;
    /* What is under way, or was last. */
    struct {
        enum { FROM_JOURNAL, FROM_OUTBOX } from;
        uint64_t count;
        /* Of a batch from the journal. */
        uint64_t start, end;
        uint64_t unreadable;
        uint64_t lost; /* the journal's losses when it was taken */
    } current;
    struct buffer payload;
    bool is_in_send;
    bool has_result; /* the exporter answered within send() */
    struct exporter_result result;
    /* Counts since the start. */
    uint64_t exported;
    uint64_t dropped[DROP_COUNT];
    uint64_t saved; /* counted as lost by the journal while they were being sent, and accepted then */
    uint64_t retries;
    char last_error[256];
    time_t last_error_time;
    bool is_failing;
    struct log_limit log_limit;
};

/* What is encoded for the disk while something else is under way. Loop thread only; one will do for all queues. */
static struct buffer scratch;

static void proceed(struct deliver *deliver);

static uint64_t journal_losses(const struct deliver *deliver)
{
    return journal_lost(deliver->options.journal, deliver->options.consumer) - deliver->saved;
}

/* What the bounds of all queues took. */
static uint64_t overflow_count(const struct deliver *deliver)
{
    return journal_losses(deliver) + deliver->dropped[DROP_QUEUE_FULL] + outbox_full_count(&deliver->outbox);
}

static uint64_t dropped_total(const struct deliver *deliver)
{
    uint64_t total = overflow_count(deliver) + outbox_expired_count(&deliver->outbox);

    for (size_t i = DROP_QUEUE_FULL + 1; i < DROP_COUNT; i++)
        total += deliver->dropped[i];
    return total;
}

static uint64_t journal_count(const struct deliver *deliver)
{
    return journal_depth(deliver->options.journal, deliver->options.consumer);
}

static uint64_t waiting_count(const struct deliver *deliver)
{
    return journal_count(deliver) + outbox_count(&deliver->outbox);
}

static uint64_t position(const struct deliver *deliver)
{
    return journal_position(deliver->options.journal, deliver->options.consumer);
}

static void skip_to(struct deliver *deliver, uint64_t end)
{
    journal_ack(deliver->options.journal, deliver->options.consumer, end);
}

static void set_timer(struct deliver *deliver, uint64_t delay_ms)
{
    /* Without memory for the timer the next wake-up or flush goes on. */
    (void)loop_timer_set(deliver->options.host->loop, &deliver->timer, delay_ms * NS_PER_MS);
}

static uint32_t delay_ms(const struct deliver *deliver)
{
    uint32_t own = deliver->options.exporter->max_delay_ms;
    uint32_t set = deliver->options.settings->batch_delay_ms;

    return own != 0 && own < set ? own : set;
}

static size_t batch_size(const struct deliver *deliver)
{
    uint32_t size = deliver->options.settings->batch_size;

    return size < BATCH_MAX ? size : BATCH_MAX;
}

static bool takes_spans(const struct deliver *deliver)
{
    const struct exporter *exporter = deliver->options.exporter;

    return exporter->encode_spans != NULL || exporter->send_spans != NULL;
}

/* what flushes ask */

static bool is_reached(void *arg, const struct flushes_mark *mark)
{
    const struct deliver *deliver = arg;

    return position(deliver) >= mark->position && outbox_is_past(&deliver->outbox, mark->id);
}

static struct flushes_counts count_for_flush(void *arg)
{
    const struct deliver *deliver = arg;

    return (struct flushes_counts){.exported = deliver->exported,
                                   .dropped = dropped_total(deliver),
                                   .waiting = waiting_count(deliver),
                                   .error = deliver->last_error};
}

static void hand_out(void *arg)
{
    const struct deliver *deliver = arg;

    if (deliver->options.exporter->flush != NULL && deliver->instance != NULL)
        deliver->options.exporter->flush(deliver->instance);
}

/* what is done with */

static void note_error(struct deliver *deliver, const char *error)
{
    if (error[0] == '\0') /* the same as before, as the exporter knows */
        return;
    utf8_copy(error, deliver->last_error, sizeof(deliver->last_error));
    deliver->last_error_time = time(NULL);
    if (log_limit_pass(&deliver->log_limit, loop_now_ns(deliver->options.host->loop)))
        log_line(LOG_LEVEL_WARN, "%s: %s", deliver->options.exporter->name, deliver->last_error);
}

/* A batch of the journal's is on the disk, or done with. */
static void leave_journal(struct deliver *deliver)
{
    uint64_t lost = journal_lost(deliver->options.journal, deliver->options.consumer) - deliver->current.lost;

    deliver->saved += lost < deliver->current.count ? lost : deliver->current.count;
    deliver->dropped[DROP_UNREADABLE] += deliver->current.unreadable;
    skip_to(deliver, deliver->current.end);
}

/* What was under way is done with, accepted or not. */
static void take_off(struct deliver *deliver)
{
    if (deliver->current.from == FROM_JOURNAL)
        leave_journal(deliver);
    else
        outbox_done(&deliver->outbox);
}

static void drop_batch(struct deliver *deliver, const struct batch *batch, int error)
{
    char text[96];

    deliver->dropped[DROP_REFUSED] += batch->count;
    deliver->dropped[DROP_UNREADABLE] += batch->unreadable_count;
    skip_to(deliver, batch->end);
    (void)snprintf(text, sizeof(text), "the batch can't be encoded: %s", strerror(-error));
    note_error(deliver, text);
}

/* All that is in memory alone. */
static void drop_all(struct deliver *deliver, enum drop cause)
{
    deliver->dropped[cause] += journal_count(deliver) + outbox_drop_memory(&deliver->outbox);
    skip_to(deliver, journal_end(deliver->options.journal));
}

/* OTEL_BSP_MAX_QUEUE_SIZE, where it is set: the oldest go. */
static void trim_queue(struct deliver *deliver)
{
    uint64_t most = deliver->options.settings->queue_size;
    struct journal_entry entry;

    if (most == 0)
        return;
    while (waiting_count(deliver) > most && !outbox_is_empty(&deliver->outbox))
        if (!outbox_drop_oldest(&deliver->outbox))
            return; /* it is under way */
    for (uint64_t count = journal_count(deliver);
         count > most && journal_read(deliver->options.journal, position(deliver), &entry) > 0; count--) {
        deliver->dropped[DROP_QUEUE_FULL]++;
        skip_to(deliver, entry.next);
    }
}

/* the disk */

static bool has_disk(const struct deliver *deliver)
{
    return deliver->options.exporter->encode_spans != NULL && outbox_has_disk(&deliver->outbox);
}

/* The journal's batch that is under way is put on the disk, for its answer takes time. */
static void put_current(struct deliver *deliver)
{
    int64_t id;

    if (deliver->current.from != FROM_JOURNAL || deliver->payload.length == 0 || !has_disk(deliver) ||
        outbox_put_spans(&deliver->outbox, deliver->current.count, &deliver->payload, &id) < 0)
        return;
    flushes_lead(&deliver->flushes, deliver->current.start, id);
    leave_journal(deliver);
    deliver->current.from = FROM_OUTBOX;
    outbox_hold(&deliver->outbox, id, deliver->current.count, deliver->payload.length);
}

/* Does the journal's next batch go to the disk, as others are before it? */
static bool is_stowing(const struct deliver *deliver)
{
    bool is_direct = deliver->state == SENDING && deliver->current.from == FROM_JOURNAL;

    return (deliver->state != IDLE || !outbox_is_empty(&deliver->outbox)) && !is_direct && has_disk(deliver);
}

/* The next batch, encoded, to the disk. False: it stays in the journal. */
static bool stow_batch(struct deliver *deliver)
{
    uint64_t start = position(deliver);
    struct batch batch;
    int64_t id;
    int error = 0;

    batch_take(deliver->options.host, deliver->options.journal, start, batch_size(deliver), &batch);
    scratch.length = 0;
    if (batch.count > 0)
        error = deliver->options.exporter->encode_spans(deliver->instance, batch.spans, batch.count, &scratch);
    if (error < 0 && error != -ENOMEM) {
        drop_batch(deliver, &batch, error);
        return true;
    }
    if (error == 0 && batch.count > 0) {
        error = outbox_put_spans(&deliver->outbox, batch.count, &scratch, &id);
        if (error == 0)
            flushes_lead(&deliver->flushes, start, id);
    }
    if (error < 0)
        return false;
    deliver->dropped[DROP_UNREADABLE] += batch.unreadable_count;
    skip_to(deliver, batch.end);
    deliver->is_late = false;
    return true;
}

/* answers */

/* x1.5 each time, with enough jitter that agents that failed together don't come back together. */
static uint32_t next_backoff_ms(struct deliver *deliver)
{
    uint32_t base = deliver->backoff_ms != 0 ? deliver->backoff_ms : BACKOFF_FIRST_MS;
    uint32_t random = 0;

    (void)getrandom(&random, sizeof(random), GRND_NONBLOCK);
    deliver->backoff_ms = base + base / 2 < BACKOFF_MAX_MS ? base + base / 2 : BACKOFF_MAX_MS;
    return base - base * 3 / 10 + (uint32_t)((uint64_t)random * (base * 6 / 10) >> 32);
}

static void finish_accepted(struct deliver *deliver, const struct exporter_result *result)
{
    uint64_t rejected =
        result->rejected_count < deliver->current.count ? result->rejected_count : deliver->current.count;

    deliver->exported += deliver->current.count - rejected;
    deliver->dropped[DROP_REJECTED] += rejected;
    take_off(deliver);
    deliver->backoff_ms = 0;
    if (deliver->is_failing)
        log_line(LOG_LEVEL_INFO, "%s: accepted again", deliver->options.exporter->name);
    deliver->is_failing = false;
    if (result->error[0] != '\0')
        note_error(deliver, result->error);
}

static void finish_refused(struct deliver *deliver, const struct exporter_result *result)
{
    deliver->dropped[DROP_REFUSED] += deliver->current.count;
    take_off(deliver);
    deliver->backoff_ms = 0;
    deliver->is_failing = true;
    note_error(deliver, result->error);
}

static void finish_later(struct deliver *deliver, const struct exporter_result *result)
{
    uint32_t wait_ms = result->retry_after_ms;

    if (wait_ms == 0)
        wait_ms = next_backoff_ms(deliver);
    put_current(deliver);
    deliver->retries++;
    deliver->is_failing = true;
    note_error(deliver, result->error);
    deliver->state = BACKING_OFF;
    set_timer(deliver, wait_ms);
}

static void finish(struct deliver *deliver, const struct exporter_result *result)
{
    deliver->state = IDLE;
    switch (result->outcome) {
    case EXPORTER_SENT:
        finish_accepted(deliver, result);
        break;
    case EXPORTER_DROP:
        finish_refused(deliver, result);
        break;
    case EXPORTER_RETRY:
        finish_later(deliver, result);
        break;
    }
    flushes_end(&deliver->flushes, result->outcome == EXPORTER_RETRY);
    /* Who asked for a flush meanwhile gets an attempt of his own. */
    if (deliver->state == BACKING_OFF && deliver->flushes.first != NULL)
        deliver->state = IDLE;
}

/* An exporter may answer within send(): then attempt() goes on, or a long queue would become a deep stack. */
static void on_result(void *arg, const struct exporter_result *result)
{
    struct deliver *deliver = arg;

    if (deliver->is_in_send) {
        deliver->has_result = true;
        deliver->result = *result;
        return;
    }
    finish(deliver, result);
    proceed(deliver);
}

/* sending */

static void send_payload(struct deliver *deliver)
{
    const struct buffer *payload = &deliver->payload;

    deliver->options.exporter->send(deliver->instance, payload->bytes, payload->length, on_result, deliver);
}

static void send_spans(struct deliver *deliver, const struct batch *batch)
{
    const struct exporter *exporter = deliver->options.exporter;
    struct exporter_result result = {.outcome = EXPORTER_DROP};

    deliver->payload.length = 0;
    if (exporter->send_spans != NULL) {
        exporter->send_spans(deliver->instance, batch->spans, batch->count, on_result, deliver);
        return;
    }
    int r = exporter->encode_spans(deliver->instance, batch->spans, batch->count, &deliver->payload);
    if (r == 0) {
        send_payload(deliver);
        return;
    }
    deliver->payload.length = 0;
    if (r == -ENOMEM)
        result.outcome = EXPORTER_RETRY;
    (void)snprintf(result.error, sizeof(result.error), "the batch can't be encoded: %s", strerror(-r));
    on_result(deliver, &result);
}

/* An attempt with what `current` describes; `batch`: where it is from the journal. */
static void attempt(struct deliver *deliver, const struct batch *batch)
{
    flushes_note_attempt(&deliver->flushes);
    deliver->state = SENDING;
    deliver->has_result = false;
    deliver->is_in_send = true;
    if (deliver->current.from == FROM_JOURNAL)
        send_spans(deliver, batch);
    else
        send_payload(deliver);
    deliver->is_in_send = false;
    if (deliver->has_result)
        finish(deliver, &deliver->result);
    else if (deliver->current.from == FROM_JOURNAL && has_disk(deliver))
        set_timer(deliver, SLOW_MS);
}

static void send_oldest(struct deliver *deliver)
{
    int r = outbox_next(&deliver->outbox, &deliver->payload, &deliver->current.count);

    if (r > 0) {
        deliver->current.from = FROM_OUTBOX;
        attempt(deliver, NULL);
    } else if (r < 0 && !outbox_is_empty(&deliver->outbox)) {
        deliver->state = BACKING_OFF;
        set_timer(deliver, REREAD_MS);
    }
}

static void send_batch(struct deliver *deliver)
{
    struct batch batch;

    deliver->is_late = false;
    deliver->current.from = FROM_JOURNAL;
    deliver->current.start = position(deliver);
    deliver->current.lost = journal_lost(deliver->options.journal, deliver->options.consumer);
    batch_take(deliver->options.host, deliver->options.journal, deliver->current.start, batch_size(deliver), &batch);
    deliver->current.end = batch.end;
    deliver->current.unreadable = batch.unreadable_count;
    deliver->current.count = batch.count;
    if (batch.count > 0)
        attempt(deliver, &batch);
    else
        leave_journal(deliver);
}

static void send_next(struct deliver *deliver)
{
    loop_timer_clear(deliver->options.host->loop, &deliver->timer);
    loop_timer_clear(deliver->options.host->loop, &deliver->batch_timer);
    if (outbox_is_empty(&deliver->outbox))
        send_batch(deliver);
    else
        send_oldest(deliver);
    flushes_end(&deliver->flushes, false);
}

static bool is_batch_due(const struct deliver *deliver)
{
    uint64_t waiting = journal_count(deliver);

    return waiting > 0 && (deliver->flushes.first != NULL || deliver->is_late || waiting >= batch_size(deliver) ||
                           delay_ms(deliver) == 0);
}

static void become_idle(struct deliver *deliver)
{
    deliver->state = IDLE;
    deliver->is_late = false;
    loop_timer_clear(deliver->options.host->loop, &deliver->timer);
    loop_timer_clear(deliver->options.host->loop, &deliver->batch_timer);
    deliver->options.on_idle(deliver->options.arg);
}

/* One step; false: nothing is to be done now. */
static bool step(struct deliver *deliver)
{
    bool is_due = is_batch_due(deliver);

    if (is_due && is_stowing(deliver) && stow_batch(deliver))
        return true;
    if (deliver->state != IDLE || (!is_due && outbox_is_empty(&deliver->outbox)))
        return false;
    send_next(deliver);
    return true;
}

/* What is not due waits for its delay. */
static void await_more(struct deliver *deliver)
{
    bool is_direct = deliver->state == SENDING && deliver->current.from == FROM_JOURNAL;

    if (journal_count(deliver) > 0 && !is_direct && !deliver->is_late && !loop_timer_is_set(&deliver->batch_timer))
        (void)loop_timer_set(deliver->options.host->loop, &deliver->batch_timer, delay_ms(deliver) * NS_PER_MS);
}

/* Send what is due, or put it on the disk; then wait for more, for the delay, or for the answer. */
static void proceed(struct deliver *deliver)
{
    if (!takes_spans(deliver))
        skip_to(deliver, journal_end(deliver->options.journal));
    if (deliver->instance == NULL) {
        drop_all(deliver, DROP_REFUSED);
        flushes_end(&deliver->flushes, true);
    }
    do
        trim_queue(deliver);
    while (step(deliver));
    if (deliver->state == IDLE && waiting_count(deliver) == 0)
        become_idle(deliver);
    else
        await_more(deliver);
}

/* The answer takes too long to be waited for in memory, or the back-off is over. */
static void on_timer(void *arg)
{
    struct deliver *deliver = arg;

    if (deliver->state == SENDING) {
        put_current(deliver);
    } else {
        deliver->state = IDLE;
        deliver->is_late = true; /* what waits goes, full batch or not */
    }
    proceed(deliver);
}

static void on_batch_timer(void *arg)
{
    struct deliver *deliver = arg;

    deliver->is_late = true;
    proceed(deliver);
}

int deliver_new(const struct deliver_options *options, struct deliver **ret_deliver)
{
    struct deliver *deliver = calloc(1, sizeof(*deliver));
    char error[256] = "";

    if (deliver == NULL)
        return -ENOMEM;
    deliver->options = *options;
    deliver->exporter_host = (struct exporter_host){.loop = options->host->loop, .http = options->host->http};
    deliver->timer = (struct loop_timer){.fn = on_timer, .arg = deliver};
    deliver->batch_timer = (struct loop_timer){.fn = on_batch_timer, .arg = deliver};
    deliver->log_limit = (struct log_limit){.burst = LOG_BURST, .interval_s = LOG_INTERVAL_S};
    if (options->exporter->open(&deliver->exporter_host, options->settings, &deliver->instance, error) < 0) {
        deliver->instance = NULL;
        deliver->is_failing = true;
        note_error(deliver, error);
    }
    deliver->flushes.owner = (struct flushes_owner){.loop = options->host->loop,
                                                    .arg = deliver,
                                                    .is_reached = is_reached,
                                                    .count = count_for_flush,
                                                    .ended = hand_out};
    int r = deliver->instance == NULL ? 0
                                      : outbox_open(&deliver->outbox, options->host->spool, options->exporter,
                                                    options->settings, options->on_more, options->arg);
    if (r < 0) {
        deliver_free(deliver);
        return r;
    }
    *ret_deliver = deliver;
    return 0;
}

void deliver_free(struct deliver *deliver)
{
    if (deliver == NULL)
        return;
    flushes_end_all(&deliver->flushes, "the agent stopped");
    loop_timer_clear(deliver->options.host->loop, &deliver->timer);
    loop_timer_clear(deliver->options.host->loop, &deliver->batch_timer);
    deliver->options.exporter->close(deliver->instance);
    outbox_close(&deliver->outbox);
    buffer_deinit(&deliver->payload);
    free(deliver);
}

void deliver_stow(struct deliver *deliver)
{
    if (!has_disk(deliver))
        return;
    if (deliver->state == SENDING)
        put_current(deliver);
    while (journal_count(deliver) > 0 && stow_batch(deliver))
        continue;
}

/* reports */

static int put_report(struct deliver *deliver, const json_t *report)
{
    struct buffer payload = {0};
    int r = deliver->options.exporter->encode_report(deliver->instance, report, &payload);

    if (r == 0)
        r = outbox_put_report(&deliver->outbox, &payload);
    buffer_deinit(&payload);
    return r;
}

void deliver_report(struct deliver *deliver, const json_t *report)
{
    char error[64];

    if (deliver->options.exporter->encode_report == NULL || deliver->instance == NULL)
        return;
    int r = put_report(deliver, report);
    if (r == -ECANCELED)
        deliver->dropped[DROP_LIMITED]++;
    if (r == 0 || r == -ECANCELED)
        return;
    deliver->dropped[r == -ENOBUFS ? DROP_QUEUE_FULL : DROP_REFUSED]++;
    (void)snprintf(error, sizeof(error), "a report is dropped: %s", strerror(-r));
    note_error(deliver, error);
}

void deliver_wake(struct deliver *deliver)
{
    proceed(deliver);
}

bool deliver_is_idle(const struct deliver *deliver)
{
    return deliver->state == IDLE && waiting_count(deliver) == 0;
}

bool deliver_is_kept(const struct deliver *deliver)
{
    return journal_count(deliver) == 0 && outbox_count(&deliver->outbox) == outbox_spooled_count(&deliver->outbox);
}

void deliver_flush(struct deliver *deliver, uint32_t timeout_ms, destinations_flush_done *done, void *arg)
{
    const struct flushes_mark mark = {journal_end(deliver->options.journal), outbox_newest(&deliver->outbox)};

    flushes_add(&deliver->flushes, &mark, timeout_ms, done, arg);
    if (deliver->flushes.first == NULL)
        return;
    if (deliver->state == BACKING_OFF)
        deliver->state = IDLE;
    proceed(deliver);
}

void deliver_give_up(struct deliver *deliver)
{
    if (deliver->state == SENDING)
        return;
    drop_all(deliver, DROP_GIVEN_UP);
    flushes_end(&deliver->flushes, true);
    if (outbox_is_empty(&deliver->outbox))
        become_idle(deliver);
}

static const char *state_name(const struct deliver *deliver)
{
    switch (deliver->state) {
    case IDLE:
        if (deliver->instance == NULL)
            return "unusable";
        return waiting_count(deliver) > 0 ? "waiting" : "idle";
    case SENDING:
        return "sending";
    case BACKING_OFF:
        return "retrying";
    }
    return "";
}

static json_t *dropped_status(const struct deliver *deliver)
{
    const uint64_t *dropped = deliver->dropped;

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "queue_full", (json_int_t)overflow_count(deliver),
                     "expired", (json_int_t)outbox_expired_count(&deliver->outbox), "rejected",
                     (json_int_t)dropped[DROP_REJECTED], "refused", (json_int_t)dropped[DROP_REFUSED], "unreadable",
                     (json_int_t)dropped[DROP_UNREADABLE], "given_up", (json_int_t)dropped[DROP_GIVEN_UP], "limited",
                     (json_int_t)dropped[DROP_LIMITED]);
}

json_t *deliver_status(const struct deliver *deliver)
{
    const struct deliver_options *options = &deliver->options;
    char described[160] = "";
    char target[160];

    options->exporter->describe(options->settings, described, sizeof(described));
    utf8_copy(described, target, sizeof(target));
    json_t *status =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "name", options->exporter->name, "target", target,
                  "state", state_name(deliver), "queued", (json_int_t)waiting_count(deliver), "spooled",
                  (json_int_t)outbox_spooled_count(&deliver->outbox), "oldest_s",
                  (json_int_t)outbox_oldest_s(&deliver->outbox), "exported", (json_int_t)deliver->exported, "retries",
                  (json_int_t)deliver->retries, "dropped", dropped_status(deliver));

    if (status != NULL && deliver->last_error[0] != '\0') {
        (void)json_object_set_new(status, "last_error", json_string(deliver->last_error));
        (void)json_object_set_new(status, "last_error_time", json_integer((json_int_t)deliver->last_error_time));
        (void)json_object_set_new(status, "failing", json_boolean(deliver->is_failing));
    }
    return status;
}
