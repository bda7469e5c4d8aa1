/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/deliver.h"

#include "exporters/agent/batch.h"
#include "exporters/agent/clock.h"
#include "exporters/agent/deliver_state.h"
#include "exporters/agent/flushes.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/outbox.h"
#include "exporters/encode/buffer.h"

#include <errno.h>
#include <stdlib.h>

enum { LOG_BURST = 5, LOG_INTERVAL_S = 60 };

static const struct settings_batches *batches(const struct deliver *deliver)
{
    enum signal signal = exporter_is_of_logs(deliver->options.exporter) ? SIGNAL_LOGS : SIGNAL_TRACES;

    return &deliver->options.settings->batches[signal];
}

static uint32_t delay_ms(const struct deliver *deliver)
{
    uint32_t own = deliver->options.exporter->max_delay_ms;
    uint32_t set = batches(deliver)->delay_ms;

    return own != 0 && own < set ? own : set;
}

static size_t batch_size(const struct deliver *deliver)
{
    uint32_t own = deliver->options.exporter->batch_size;
    uint32_t size = own != 0 ? own : batches(deliver)->size;

    return size < BATCH_MAX ? size : BATCH_MAX;
}

void deliver_take_batch(const struct deliver *deliver, struct batch *ret_batch)
{
    batch_take(deliver->options.host, deliver->options.exporter, deliver->options.journal, deliver_position(deliver),
               batch_size(deliver), ret_batch);
}

static bool takes_spans(const struct deliver *deliver)
{
    const struct exporter *exporter = deliver->options.exporter;

    return exporter->encode_spans != NULL || exporter->send_spans != NULL || exporter_is_of_logs(exporter);
}

static bool takes_entry(void *arg, const struct journal_entry *entry)
{
    const struct deliver *deliver = arg;

    return takes_spans(deliver) && batch_takes(deliver->options.exporter, entry);
}

/* what flushes ask */

static bool is_reached(void *arg, const struct flushes_mark *mark)
{
    const struct deliver *deliver = arg;

    return deliver_position(deliver) >= mark->position && outbox_is_past(&deliver->outbox, mark->id);
}

static struct flushes_counts count_for_flush(void *arg)
{
    const struct deliver *deliver = arg;

    return (struct flushes_counts){.exported = deliver->exported,
                                   .dropped = deliver_dropped_total(deliver),
                                   .waiting = deliver_waiting_count(deliver),
                                   .error = deliver->last_error};
}

static void hand_out(void *arg)
{
    const struct deliver *deliver = arg;

    if (deliver->options.exporter->flush != NULL && deliver->instance != NULL)
        deliver->options.exporter->flush(deliver->instance);
}

/* bounds */

/* All that is in memory alone. */
static void drop_all(struct deliver *deliver, enum deliver_drop cause)
{
    deliver->dropped[cause] += deliver_journal_count(deliver) + outbox_drop_memory(&deliver->outbox);
    deliver_skip_to(deliver, journal_end(deliver->options.journal));
}

/* OTEL_BSP_MAX_QUEUE_SIZE or OTEL_BLRP_MAX_QUEUE_SIZE, where it is set: the oldest go. */
static void trim_queue(struct deliver *deliver)
{
    uint64_t most = batches(deliver)->queue_size;
    struct journal_entry entry;

    if (most == 0)
        return;
    while (deliver_waiting_count(deliver) > most && !outbox_is_empty(&deliver->outbox))
        if (!outbox_drop_oldest(&deliver->outbox))
            return; /* it is under way */
    while (deliver_journal_count(deliver) > most &&
           journal_read(deliver->options.journal, deliver_position(deliver), &entry) > 0) {
        deliver->dropped[DELIVER_QUEUE_FULL] += takes_entry(deliver, &entry);
        deliver_skip_to(deliver, entry.next);
    }
}

/* what is due */

/* Is a batch of the journal's sent now? */
static bool is_direct(const struct deliver *deliver)
{
    return deliver->state == DELIVER_SENDING && deliver->current.from == DELIVER_FROM_JOURNAL;
}

/* Must the journal's next batch go to the disk, because others are under way or wait there before it? */
static bool is_stowing(const struct deliver *deliver)
{
    return (deliver->state != DELIVER_IDLE || !outbox_is_empty(&deliver->outbox)) && !is_direct(deliver) &&
           deliver_has_disk(deliver);
}

static bool is_batch_due(const struct deliver *deliver)
{
    uint64_t waiting = deliver_journal_count(deliver);

    return waiting > 0 && (deliver->flushes.first != NULL || deliver->is_late || waiting >= batch_size(deliver) ||
                           delay_ms(deliver) == 0);
}

