/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to deliver: the next payload goes to the exporter, and the exporter's answer decides what becomes of
 * it. */
#include "exporters/agent/batch.h"
#include "exporters/agent/clock.h"
#include "exporters/agent/deliver.h"
#include "exporters/agent/deliver_state.h"
#include "exporters/agent/flushes.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/outbox.h"
#include "exporters/encode/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
    SLOW_MS = 250, /* an answer that takes longer is not waited for in memory */
    REREAD_MS = 1000,
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 30000
};

static void set_timer(struct deliver *deliver, uint64_t delay_ms)
{
    /* Without memory for the timer the next wake-up or flush goes on. */
    (void)loop_timer_set(deliver->options.host->loop, &deliver->timer, delay_ms * NS_PER_MS);
}

/* answers */

void deliver_leave_journal(struct deliver *deliver)
{
    uint64_t lost = journal_lost(deliver->options.journal, deliver->options.consumer) - deliver->current.lost;

    deliver->saved += lost < deliver->current.count ? lost : deliver->current.count;
    deliver->dropped[DELIVER_UNREADABLE] += deliver->current.unreadable;
    deliver_skip_to(deliver, deliver->current.end);
}

/* What was under way is done with, accepted or not. */
static void take_off(struct deliver *deliver)
{
    if (deliver->current.from == DELIVER_FROM_JOURNAL)
        deliver_leave_journal(deliver);
    else
        outbox_done(&deliver->outbox);
}

/* x1.5 each time, with enough jitter that agents that failed together don't come back together. */
static uint32_t next_backoff_ms(struct deliver *deliver)
{
    uint32_t base = deliver->backoff_ms != 0 ? deliver->backoff_ms : BACKOFF_FIRST_MS;
    uint32_t random = 0;

    (void)getrandom(&random, sizeof(random), GRND_NONBLOCK);
    deliver->backoff_ms = base + base / 2 < BACKOFF_MAX_MS ? base + base / 2 : BACKOFF_MAX_MS;
    return base - base * 3 / 10 + (uint32_t)((uint64_t)random * (base * 6 / 10) >> 32);
}

static uint64_t at_most(uint64_t count, uint64_t most)
{
    return count < most ? count : most;
}

static void finish_accepted(struct deliver *deliver, const struct exporter_result *result)
{
    uint64_t limited = at_most(result->limited_count, deliver->current.count);
    uint64_t rejected = at_most(result->rejected_count, deliver->current.count - limited);

    deliver->exported += deliver->current.count - limited - rejected;
    deliver->dropped[DELIVER_LIMITED] += limited;
    deliver->dropped[DELIVER_REJECTED] += rejected;
    take_off(deliver);
    deliver->backoff_ms = 0;
    if (deliver->is_failing)
        log_line(LOG_LEVEL_INFO, "%s: accepted again", deliver->options.exporter->name);
    deliver->is_failing = false;
    if (result->error[0] != '\0')
        deliver_note_error(deliver, result->error);
}

static void finish_refused(struct deliver *deliver, const struct exporter_result *result)
{
    deliver->dropped[DELIVER_REFUSED] += deliver->current.count;
    take_off(deliver);
    deliver->backoff_ms = 0;
    deliver->is_failing = true;
    deliver_note_error(deliver, result->error);
}

static void finish_later(struct deliver *deliver, const struct exporter_result *result)
{
    uint32_t wait_ms = result->retry_after_ms;

    if (wait_ms == 0)
        wait_ms = next_backoff_ms(deliver);
    deliver_stow_current(deliver);
    deliver->retries++;
    deliver->is_failing = true;
    deliver_note_error(deliver, result->error);
    deliver->state = DELIVER_BACKING_OFF;
    set_timer(deliver, wait_ms);
}

static void finish(struct deliver *deliver, const struct exporter_result *result)
{
    deliver->state = DELIVER_IDLE;
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
    if (deliver->state == DELIVER_BACKING_OFF && deliver->flushes.first != NULL)
        deliver->state = DELIVER_IDLE;
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
    deliver_wake(deliver);
}

/* sending */

static void send_payload(struct deliver *deliver)
{
    const struct buffer *payload = &deliver->payload;

    deliver->options.exporter->send(deliver->instance, payload->bytes, payload->length, on_result, deliver);
}

static void send_batch(struct deliver *deliver, const struct batch *batch)
{
    const struct exporter *exporter = deliver->options.exporter;
    struct exporter_result result = {.outcome = EXPORTER_DROP};

    deliver->payload.length = 0;
    if (exporter->send_spans != NULL) {
        exporter->send_spans(deliver->instance, batch->spans, batch->count, on_result, deliver);
        return;
    }
    if (exporter->send_logs != NULL) {
        exporter->send_logs(deliver->instance, batch->events, batch->count, on_result, deliver);
        return;
    }
    int r = batch_encode(batch, exporter, deliver->instance, &deliver->payload);
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

/* Attempt to deliver what `current` describes; `batch`: the batch that it was made of, if it comes from the journal. */
static void attempt(struct deliver *deliver, const struct batch *batch)
{
    flushes_note_attempt(&deliver->flushes);
    deliver->state = DELIVER_SENDING;
    deliver->has_result = false;
    deliver->is_in_send = true;
    if (deliver->current.from == DELIVER_FROM_JOURNAL)
        send_batch(deliver, batch);
    else
        send_payload(deliver);
    deliver->is_in_send = false;
    if (deliver->has_result)
        finish(deliver, &deliver->result);
    else if (deliver->current.from == DELIVER_FROM_JOURNAL && deliver_has_disk(deliver))
        set_timer(deliver, SLOW_MS);
}

void deliver_send_oldest(struct deliver *deliver)
{
    int r = outbox_next(&deliver->outbox, &deliver->payload, &deliver->current.count);

    if (r > 0) {
        deliver->current.from = DELIVER_FROM_OUTBOX;
        attempt(deliver, NULL);
    } else if (r < 0 && !outbox_is_empty(&deliver->outbox)) {
        deliver->state = DELIVER_BACKING_OFF;
        set_timer(deliver, REREAD_MS);
    }
}

void deliver_send_batch(struct deliver *deliver)
{
    struct batch batch;

    deliver->is_late = false;
    deliver->current.from = DELIVER_FROM_JOURNAL;
    deliver->current.start = deliver_position(deliver);
    deliver->current.lost = journal_lost(deliver->options.journal, deliver->options.consumer);
    deliver_take_batch(deliver, &batch);
    deliver->current.end = batch.end;
    deliver->current.unreadable = batch.unreadable_count;
    deliver->current.count = batch.count;
    if (batch.count > 0)
        attempt(deliver, &batch);
    else
        deliver_leave_journal(deliver);
}
