/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/outbox.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/spool.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/utf8.h"
#include "exporters/exporter.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct outbox_report {
    struct outbox_report *next;
    struct buffer payload;
};

int outbox_open(struct outbox *outbox, struct spool *spool, const struct exporter *exporter,
                const struct settings *settings, void (*on_more)(void *arg), void *arg)
{
    char described[512] = "", target[512], form[64] = "";

    if (spool == NULL || exporter->send == NULL)
        return 0;
    outbox->spool = spool;
    exporter->describe(settings, described, sizeof(described));
    utf8_copy(described, target, sizeof(target));
    if (exporter->describe_form != NULL)
        exporter->describe_form(settings, form, sizeof(form));
    return spool_queue_open(spool,
                            &(struct spool_queue_options){
                                .identity = {settings->uid, exporter->name, target, form, settings->secrets_mark},
                                .bytes_max = settings->queue_bytes,
                                .age_ms = settings->queue_age_ms,
                                .on_more = on_more,
                                .arg = arg,
                            },
                            &outbox->queue);
}

static void remove_report(struct outbox *outbox)
{
    struct outbox_report *report = outbox->reports;

    outbox->reports = report->next;
    outbox->report_count--;
    buffer_deinit(&report->payload);
    free(report);
}

size_t outbox_drop_memory(struct outbox *outbox)
{
    size_t count = outbox->report_count;

    while (outbox->reports != NULL)
        remove_report(outbox);
    return count;
}

void outbox_close(struct outbox *outbox)
{
    (void)outbox_drop_memory(outbox);
    spool_queue_close(outbox->queue);
    outbox->queue = NULL;
}

bool outbox_has_disk(const struct outbox *outbox)
{
    return outbox->queue != NULL && spool_is_usable(outbox->spool);
}

int outbox_put_spans(struct outbox *outbox, uint64_t count, const struct buffer *payload, int64_t *ret_id)
{
    return spool_put(outbox->queue, SPOOL_SPANS, (uint32_t)count, payload, ret_id);
}

static int keep_in_memory(struct outbox *outbox, struct buffer *payload)
{
    struct outbox_report *kept = outbox->report_count < OUTBOX_REPORTS_MAX ? calloc(1, sizeof(*kept)) : NULL;
    struct outbox_report **end = &outbox->reports;

    if (kept == NULL)
        return -ENOBUFS;
    kept->payload = *payload;
    *payload = (struct buffer){0};
    while (*end != NULL)
        end = &(*end)->next;
    *end = kept;
    outbox->report_count++;
    return 0;
}

int outbox_put_report(struct outbox *outbox, struct buffer *payload)
{
    int64_t id;

    if (outbox->queue != NULL && spool_put(outbox->queue, SPOOL_REPORT, 1, payload, &id) == 0)
        return 0;
    return keep_in_memory(outbox, payload);
}

static bool is_on_disk(const struct outbox *outbox)
{
    return outbox->queue != NULL && spool_depth(outbox->queue)->payload_count > 0;
}

bool outbox_is_empty(const struct outbox *outbox)
{
    return !is_on_disk(outbox) && outbox->reports == NULL;
}

/* Payloads on the disk first: those in memory came later, when the disk could not be used. */
int outbox_next(struct outbox *outbox, struct buffer *payload, uint64_t *ret_count)
{
    struct spool_payload found;
    int r = is_on_disk(outbox) ? spool_next(outbox->queue, payload, &found) : 0;

    outbox->is_report_taken = r == 0 && outbox->reports != NULL;
    if (outbox->is_report_taken) {
        payload->length = 0;
        r = buffer_append(payload, outbox->reports->payload.bytes, outbox->reports->payload.length);
        *ret_count = 1;
        return r == 0 ? 1 : r;
    }
    if (r > 0)
        *ret_count = found.count;
    return r;
}

void outbox_hold(struct outbox *outbox, int64_t id, uint64_t count, size_t length)
{
    outbox->is_report_taken = false;
    spool_hold(outbox->queue, &(struct spool_payload){.id = id, .kind = SPOOL_SPANS, .count = (uint32_t)count}, length);
}

void outbox_done(struct outbox *outbox)
{
    if (outbox->is_report_taken)
        remove_report(outbox);
    else
        spool_done(outbox->queue);
    outbox->is_report_taken = false;
}

bool outbox_drop_oldest(struct outbox *outbox)
{
    return is_on_disk(outbox) && spool_drop_oldest(outbox->queue);
}

uint64_t outbox_spooled_count(const struct outbox *outbox)
{
    return outbox->queue != NULL ? spool_depth(outbox->queue)->item_count : 0;
}

uint64_t outbox_count(const struct outbox *outbox)
{
    return outbox_spooled_count(outbox) + outbox->report_count;
}

uint64_t outbox_full_count(const struct outbox *outbox)
{
    return outbox->queue != NULL ? spool_depth(outbox->queue)->full_count : 0;
}

uint64_t outbox_expired_count(const struct outbox *outbox)
{
    return outbox->queue != NULL ? spool_depth(outbox->queue)->expired_count : 0;
}

uint64_t outbox_oldest_s(const struct outbox *outbox)
{
    uint64_t since_ms = is_on_disk(outbox) ? spool_oldest_unix_ms(outbox->queue) : 0;
    uint64_t now_ms = clock_now_ns(CLOCK_REALTIME) / NS_PER_MS;

    return since_ms != 0 && now_ms > since_ms ? (now_ms - since_ms) / 1000 : 0;
}

int64_t outbox_newest(const struct outbox *outbox)
{
    return outbox->queue != NULL ? spool_newest(outbox->queue) : 0;
}

bool outbox_is_past(const struct outbox *outbox, int64_t id)
{
    return outbox->reports == NULL && (id == 0 || spool_is_past(outbox->queue, id));
}
