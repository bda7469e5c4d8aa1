/* SPDX-License-Identifier: Apache-2.0 */
/* The payloads of a destination that wait to be sent: on the disk (spool.h), and reports that the disk did not take, in
 * memory. Called by deliver.c. */
#ifndef SPANSHIM_OUTBOX_H
#define SPANSHIM_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct exporter;
struct settings;
struct spool;
struct spool_queue;

enum { OUTBOX_REPORTS_MAX = 64 }; /* in memory */

/* In its owner's storage. All zero is valid: one that takes reports only, in memory. */
struct outbox {
    struct spool *spool;
    struct spool_queue *queue;     /* NULL: none */
    struct outbox_report *reports; /* the oldest first */
    size_t report_count;
    bool is_report_taken; /* what is under way is the first of them */
};

/* With a queue on the disk, where there is a spool (may be NULL) and the exporter sends payloads. on_more: something
 * waits there that an agent before has left. 0 or -ENOMEM. Context: loop. */
int outbox_open(struct outbox *outbox, struct spool *spool, const struct exporter *exporter,
                const struct settings *settings, void (*on_more)(void *arg), void *arg);
/* What is on the disk stays there. Context: loop. */
void outbox_close(struct outbox *outbox);

/* Can spans be put on the disk now? Context: loop. */
bool outbox_has_disk(const struct outbox *outbox);

/* A payload of so many spans. 0 and its number, or -errno, and it is not taken. Context: loop. */
int outbox_put_spans(struct outbox *outbox, uint64_t count, const struct buffer *payload, int64_t *ret_id);
/* A report; what `payload` has may be taken away. 0 or -ENOBUFS. Context: loop. */
int outbox_put_report(struct outbox *outbox, struct buffer *payload);

/* Copy the oldest payload, which is under way then. 1 and how many items it has; 0: there is none; -errno: it can't be
 * read now. Context: loop. */
int outbox_next(struct outbox *outbox, struct buffer *payload, uint64_t *ret_count);
/* The payload that was put just now is under way already. Context: loop. */
void outbox_hold(struct outbox *outbox, int64_t id, uint64_t count, size_t length);
/* What was under way is done with. Context: loop. */
void outbox_done(struct outbox *outbox);

/* Take out the oldest on the disk that is not under way, counted as overflow. False: there is none. Context: loop. */
bool outbox_drop_oldest(struct outbox *outbox);
/* Drop what is in memory. How many. Context: loop. */
size_t outbox_drop_memory(struct outbox *outbox);

bool outbox_is_empty(const struct outbox *outbox); /* Context: loop. */

/* Items: all, on the disk, and those that its bounds took. Context: loop. */
uint64_t outbox_count(const struct outbox *outbox);
uint64_t outbox_spooled_count(const struct outbox *outbox);
uint64_t outbox_full_count(const struct outbox *outbox);
uint64_t outbox_expired_count(const struct outbox *outbox);

/* For how long the oldest has been on the disk. Context: loop. */
uint64_t outbox_oldest_s(const struct outbox *outbox);

/* The number of the newest payload on the disk, 0: none; and whether all up to it, and all in memory, are done with.
 * Context: loop. */
int64_t outbox_newest(const struct outbox *outbox);
bool outbox_is_past(const struct outbox *outbox, int64_t id);

#endif
