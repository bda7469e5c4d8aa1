/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the spool share: spool.c, which knows the file and whose payloads are in it, and
 * spool_queue.c, which puts and takes them. */
#ifndef SPANSHIM_SPOOL_STATE_H
#define SPANSHIM_SPOOL_STATE_H

#include "exporters/agent/loop.h"
#include "exporters/agent/spool.h"
#include "exporters/agent/spool_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool_queue {
    struct spool_queue *next;
    struct spool *spool;
    struct spool_queue_options options; /* the identity's texts are ours */
    int64_t destination;                /* its row; 0: none yet */
    int64_t owner;                      /* its number in the rows of payloads; 0: the file is not open */
    uint64_t opened_ns;
    bool has_more; /* payloads of another agent were taken over, and its owner does not know yet */
    struct spool_depth depth;
    int64_t newest;
    /* Under way; id 0: nothing is. */
    struct spool_payload taken;
    uint64_t taken_bytes;
    /* Done with, but the disk would not let them go: passed over. */
    int64_t *undeleted;
    size_t undeleted_count;
};

struct spool {
    struct loop *loop;
    struct spool_file file;
    struct spool_queue *queues;
    struct loop_timer timer;
    uint64_t dropped_count;               /* of what nobody sends, by age and bounds, since the start */
    uint64_t busy_until_ns;               /* another agent holds it up: spans are not written before */
    uint64_t blocked_until_ns;            /* the disk fails: nothing is written before; 0: all is well */
    char problem[SPOOL_FILE_PROBLEM_MAX]; /* "": none */
};

/* The first parameters of what is asked about a queue's payloads. */
#define SPOOL_OF(queue) (queue)->destination, (queue)->owner, (queue)->options.identity.mark

/* CLOCK_REALTIME, for times that outlive the machine's restart. Context: any. */
uint64_t spool_now_unix_ms(void);

/* Is nothing to be written now, not even a report? Context: loop. */
bool spool_is_blocked(const struct spool *spool);

/* Open, and still the file of that name. 0 or -errno. Context: loop. */
int spool_ensure_open(struct spool *spool);

/* Have a number for the queue's rows. 0 or -errno. Context: loop. */
int spool_ensure_owner(struct spool_queue *queue);

/* What a code of SQLite's means for us, as -errno; where the file is of no use it is put aside, or left alone for a
 * while. Context: loop. */
int spool_fail(struct spool *spool, int code);
/* Something could be written. Context: loop. */
void spool_unblock(struct spool *spool);

/* Its destination's row: looked for, or made. Context: loop. */
void spool_find_destination(struct spool_queue *queue, enum spool_statement which);

/* Delete one payload of this owner. SQLite's code. Context: loop. */
int spool_delete(struct spool *spool, int64_t id, int64_t owner);

#endif
