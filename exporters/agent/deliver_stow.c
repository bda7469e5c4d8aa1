/* SPDX-License-Identifier: Apache-2.0 */
/* Putting payloads on the disk: reports at once, and batches that are not to wait for their receiver in memory. */
#include "exporters/agent/batch.h"
#include "exporters/agent/deliver.h"
#include "exporters/agent/deliver_state.h"
#include "exporters/agent/flushes.h"
#include "exporters/agent/outbox.h"
#include "exporters/encode/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* For encoding to the disk while a payload is under way. Loop thread only; one serves all queues. */
static struct buffer scratch;

/* spans */

bool deliver_has_disk(const struct deliver *deliver)
{
    return !exporter_is_local(deliver->options.exporter) && outbox_has_disk(&deliver->outbox);
}

void deliver_stow_current(struct deliver *deliver)
{
    int64_t id;

    if (deliver->current.from != DELIVER_FROM_JOURNAL || deliver->payload.length == 0 || !deliver_has_disk(deliver) ||
        outbox_put_spans(&deliver->outbox, deliver->current.count, &deliver->payload, &id) < 0)
        return;
    flushes_lead(&deliver->flushes, deliver->current.start, id);
    deliver_leave_journal(deliver);
    deliver->current.from = DELIVER_FROM_OUTBOX;
    outbox_hold(&deliver->outbox, id, deliver->current.count, deliver->payload.length);
}

static void drop_batch(struct deliver *deliver, const struct batch *batch, int error)
{
    char text[96];

    deliver->dropped[DELIVER_REFUSED] += batch->count;
    deliver->dropped[DELIVER_UNREADABLE] += batch->unreadable_count;
    deliver_skip_to(deliver, batch->end);
    (void)snprintf(text, sizeof(text), "the batch can't be encoded: %s", strerror(-error));
    deliver_note_error(deliver, text);
}

bool deliver_stow_batch(struct deliver *deliver)
{
    uint64_t start = deliver_position(deliver);
    struct batch batch;
    int64_t id;
    int error = 0;

    deliver_take_batch(deliver, &batch);
    scratch.length = 0;
    if (batch.count > 0)
        error = batch_encode(&batch, deliver->options.exporter, deliver->instance, &scratch);
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
    deliver->dropped[DELIVER_UNREADABLE] += batch.unreadable_count;
    deliver_skip_to(deliver, batch.end);
    deliver->is_late = false;
    return true;
}

void deliver_stow(struct deliver *deliver)
{
    if (!deliver_has_disk(deliver))
        return;
    if (deliver->state == DELIVER_SENDING)
        deliver_stow_current(deliver);
    while (deliver_journal_count(deliver) > 0 && deliver_stow_batch(deliver))
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

int deliver_report(struct deliver *deliver, const json_t *report)
{
    char error[64];

    if (deliver->options.exporter->encode_report == NULL || deliver->instance == NULL)
        return -ENOTSUP;
    int r = put_report(deliver, report);
    if (r == -ENOTSUP) /* reports of this kind */
        return r;
    if (r == -ECANCELED)
        deliver->dropped[DELIVER_LIMITED]++;
    if (r == 0 || r == -ECANCELED)
        return r;
    deliver->dropped[r == -ENOBUFS ? DELIVER_QUEUE_FULL : DELIVER_REFUSED]++;
    (void)snprintf(error, sizeof(error), "a report is dropped: %s", strerror(-r));
    deliver_note_error(deliver, error);
    return r;
}
