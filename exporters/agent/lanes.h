/* SPDX-License-Identifier: Apache-2.0 */
/* Who lives in a ring, and what they wrote: each lane's owner is identified once, its records are taken, and its death
 * ends its lane. rounds.c says when. */
#ifndef SPANSHIM_LANES_H
#define SPANSHIM_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct source;

/* What a look at a source's lanes came to. */
struct lanes_look {
    size_t moved_count;   /* cells */
    uint32_t lane_count;  /* that have an owner */
    uint32_t known_count; /* of these, whose owner's death we will notice */
    bool pending;         /* a cell, a claim or a log line is waited for */
    bool pressed;         /* a lane filled up */
    bool rang;            /* the crash bell: a process may wait for us */
    bool crashed;         /* one does wait */
    bool unmet;           /* a lane's owner is not known yet */
};

/* The loop that watches for deaths. Context: start. */
void lanes_init(struct loop *loop);

/* Read all lanes once: meet new owners, take what was written, end the lanes of the dead. Context: loop. */
struct lanes_look lanes_read(struct source *source, uint64_t now_ns);

/* Log lines that wait for others that may belong to them go on now. Context: loop. */
void lanes_flush_logs(struct source *source);

/* Had this lane ever an owner? Lanes are claimed from the first up: behind one that never was, none was, and its page
 * need not be touched. Context: loop. */
bool lanes_was_claimed(const struct source *source, uint32_t lane);

/* Is there anything that the last look has not seen? Context: loop. */
bool lanes_have_more(const struct source *source);

/* Can all owners wake us? One that may not make the system call leaves us asleep. Context: loop. */
bool lanes_can_wake_us(const struct source *source);

/* No process maps the ring any more: end all lanes, also those whose owner is not known to be dead (it is gone, or
 * executes another program). False: a crash keeps a lane from ending yet. Context: loop. */
bool lanes_end_all(struct source *source, uint64_t now_ns);

/* End the lanes of the process of `newer`, which executes another program now. Context: loop. */
void lanes_end_process(struct source *source, const struct source *newer, uint64_t now_ns);

/* The mapping is lost: forget the owners of all lanes. Context: loop. */
void lanes_forget(struct source *source);

/* The source is about to be unmapped. Context: loop. */
void lanes_close(struct source *source);

#endif
