/* SPDX-License-Identifier: Apache-2.0 */
/* How it goes: what was sent, waits and was dropped, and the last error. */
#include "exporters/agent/deliver.h"
#include "exporters/agent/deliver_state.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/outbox.h"
#include "exporters/encode/utf8.h"

#include <jansson.h>
#include <time.h>

static uint64_t journal_losses(const struct deliver *deliver)
{
    return journal_lost(deliver->options.journal, deliver->options.consumer) - deliver->saved;
}

/* What the bounds of all queues took. */
static uint64_t overflow_count(const struct deliver *deliver)
{
    return journal_losses(deliver) + deliver->dropped[DELIVER_QUEUE_FULL] + outbox_full_count(&deliver->outbox);
}

uint64_t deliver_dropped_total(const struct deliver *deliver)
{
    uint64_t total = overflow_count(deliver) + outbox_expired_count(&deliver->outbox);

    for (size_t i = DELIVER_QUEUE_FULL + 1; i < DELIVER_DROP_COUNT; i++)
        total += deliver->dropped[i];
    return total;
}

uint64_t deliver_waiting_count(const struct deliver *deliver)
{
    return deliver_journal_count(deliver) + outbox_count(&deliver->outbox);
}

void deliver_note_error(struct deliver *deliver, const char *error)
{
    if (error[0] == '\0') /* the same as before, as the exporter knows */
        return;
    utf8_copy(error, deliver->last_error, sizeof(deliver->last_error));
    deliver->last_error_time = time(NULL);
    if (log_limit_pass(&deliver->log_limit, loop_now_ns(deliver->options.host->loop)))
        log_line(LOG_LEVEL_WARN, "%s: %s", deliver->options.exporter->name, deliver->last_error);
}

static const char *state_name(const struct deliver *deliver)
{
    switch (deliver->state) {
    case DELIVER_IDLE:
        if (deliver->instance == NULL)
            return "unusable";
        return deliver_waiting_count(deliver) > 0 ? "waiting" : "idle";
    case DELIVER_SENDING:
        return "sending";
    case DELIVER_BACKING_OFF:
        return "retrying";
    }
    return "";
}

static json_t *dropped_status(const struct deliver *deliver)
{
    const uint64_t *dropped = deliver->dropped;

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "queue_full", (json_int_t)overflow_count(deliver),
                     "expired", (json_int_t)outbox_expired_count(&deliver->outbox), "rejected",
                     (json_int_t)dropped[DELIVER_REJECTED], "refused", (json_int_t)dropped[DELIVER_REFUSED],
                     "unreadable", (json_int_t)dropped[DELIVER_UNREADABLE], "given_up",
                     (json_int_t)dropped[DELIVER_GIVEN_UP], "limited", (json_int_t)dropped[DELIVER_LIMITED]);
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
                  "state", state_name(deliver), "queued", (json_int_t)deliver_waiting_count(deliver), "spooled",
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
