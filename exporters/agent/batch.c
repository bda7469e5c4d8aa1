/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/batch.h"

#include "exporters/agent/destinations.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/span.h"
#include "exporters/exporter.h"

#include <stdbool.h>
#include <string.h>

/* Filled and used up at once, so one will do for all queues. Loop thread only. */
static struct span spans[BATCH_MAX];
static const struct span *list[BATCH_MAX];

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

void batch_take(const struct destinations_host *host, const struct exporter *exporter, struct journal *journal,
                uint64_t position, size_t most, struct batch *ret_batch)
{
    struct journal_entry entry;
    struct batch batch = {.spans = list, .end = position};

    if (most > BATCH_MAX)
        most = BATCH_MAX;
    while (batch.count < most && journal_read(journal, batch.end, &entry) > 0) {
        struct span *span = &spans[batch.count];

        batch.end = entry.next;
        if (!batch_takes(exporter, &entry))
            continue;
        if (read_span(host, &entry, span))
            list[batch.count++] = span;
        else
            batch.unreadable_count++;
    }
    *ret_batch = batch;
}
