/* SPDX-License-Identifier: Apache-2.0 */
/* The queue on the disk: payloads that no destination has accepted yet, as the exporters encoded them. They outlive the
 * agent and the machine's restart. Each destination has a queue, which is read oldest first; a payload stays in it
 * until it is said to be done with, or the queue's bounds take it out. What another agent of the same user left there
 * is taken over when that agent is gone and the destination's settings have come.
 *
 * Where there is no disk to be had, spool_is_usable() says so, and whoever has payloads keeps them in memory. Used by
 * deliver.c and destinations.c. */
#ifndef SPANSHIM_SPOOL_H
#define SPANSHIM_SPOOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buffer;
struct loop;
struct spool;
struct spool_queue;

/* Reports are the last that the bounds take, and a commit of one waits for the disk. */
enum spool_kind { SPOOL_SPANS, SPOOL_REPORT };

/* Where it is: a folder as spool_path.h chose it; NULL: nowhere. For all workers to come. Context: start. */
void spool_set_folder(const char *folder);

/* Nothing is opened or made before it is needed. NULL when out of memory. Context: start. */
struct spool *spool_new(struct loop *loop);
/* All queues are closed. NULL is accepted. Context: loop. */
void spool_free(struct spool *spool);

/* May something be put into it now? Context: loop. */
bool spool_is_usable(const struct spool *spool);

/* Which destination it is. No secrets, but for what the mark gives away: two bytes of their hash, which tell apart
 * programs that send to one place with different tokens. */
struct spool_identity {
    uid_t uid;
    const char *exporter;
    const char *target; /* as it is shown to people */
    const char *form;   /* of the payloads */
    uint16_t mark;
};

struct spool_queue_options {
    struct spool_identity identity;
    uint64_t bytes_max;         /* of the payloads; the newest stays even if it has more */
    uint64_t age_ms;            /* a payload is not kept for longer */
    void (*on_more)(void *arg); /* later: payloads of another agent were taken over */
    void *arg;
};

/* A destination's queue, with what an earlier agent left in it. 0 or -ENOMEM. Context: loop. */
int spool_queue_open(struct spool *spool, const struct spool_queue_options *options, struct spool_queue **ret_queue);
/* The payloads stay where they are. NULL is accepted. Context: loop. */
void spool_queue_close(struct spool_queue *queue);

/* Add a payload of `count` items. 0 and its number; or -errno, when it could not be added: it is the caller's still.
 * Context: loop. */
int spool_put(struct spool_queue *queue, enum spool_kind kind, uint32_t count, const struct buffer *payload,
              int64_t *ret_id);

/* The oldest payload, put into `payload` (what was there is overwritten). 1 and its number and items; 0: there is none;
 * -errno. It is under way from now on: the bounds leave it alone. Context: loop. */
struct spool_payload {
    int64_t id;
    enum spool_kind kind;
    uint32_t count;
};
int spool_next(struct spool_queue *queue, struct buffer *payload, struct spool_payload *ret_payload);
/* This one, of so many bytes, was put just now and is under way already. Context: loop. */
void spool_hold(struct spool_queue *queue, const struct spool_payload *payload, uint64_t length);
/* What was under way is done with. Context: loop. */
void spool_done(struct spool_queue *queue);

/* Take out the oldest that is not under way, counted as those beyond the bounds. False: there is none, or the disk does
 * not let it go. Context: loop. */
bool spool_drop_oldest(struct spool_queue *queue);

/* What is in it, and what its bounds took out. Context: loop. */
struct spool_depth {
    uint64_t payload_count, item_count, byte_count;
    uint64_t full_count, expired_count; /* items, since the queue was opened */
};
const struct spool_depth *spool_depth(const struct spool_queue *queue);

/* Since when its oldest payload waits, in ms since the epoch; 0: it is empty. Context: loop. */
uint64_t spool_oldest_unix_ms(const struct spool_queue *queue);

/* The number of the newest payload; 0: it is empty. Context: loop. */
int64_t spool_newest(const struct spool_queue *queue);
/* Is nothing in it up to this number? Context: loop. */
bool spool_is_past(const struct spool_queue *queue, int64_t id);

/* For `spanshim status`: where it is, what is wrong with it, and what waits in it for settings that no program has
 * handed over yet, as far as `viewer` may see it. A new object. Context: loop. */
json_t *spool_status(struct spool *spool, uid_t viewer);

#endif
