/* SPDX-License-Identifier: Apache-2.0 */
/* The next spans of a journal, as exporters take them. Called by deliver.c. */
#ifndef SPANSHIM_BATCH_H
#define SPANSHIM_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct destinations_host;
struct exporter;
struct journal;
struct journal_entry;
struct log_event;
struct span;

enum { BATCH_MAX = 2048 };

struct batch {
    /* Borrowed from the journal, until something is appended or the next batch. One of the two, by what the exporter is
     * for. */
    const struct span *const *spans;
    const struct log_event *const *events;
    size_t count;
    uint64_t end;              /* in the journal, behind the last of them */
    uint64_t unreadable_count; /* records that were passed over: no spans, or of nobody */
};

/* Is this entry for the exporter? Of one that is no span it can't be told: it is for all. Context: loop. */
bool batch_takes(const struct exporter *exporter, const struct journal_entry *entry);

/* At most `most` spans (and BATCH_MAX) from this position on, of those that the exporter takes. One batch at a time in
 * the whole worker. Context: loop. */
void batch_take(const struct destinations_host *host, const struct exporter *exporter, struct journal *journal,
                uint64_t position, size_t most, struct batch *ret_batch);

/* The batch as one payload, by the exporter's own function: as that says. Context: loop. */
int batch_encode(const struct batch *batch, const struct exporter *exporter, void *instance, struct buffer *payload);

#endif
