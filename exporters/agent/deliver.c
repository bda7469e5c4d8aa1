/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/deliver.h"

#include "exporters/agent/journal.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/span.h"
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
    BATCH_MAX = 2048,
    REPORTS_MAX = 64,
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 30000,
    LOG_BURST = 5,
    LOG_INTERVAL_S = 60
};

enum state {
    IDLE,        /* nothing waits; no timer */
    COLLECTING,  /* a batch grows until it is full or its delay is over */
    SENDING,     /* one is under way */
    BACKING_OFF, /* the last attempt failed; the timer says when to come again */
};

/* Why spans did not arrive, besides the journal's own losses. */
enum drop { DROP_QUEUE_FULL, DROP_REJECTED, DROP_REFUSED, DROP_UNREADABLE, DROP_GIVEN_UP, DROP_COUNT };

struct flush {
    struct flush *next;
    struct deliver *deliver;
    uint64_t target; /* position in the journal */
    uint64_t exported_before;
    uint64_t dropped_before;
    bool was_tried; /* a batch was sent since its call */
    struct loop_timer timer;
    destinations_flush_done *done;
    void *arg;
};

/* An encoded report that waits. */
struct report {
    struct report *next;
    struct buffer payload;
};

struct deliver {
    struct deliver_options options;
    struct exporter_host exporter_host;
    void *instance; /* NULL: could not be opened */
    enum state state;
    struct loop_timer timer;
    uint32_t backoff_ms;
    struct flush *flushes;
    struct report *reports; /* the oldest first; they go before spans */
    size_t report_count;
    /* The batch under way, or the first report. */
    bool is_report;
    struct buffer payload;
    uint64_t batch_end;
    size_t batch_count;
    uint64_t batch_lost; /* the journal's losses when it was taken */
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

/* A batch as spans: filled and used within one send, so one will do for all queues. Loop thread only. */
static struct span batch[BATCH_MAX];
static const struct span *batch_list[BATCH_MAX];

static void proceed(struct deliver *deliver);

static uint64_t dropped_total(const struct deliver *deliver)
{
    uint64_t total = journal_lost(deliver->options.journal, deliver->options.consumer) - deliver->saved;

    for (size_t i = 0; i < DROP_COUNT; i++)
        total += deliver->dropped[i];
    return total;
}

static uint64_t waiting_count(const struct deliver *deliver)
{
    return journal_depth(deliver->options.journal, deliver->options.consumer) + deliver->report_count;
}

static uint64_t position(const struct deliver *deliver)
{
    return journal_position(deliver->options.journal, deliver->options.consumer);
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

static void end_flush(struct flush *flush, const char *error)
{
    struct deliver *deliver = flush->deliver;
    struct destinations_flushed flushed = {
        .exported = deliver->exported - flush->exported_before,
        .failed = dropped_total(deliver) - flush->dropped_before,
    };

    for (struct flush **p = &deliver->flushes; *p != NULL; p = &(*p)->next) {
        if (*p == flush) {
            *p = flush->next;
            break;
        }
    }
    loop_timer_clear(deliver->options.host->loop, &flush->timer);
    if (deliver->options.exporter->flush != NULL && deliver->instance != NULL)
        deliver->options.exporter->flush(deliver->instance);
    if (position(deliver) < flush->target)
        flushed.failed += waiting_count(deliver);
    if (flushed.failed > 0)
        (void)snprintf(flushed.error, sizeof(flushed.error), "%s", error != NULL ? error : deliver->last_error);
    flush->done(flush->arg, &flushed);
    free(flush);
}

/* After a batch: those whose target is reached, or whose attempt has failed. */
static void end_flushes(struct deliver *deliver, bool attempt_failed)
{
    struct flush *next;

    for (struct flush *flush = deliver->flushes; flush != NULL; flush = next) {
        next = flush->next;
        if (position(deliver) >= flush->target || (attempt_failed && flush->was_tried))
            end_flush(flush, NULL);
    }
}

static void note_error(struct deliver *deliver, const char *error)
{
    if (error[0] == '\0') /* the same as before, as the exporter knows */
        return;
    utf8_copy(error, deliver->last_error, sizeof(deliver->last_error));
    deliver->last_error_time = time(NULL);
    if (log_limit_pass(&deliver->log_limit, loop_now_ns(deliver->options.host->loop)))
        log_line(LOG_LEVEL_WARN, "%s: %s", deliver->options.exporter->name, deliver->last_error);
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

static void skip_to(struct deliver *deliver, uint64_t end)
{
    journal_ack(deliver->options.journal, deliver->options.consumer, end);
}

static void remove_report(struct deliver *deliver)
{
    struct report *report = deliver->reports;

    deliver->reports = report->next;
    deliver->report_count--;
    buffer_deinit(&report->payload);
    free(report);
}

/* What was under way is done with, accepted or not. */
static void take_off(struct deliver *deliver)
{
    uint64_t lost = journal_lost(deliver->options.journal, deliver->options.consumer) - deliver->batch_lost;

    if (deliver->is_report) {
        remove_report(deliver);
        return;
    }
    deliver->saved += lost < deliver->batch_count ? lost : deliver->batch_count;
    skip_to(deliver, deliver->batch_end);
}

static void finish_accepted(struct deliver *deliver, const struct exporter_result *result)
{
    uint64_t rejected = result->rejected_count < deliver->batch_count ? result->rejected_count : deliver->batch_count;

    deliver->exported += deliver->batch_count - rejected;
    deliver->dropped[DROP_REJECTED] += rejected;
    take_off(deliver);
    deliver->backoff_ms = 0;
    if (deliver->is_failing)
        log_line(LOG_LEVEL_INFO, "%s: spans are accepted again", deliver->options.exporter->name);
    deliver->is_failing = false;
    if (result->error[0] != '\0')
        note_error(deliver, result->error);
}

static void finish_refused(struct deliver *deliver, const struct exporter_result *result)
{
    deliver->dropped[DROP_REFUSED] += deliver->batch_count;
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
    end_flushes(deliver, result->outcome == EXPORTER_RETRY);
    /* Who asked for a flush meanwhile gets an attempt of his own. */
    if (deliver->state == BACKING_OFF && deliver->flushes != NULL)
        deliver->state = IDLE;
}

/* An exporter may answer within send(): then send_next() goes on, or a long queue would become a deep stack. */
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

static bool read_span(const struct deliver *deliver, const struct journal_entry *entry, struct span *span)
{
    const struct process *process = deliver->options.host->process_find(&entry->origin);
    struct wire_record record;

    if (process == NULL || entry->length < sizeof(record))
        return false;
    memcpy(&record, entry->record, sizeof(record));
    return record.type == WIRE_RECORD_REQUEST && record.length <= entry->length - sizeof(record) &&
           span_parse(process, (const char *)entry->record + sizeof(record), record.length, span) == 0;
}

/* Spans of the next batch, borrowed from the journal; batch_end is set. */
static size_t take_batch(struct deliver *deliver)
{
    size_t most = batch_size(deliver);
    size_t count = 0;
    struct journal_entry entry;

    deliver->batch_end = position(deliver);
    while (count < most && journal_read(deliver->options.journal, deliver->batch_end, &entry) > 0) {
        if (read_span(deliver, &entry, &batch[count])) {
            batch_list[count] = &batch[count];
            count++;
        } else {
            deliver->dropped[DROP_UNREADABLE]++;
        }
        deliver->batch_end = entry.next;
    }
    return count;
}

/* OTEL_BSP_MAX_QUEUE_SIZE, where it is set: the oldest go. */
static void trim_queue(struct deliver *deliver)
{
    uint64_t most = deliver->options.settings->queue_size;
    uint64_t count = journal_depth(deliver->options.journal, deliver->options.consumer);
    struct journal_entry entry;

    if (most == 0)
        return;
    for (; count > most && journal_read(deliver->options.journal, position(deliver), &entry) > 0; count--) {
        deliver->dropped[DROP_QUEUE_FULL]++;
        skip_to(deliver, entry.next);
    }
}

static bool takes_spans(const struct deliver *deliver)
{
    const struct exporter *exporter = deliver->options.exporter;

    return exporter->encode_spans != NULL || exporter->send_spans != NULL;
}

static void drop_all(struct deliver *deliver, enum drop cause)
{
    deliver->dropped[cause] += waiting_count(deliver);
    skip_to(deliver, journal_end(deliver->options.journal));
    while (deliver->reports != NULL)
        remove_report(deliver);
}

/* Hand over to the exporter what `deliver` describes as under way. */
static void send_payload(struct deliver *deliver, const struct buffer *payload)
{
    deliver->options.exporter->send(deliver->instance, payload->bytes, payload->length, on_result, deliver);
}

static void send_spans(struct deliver *deliver)
{
    const struct exporter *exporter = deliver->options.exporter;
    struct exporter_result result = {.outcome = EXPORTER_DROP};

    if (exporter->send_spans != NULL) {
        exporter->send_spans(deliver->instance, batch_list, deliver->batch_count, on_result, deliver);
        return;
    }
    deliver->payload.length = 0;
    int r = exporter->encode_spans(deliver->instance, batch_list, deliver->batch_count, &deliver->payload);
    if (r == 0) {
        send_payload(deliver, &deliver->payload);
        return;
    }
    if (r == -ENOMEM)
        result.outcome = EXPORTER_RETRY;
    (void)snprintf(result.error, sizeof(result.error), "the batch can't be encoded: %s", strerror(-r));
    on_result(deliver, &result);
}

/* The oldest report, else a batch of spans. */
static void send_next(struct deliver *deliver)
{
    deliver->is_report = deliver->reports != NULL;
    deliver->batch_count = deliver->is_report ? 1 : take_batch(deliver);
    if (deliver->batch_count == 0) {
        skip_to(deliver, deliver->batch_end);
        end_flushes(deliver, false);
        return;
    }
    for (struct flush *flush = deliver->flushes; flush != NULL; flush = flush->next)
        flush->was_tried = true;
    deliver->batch_lost = journal_lost(deliver->options.journal, deliver->options.consumer);
    deliver->state = SENDING;
    deliver->has_result = false;
    deliver->is_in_send = true;
    if (deliver->is_report)
        send_payload(deliver, &deliver->reports->payload);
    else
        send_spans(deliver);
    deliver->is_in_send = false;
    if (deliver->has_result)
        finish(deliver, &deliver->result);
}

static bool is_batch_due(const struct deliver *deliver, uint64_t waiting)
{
    return deliver->flushes != NULL || deliver->reports != NULL || waiting >= batch_size(deliver) ||
           delay_ms(deliver) == 0;
}

static void become_idle(struct deliver *deliver)
{
    deliver->state = IDLE;
    loop_timer_clear(deliver->options.host->loop, &deliver->timer);
    deliver->options.on_idle(deliver->options.arg);
}

/* Send what is due; then wait for more, for the delay, or for the answer. */
static void proceed(struct deliver *deliver)
{
    if (!takes_spans(deliver))
        skip_to(deliver, journal_end(deliver->options.journal));
    while (deliver->state == IDLE || deliver->state == COLLECTING) {
        if (deliver->instance == NULL) {
            drop_all(deliver, DROP_REFUSED);
            end_flushes(deliver, true);
        }
        trim_queue(deliver);
        uint64_t waiting = waiting_count(deliver);

        if (waiting == 0) {
            become_idle(deliver);
            return;
        }
        if (!is_batch_due(deliver, waiting)) {
            if (deliver->state == IDLE)
                set_timer(deliver, delay_ms(deliver));
            deliver->state = COLLECTING;
            return;
        }
        loop_timer_clear(deliver->options.host->loop, &deliver->timer);
        send_next(deliver);
    }
}

/* The delay or the back-off is over: what waits goes, full batch or not. */
static void on_timer(void *arg)
{
    struct deliver *deliver = arg;

    deliver->state = IDLE;
    trim_queue(deliver);
    if (waiting_count(deliver) > 0)
        send_next(deliver);
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
    deliver->log_limit = (struct log_limit){.burst = LOG_BURST, .interval_s = LOG_INTERVAL_S};
    if (options->exporter->open(&deliver->exporter_host, options->settings, &deliver->instance, error) < 0) {
        deliver->instance = NULL;
        deliver->is_failing = true;
        note_error(deliver, error);
    }
    *ret_deliver = deliver;
    return 0;
}

void deliver_free(struct deliver *deliver)
{
    if (deliver == NULL)
        return;
    while (deliver->flushes != NULL)
        end_flush(deliver->flushes, "the agent stopped");
    loop_timer_clear(deliver->options.host->loop, &deliver->timer);
    deliver->options.exporter->close(deliver->instance);
    while (deliver->reports != NULL)
        remove_report(deliver);
    buffer_deinit(&deliver->payload);
    free(deliver);
}

static int keep_report(struct deliver *deliver, const json_t *report)
{
    struct report *kept = calloc(1, sizeof(*kept));
    struct report **end = &deliver->reports;

    if (kept == NULL)
        return -ENOMEM;
    int r = deliver->options.exporter->encode_report(deliver->instance, report, &kept->payload);
    if (r < 0) {
        buffer_deinit(&kept->payload);
        free(kept);
        return r;
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = kept;
    deliver->report_count++;
    return 0;
}

void deliver_report(struct deliver *deliver, const json_t *report)
{
    char error[64];

    if (deliver->options.exporter->encode_report == NULL || deliver->instance == NULL)
        return;
    int r = deliver->report_count < REPORTS_MAX ? keep_report(deliver, report) : -ENOBUFS;
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

static void on_flush_timeout(void *arg)
{
    end_flush(arg, "the receiver did not answer in time");
}

void deliver_flush(struct deliver *deliver, uint32_t timeout_ms, destinations_flush_done *done, void *arg)
{
    struct flush *flush = calloc(1, sizeof(*flush));

    if (flush == NULL) {
        done(arg, &(struct destinations_flushed){.failed = waiting_count(deliver), .error = "out of memory"});
        return;
    }
    *flush = (struct flush){
        .next = deliver->flushes,
        .deliver = deliver,
        .target = journal_end(deliver->options.journal),
        .exported_before = deliver->exported,
        .dropped_before = dropped_total(deliver),
        .timer = {.fn = on_flush_timeout, .arg = flush},
        .done = done,
        .arg = arg,
    };
    deliver->flushes = flush;
    if (position(deliver) >= flush->target) {
        end_flush(flush, NULL);
        return;
    }
    (void)loop_timer_set(deliver->options.host->loop, &flush->timer, timeout_ms * NS_PER_MS);
    if (deliver->state == BACKING_OFF)
        deliver->state = IDLE;
    proceed(deliver);
}

void deliver_give_up(struct deliver *deliver)
{
    if (deliver->state == SENDING)
        return;
    drop_all(deliver, DROP_GIVEN_UP);
    end_flushes(deliver, true);
    become_idle(deliver);
}

static const char *state_name(const struct deliver *deliver)
{
    switch (deliver->state) {
    case IDLE:
        return deliver->instance != NULL ? "idle" : "unusable";
    case COLLECTING:
        return "waiting";
    case SENDING:
        return "sending";
    case BACKING_OFF:
        return "retrying";
    }
    return "";
}

json_t *deliver_status(const struct deliver *deliver)
{
    const struct deliver_options *options = &deliver->options;
    uint64_t lost = journal_lost(options->journal, options->consumer) - deliver->saved;
    char described[160] = "";
    char target[160];

    options->exporter->describe(options->settings, described, sizeof(described));
    utf8_copy(described, target, sizeof(target));
    json_t *status = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I}}", "name", options->exporter->name, "target",
        target, "state", state_name(deliver), "queued", (json_int_t)waiting_count(deliver), "exported",
        (json_int_t)deliver->exported, "retries", (json_int_t)deliver->retries, "dropped", "queue_full",
        (json_int_t)(lost + deliver->dropped[DROP_QUEUE_FULL]), "rejected", (json_int_t)deliver->dropped[DROP_REJECTED],
        "refused", (json_int_t)deliver->dropped[DROP_REFUSED], "unreadable",
        (json_int_t)deliver->dropped[DROP_UNREADABLE], "given_up", (json_int_t)deliver->dropped[DROP_GIVEN_UP]);

    if (status != NULL && deliver->last_error[0] != '\0') {
        (void)json_object_set_new(status, "last_error", json_string(deliver->last_error));
        (void)json_object_set_new(status, "last_error_time", json_integer((json_int_t)deliver->last_error_time));
        (void)json_object_set_new(status, "failing", json_boolean(deliver->is_failing));
    }
    return status;
}
