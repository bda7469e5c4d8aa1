/* SPDX-License-Identifier: Apache-2.0 */
/* Hand-overs: from a message and its descriptors to a source that is watched, and back when its image is gone. Called
 * by worker.c when the keeper sends one, and by rounds.c when nobody is left. */
#ifndef SPANSHIM_INTAKE_H
#define SPANSHIM_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
struct source;
struct journal;

/* What the worker does for it; copied. */
struct intake_host {
    void *arg;
    void (*unmapped)(void *arg, uint32_t id); /* only the message is needed still */
    void (*dropped)(void *arg, uint32_t id);  /* nothing is */
};

/* A hand-over as the keeper sends it. Descriptors are borrowed but for the pidfd, which is taken (-1: none). */
struct intake_handover {
    uint32_t id;
    pid_t pid; /* of the peer, 0: not visible from here */
    uid_t uid;
    const uint8_t *message; /* struct wire_message and its text */
    size_t length;
    int ring, control, pidfd;
    bool finished; /* its image is gone: no ring, only records in a journal */
    bool resumed;  /* of the worker before: intake_resume will follow */
};

/* Context: start. */
void intake_init(const struct intake_host *host);
void intake_deinit(void);

/* Take a hand-over: 0, or -errno and it was dropped. What it complains about is logged. Context: loop. */
int intake_take(const struct intake_handover *handover);

/* All that the worker before had was taken: look into the journals for what was read already, then go on. Not one by
 * one: a journal's records are delivered as soon as somebody uses it, and each must find whose it is. Context: loop. */
void intake_resume(void);

/* By the keeper's number; NULL when there is none. Context: loop. */
struct source *intake_find(uint32_t id);

/* All sources, the newest first. Context: loop. */
struct source *intake_first(void);

/* Nobody is left in this image: the ring goes, what describes it stays until its records are delivered. Context:
 * loop. */
void intake_finish(struct source *source);

/* Drop finished sources whose records are delivered. How many finished ones are left. Context: loop. */
size_t intake_sweep(void);

/* This journal goes, delivered or not: so do the sources that only its records kept. Context: loop. */
void intake_journal_dropped(const struct journal *journal);

/* CLOCK_REALTIME minus CLOCK_MONOTONIC, now. Context: loop. */
int64_t intake_wall_offset_ns(void);

#endif
