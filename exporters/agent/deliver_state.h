/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a queue share: deliver.c, which says when something is sent or put on the disk, deliver_attempt.c,
 * which sends and does what the answer says, deliver_stow.c, which puts things on the disk, and deliver_status.c, which
 * tells how it goes. */
#ifndef SPANSHIM_DELIVER_STATE_H
#define SPANSHIM_DELIVER_STATE_H

#include "exporters/agent/deliver.h"
#include "exporters/agent/flushes.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/outbox.h"
#include "exporters/encode/buffer.h"
#include "exporters/exporter.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct batch;

enum deliver_state {
    DELIVER_IDLE,        /* nothing is sent; perhaps a batch grows until it is full or its delay is over */
    DELIVER_SENDING,     /* one is under way */
    DELIVER_BACKING_OFF, /* the last attempt failed; the timer says when to come again */
};

/* Why spans did not arrive, besides the journal's and the spool's own losses. */
enum deliver_drop {
    DELIVER_QUEUE_FULL,
    DELIVER_REJECTED,
    DELIVER_REFUSED,
    DELIVER_UNREADABLE,
    DELIVER_GIVEN_UP,
    DELIVER_LIMITED,
    DELIVER_DROP_COUNT
};

struct deliver {
    struct deliver_options options;
    struct exporter_host exporter_host;
    void *instance;       /* NULL: could not be opened */
    struct outbox outbox; /* older than what is in the journal */
    enum deliver_state state;
    struct loop_timer timer;       /* of the attempt: until it is slow, or until the next */
    struct loop_timer batch_timer; /* of the spans in the journal */
    bool is_late;                  /* their delay is over */
    uint32_t backoff_ms;
    struct flushes flushes;
    /* What is under way, or was last. */
    struct {
        enum { DELIVER_FROM_JOURNAL, DELIVER_FROM_OUTBOX } from;
        uint64_t count;
        /* Of a batch from the journal. */
        uint64_t start, end;
        uint64_t unreadable;
        uint64_t lost; /* the journal's losses when it was taken */
    } current;
    struct buffer payload;
    bool is_in_send;
    bool has_result; /* the exporter answered within send() */
    struct exporter_result result;
    /* Counts since the start. */
    uint64_t exported;
    uint64_t dropped[DELIVER_DROP_COUNT];
    uint64_t saved; /* counted as lost by the journal while they were being sent, and accepted then */
    uint64_t retries;
    char last_error[256];
    time_t last_error_time;
    bool is_failing;
    struct log_limit log_limit;
};

/* Where it is in the journal. Context: loop. */
static inline uint64_t deliver_position(const struct deliver *deliver)
{
    return journal_position(deliver->options.journal, deliver->options.consumer);
}

/* What is before `end` is done with. Context: loop. */
static inline void deliver_skip_to(struct deliver *deliver, uint64_t end)
{
    journal_ack(deliver->options.journal, deliver->options.consumer, end);
}

/* Spans that wait in the journal. Context: loop. */
static inline uint64_t deliver_journal_count(const struct deliver *deliver)
{
    return journal_depth(deliver->options.journal, deliver->options.consumer);
}

/* deliver.c */

/* The journal's next batch; it stays there. Context: loop. */
void deliver_take_batch(const struct deliver *deliver, struct batch *ret_batch);

/* deliver_attempt.c */

/* Send the journal's next batch, or what waits in the outbox for the longest time. Context: loop. */
void deliver_send_batch(struct deliver *deliver);
void deliver_send_oldest(struct deliver *deliver);

/* The journal's batch that is under way is on the disk, or done with. Context: loop. */
void deliver_leave_journal(struct deliver *deliver);

/* deliver_stow.c */

/* Can spans be put on the disk now? Context: loop. */
bool deliver_has_disk(const struct deliver *deliver);

/* The journal's batch that is under way is put on the disk, for its answer takes time. Context: loop. */
void deliver_stow_current(struct deliver *deliver);

/* The next batch, encoded, to the disk. False: it stays in the journal. Context: loop. */
bool deliver_stow_batch(struct deliver *deliver);

/* deliver_status.c */

/* All that waits, and all that was dropped, since the start and for whatever reason. Context: loop. */
uint64_t deliver_waiting_count(const struct deliver *deliver);
uint64_t deliver_dropped_total(const struct deliver *deliver);

/* For the status, and for the log, not too often. Context: loop. */
void deliver_note_error(struct deliver *deliver, const char *error);

#endif
