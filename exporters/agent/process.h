/* SPDX-License-Identifier: Apache-2.0 */
/* An instrumented process as the agent knows it: whose record is this, what describes it, where does it go.
 * Made for each process that claims a lane of a ring; kept while records that name it are in a spool.
 * The identity comes from the kernel; the facts come from the hand-over and from nothing in the records. */
#ifndef SPANSHIM_PROCESS_H
#define SPANSHIM_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

struct destinations;
struct resource;
struct source;
struct spool_origin;

struct process {
    struct process *next;    /* in its bucket of the table */
    struct source *from;     /* the ring it came by; outlives it */
    uint32_t source;         /* the keeper's number of the hand-over (ring) it came by */
    uint32_t lane;           /* lane in that ring */
    uint32_t generation;     /* of the lane */
    pid_t pid;               /* in the agent's namespace; 0: unknown */
    uint64_t spool_end;      /* position after its newest record in the spool */
    uint8_t instance_id[16]; /* UUID of service.instance.id: one per process, the same after a restart of the worker */
    int64_t wall_offset_ns;  /* wall clock minus its CLOCK_MONOTONIC */
    const struct resource *resource;   /* owned by the source: shared by the image's processes */
    struct destinations *destinations; /* where its records go */
};

/* The process a spooled record came from; NULL when its ring is not known any more. Borrowed until the entry has been
 * acknowledged by all consumers. Context: loop. */
struct process *process_find(const struct spool_origin *origin);

#endif
