/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/batch.h"

#include "exporters/agent/destinations.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/log_event.h"
#include "exporters/agent/span.h"
#include "exporters/exporter.h"

#include <stdbool.h>
#include <string.h>

/* The payload of a batch: receivers take at least 4 MiB, one event may be long, and bytes that are no text grow as
 * they are replaced or escaped. */
enum { EVENT_BYTES_MAX = 2 << 20, GROWTH_MAX = 8 };

/* Filled and used up within one call, so one serves all queues. Loop thread only. */
static struct span spans[BATCH_MAX];
static const struct span *list[BATCH_MAX];
static struct log_event events[BATCH_MAX];
static const struct log_event *event_list[BATCH_MAX];

static bool read_span(const struct destinations_host *host, const struct journal_entry *entry, struct span *span)
{
    const struct process *process = host->process_find(&entry->origin);
    struct wire_record record;

    if (process == NULL || entry->length < sizeof(record))
        return false;
    memcpy(&record, entry->record, sizeof(record));
    return record.type == WIRE_RECORD_REQUEST && record.length <= entry->length - sizeof(record) &&
           span_parse(process, (const char *)entry->record + sizeof(record), record.length, span) == 0;
}

static bool read_event(const struct destinations_host *host, const struct journal_entry *entry, struct log_event *event)
{
    const struct process *process = host->process_find(&entry->origin);

    return process != NULL && log_event_parse(process, entry->record, entry->length, event) == 0;
}

/* Of an event, in a payload, about. */
static size_t bytes_of(const struct journal_entry *entry)
{
    struct log_event_record record;

    if (entry->length < sizeof(record))
        return entry->length;
    memcpy(&record, entry->record, sizeof(record));
    return (record.flags & LOG_EVENT_BINARY) != 0 ? entry->length * GROWTH_MAX : entry->length;
}

bool batch_takes(const struct exporter *exporter, const struct journal_entry *entry)
{
    struct wire_record record;
    struct wire_request request;

    if (entry->length < sizeof(record) + sizeof(request))
        return true;
    memcpy(&record, entry->record, sizeof(record));
    memcpy(&request, (const char *)entry->record + sizeof(record), sizeof(request));
    if (record.type != WIRE_RECORD_REQUEST)
        return true;
    if (request.end_ns == 0 && !exporter->takes_open)
        return false;
    switch (exporter->takes) {
    case EXPORTER_TAKES_SAMPLED:
        return request.flags & WIRE_REQUEST_SAMPLED;
    case EXPORTER_TAKES_XRAY:
        return request.flags & WIRE_REQUEST_XRAY_SAMPLED;
    case EXPORTER_TAKES_ALL:
        break;
    }
    return true;
}

static void add_span(const struct destinations_host *host, const struct journal_entry *entry, struct batch *batch)
{
    struct span *span = &spans[batch->count];

    if (read_span(host, entry, span))
        list[batch->count++] = span;
    else
        batch->unreadable_count++;
}

static void add_event(const struct destinations_host *host, const struct journal_entry *entry, struct batch *batch)
{
    struct log_event *event = &events[batch->count];

    if (read_event(host, entry, event))
        event_list[batch->count++] = event;
    else
        batch->unreadable_count++;
}

void batch_take(const struct destinations_host *host, const struct exporter *exporter, struct journal *journal,
                uint64_t position, size_t most, struct batch *ret_batch)
{
    struct journal_entry entry;
    struct batch batch = {.spans = list, .events = event_list, .end = position};

    size_t event_bytes = 0;

    if (most > BATCH_MAX)
        most = BATCH_MAX;
    while (batch.count < most && event_bytes < EVENT_BYTES_MAX && journal_read(journal, batch.end, &entry) > 0) {
        batch.end = entry.next;
        if (!batch_takes(exporter, &entry))
            continue;
        if (exporter_is_of_logs(exporter)) {
            add_event(host, &entry, &batch);
            event_bytes += bytes_of(&entry);
        } else {
            add_span(host, &entry, &batch);
        }
    }
    *ret_batch = batch;
}

int batch_encode(const struct batch *batch, const struct exporter *exporter, void *instance, struct buffer *payload)
{
    if (exporter->encode_logs != NULL)
        return exporter->encode_logs(instance, batch->events, batch->count, payload);
    return exporter->encode_spans(instance, batch->spans, batch->count, payload);
}
