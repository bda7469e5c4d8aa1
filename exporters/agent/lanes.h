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
    uint32_t known_count; /* whose owner's death will be told */
    bool pending;         /* something is waited for */
    bool pressed;         /* a lane filled up */
    bool rang;            /* the crash bell: a process may wait for us */
    bool crashed;         /* one does */
    bool unmet;           /* a lane's owner is not known yet */
};

/* Deaths are told by this loop. Context: start. */
void lanes_init(struct loop *loop);

/* Read all lanes once: meet new owners, take what was written, end the lanes of the dead. Context: loop. */
struct lanes_look lanes_read(struct source *source, uint64_t now_ns);

/* Lines of logs wait no longer for what may belong to them. Context: loop. */
void lanes_flush_logs(struct source *source);

/* Is there anything that the last look has not seen? Context: loop. */
bool lanes_have_more(const struct source *source);

/* Can all owners wake us? One that may not make the system call leaves us asleep. Context: loop. */
bool lanes_can_wake_us(const struct source *source);

/* Nobody maps the ring any more: who could not be told to be dead is gone, or is another program now. False: a crash
 * keeps a lane from ending yet. Context: loop. */
bool lanes_end_all(struct source *source, uint64_t now_ns);

/* End the lanes of this process, whose image is another one now. Context: loop. */
void lanes_end_process(struct source *source, const struct source *newer, uint64_t now_ns);

/* The mapping is lost: nobody is in any lane. Context: loop. */
void lanes_forget(struct source *source);

/* The source is about to be unmapped. Context: loop. */
void lanes_close(struct source *source);

#endif