static void send_next(struct deliver *deliver)
{
    loop_timer_clear(deliver->options.host->loop, &deliver->timer);
    loop_timer_clear(deliver->options.host->loop, &deliver->batch_timer);
    if (outbox_is_empty(&deliver->outbox))
        deliver_send_batch(deliver);
    else
        deliver_send_oldest(deliver);
    flushes_end(&deliver->flushes, false);
}

static void become_idle(struct deliver *deliver)
{
    deliver->state = DELIVER_IDLE;
    deliver->is_late = false;
    loop_timer_clear(deliver->options.host->loop, &deliver->timer);
    loop_timer_clear(deliver->options.host->loop, &deliver->batch_timer);
    deliver->options.on_idle(deliver->options.arg);
}

/* One step; false: nothing is to be done now. */
static bool step(struct deliver *deliver)
{
    bool is_due = is_batch_due(deliver);

    if (is_due && is_stowing(deliver) && deliver_stow_batch(deliver))
        return true;
    if (deliver->state != DELIVER_IDLE || (!is_due && outbox_is_empty(&deliver->outbox)))
        return false;
    send_next(deliver);
    return true;
}

/* What is not due waits for its delay. */
static void await_more(struct deliver *deliver)
{
    if (deliver_journal_count(deliver) > 0 && !is_direct(deliver) && !deliver->is_late &&
        !loop_timer_is_set(&deliver->batch_timer))
        (void)loop_timer_set(deliver->options.host->loop, &deliver->batch_timer, delay_ms(deliver) * NS_PER_MS);
}

/* Send what is due, or put it on the disk; then wait for more, for the delay, or for the answer. */
void deliver_wake(struct deliver *deliver)
{
    if (deliver_journal_count(deliver) == 0) { /* what there is, is for others */
        deliver_skip_to(deliver, journal_end(deliver->options.journal));
        flushes_end(&deliver->flushes, false);
    }
    if (deliver->instance == NULL) {
        drop_all(deliver, DELIVER_REFUSED);
        flushes_end(&deliver->flushes, true);
    }
    do
        trim_queue(deliver);
    while (step(deliver));
    if (deliver->state == DELIVER_IDLE && deliver_waiting_count(deliver) == 0)
        become_idle(deliver);
    else
        await_more(deliver);
}

/* The answer did not come in time, so the batch goes from memory to the disk; or the back-off is over. */
static void on_timer(void *arg)
{
    struct deliver *deliver = arg;

    if (deliver->state == DELIVER_SENDING) {
        deliver_stow_current(deliver);
    } else {
        deliver->state = DELIVER_IDLE;
        deliver->is_late = true; /* what waits goes, full batch or not */
    }
    deliver_wake(deliver);
}

static void on_batch_timer(void *arg)
{
    struct deliver *deliver = arg;

    deliver->is_late = true;
    deliver_wake(deliver);
}

/* the queue */

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
        deliver_note_error(deliver, error);
    }
    deliver->flushes.owner = (struct flushes_owner){.loop = options->host->loop,
                                                    .arg = deliver,
                                                    .is_reached = is_reached,
                                                    .count = count_for_flush,
                                                    .ended = hand_out};
    journal_set_filter(options->journal, options->consumer, takes_entry, deliver);
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
    journal_set_filter(deliver->options.journal, deliver->options.consumer, NULL, NULL);
    deliver->options.exporter->close(deliver->instance);
    outbox_close(&deliver->outbox);
    buffer_deinit(&deliver->payload);
    free(deliver);
}

bool deliver_is_idle(const struct deliver *deliver)
{
    return deliver->state == DELIVER_IDLE && deliver_waiting_count(deliver) == 0;
}

bool deliver_is_kept(const struct deliver *deliver)
{
    return deliver_journal_count(deliver) == 0 &&
           outbox_count(&deliver->outbox) == outbox_spooled_count(&deliver->outbox);
}

void deliver_flush(struct deliver *deliver, uint32_t timeout_ms, destinations_flush_done *done, void *arg)
{
    const struct flushes_mark mark = {journal_end(deliver->options.journal), outbox_newest(&deliver->outbox)};

    flushes_add(&deliver->flushes, &mark, timeout_ms, done, arg);
    if (deliver->flushes.first == NULL)
        return;
    if (deliver->state == DELIVER_BACKING_OFF)
        deliver->state = DELIVER_IDLE;
    deliver_wake(deliver);
}

void deliver_give_up(struct deliver *deliver)
{
    if (deliver->state == DELIVER_SENDING)
        return;
    drop_all(deliver, DELIVER_GIVEN_UP);
    flushes_end(&deliver->flushes, true);
    if (outbox_is_empty(&deliver->outbox))
        become_idle(deliver);
}
