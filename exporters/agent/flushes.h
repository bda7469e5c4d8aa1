/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits until a destination has delivered what it had when he asked. Called by deliver.c. */
#ifndef SPANSHIM_FLUSHES_H
#define SPANSHIM_FLUSHES_H

#include "exporters/agent/destinations.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* How far it is: in the journal by position, on the disk by the numbers of payloads. */
struct flushes_mark {
    uint64_t position;
    int64_t id; /* 0: nothing on the disk */
};

/* What the owner tells, whenever it is asked. */
struct flushes_owner {
    struct loop *loop;
    void *arg;
    bool (*is_reached)(void *arg, const struct flushes_mark *mark);
    /* Counts since its start, and what waits now; the last error's text. */
    struct flushes_counts {
        uint64_t exported, dropped, waiting;
        const char *error;
    } (*count)(void *arg);
    void (*ended)(void *arg); /* one ends, for whatever reason: hand out what is held back */
};

/* In its owner's storage. */
struct flushes {
    struct flushes_owner owner;
    struct flush *first;
};

/* Wait until the mark is reached, an attempt of its own has failed, or for timeout_ms. done is called once, now or
 * later. Context: loop. */
void flushes_add(struct flushes *flushes, const struct flushes_mark *mark, uint32_t timeout_ms,
                 destinations_flush_done *done, void *arg);

/* An attempt begins. Context: loop. */
void flushes_note_attempt(struct flushes *flushes);

/* Those that wait for spans from `start` on wait for this payload now: they are on the disk. Context: loop. */
void flushes_lead(struct flushes *flushes, uint64_t start, int64_t id);

/* End those whose mark is reached, or whose attempt has failed. Context: loop. */
void flushes_end(struct flushes *flushes, bool has_failed);

/* End all, as failed for this reason. Context: loop. */
void flushes_end_all(struct flushes *flushes, const char *error);

#endif
