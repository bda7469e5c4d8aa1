/* SPDX-License-Identifier: Apache-2.0 */
/* One exporter's queue: makes payloads of the set's journal, sends one at a time, retries, backs off, counts. While the
 * receiver answers well, a batch goes from the journal to the receiver; else payloads go by the spool, where they
 * outlive the agent: batches go on being made whether they can be sent or not. Reports are put there first. Made and
 * driven by destinations.c. While nothing waits it has no timer. */
#ifndef SPANSHIM_DELIVER_H
#define SPANSHIM_DELIVER_H

#include "exporters/agent/destinations.h"
#include "exporters/exporter.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct deliver;

typedef void deliver_idle_fn(void *arg);

/* Everything is borrowed and outlives the queue. */
struct deliver_options {
    const struct destinations_host *host;
    const struct exporter *exporter;
    const struct settings *settings;
    struct journal *journal;
    unsigned consumer;        /* its number in the journal */
    deliver_idle_fn *on_idle; /* nothing waits any more; may not free the queue */
    deliver_idle_fn *on_more; /* something waits that an agent before has left; asks for deliver_wake */
    void *arg;
};

/* An exporter that can't be opened makes a queue that drops, counts and says why. 0 or -ENOMEM. Context: loop. */
int deliver_new(const struct deliver_options *options, struct deliver **ret_deliver);
/* A batch under way is abandoned: it stays in the journal, or in the spool. Flushes end as failed. Context: loop. */
void deliver_free(struct deliver *deliver);

/* Something was appended to the journal. Context: loop. */
void deliver_wake(struct deliver *deliver);

/* A report for it; encoded at once. 0, -ENOTSUP: it takes none; else -errno: it is dropped, counted; -ECANCELED: by a
 * limit. Context: loop. */
int deliver_report(struct deliver *deliver, const json_t *report);

/* Nothing waits and nothing is under way. Context: loop. */
bool deliver_is_idle(const struct deliver *deliver);

/* Send what is in the journal now, one attempt per batch, at most timeout_ms. done is called once, now or later.
 * Context: loop. */
void deliver_flush(struct deliver *deliver, uint32_t timeout_ms, destinations_flush_done *done, void *arg);

/* Is all that waits on the disk, where it can wait without this agent? Context: loop. */
bool deliver_is_kept(const struct deliver *deliver);

/* Put all that is in memory on the disk, if there is one: the agent ends. Context: loop. */
void deliver_stow(struct deliver *deliver);

/* Drop what waits in memory, counted: its receiver stayed away for too long. Context: loop. */
void deliver_give_up(struct deliver *deliver);

/* A new object. Context: loop. */
json_t *deliver_status(const struct deliver *deliver);

#endif
