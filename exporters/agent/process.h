/* SPDX-License-Identifier: Apache-2.0 */
/* An instrumented process as the agent knows it: whose record is this, what describes it, where does it go.
 * Made by intake.c when a ring is handed over and by drain.c for each further process that claims a lane of it.
 * The identity comes from the kernel; the facts come from the hand-over and from nothing in the records. */
#ifndef SPANSHIM_PROCESS_H
#define SPANSHIM_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

struct destinations;
struct resource;

struct process {
    uint32_t refs;         /* lanes and spooled records that name it; loop only */
    uint32_t source;       /* the keeper's number of the hand-over (ring) it came by */
    uint32_t lane;         /* lane in that ring */
    uint32_t generation;   /* of the lane */
    pid_t pid;             /* in the agent's namespace; 0: unknown */
    uint64_t start_ticks;  /* field 22 of /proc/PID/stat; 0: unknown */
    uint8_t instance_id[16]; /* UUID of service.instance.id: one per process, the same after a restart of the worker */
    int64_t wall_offset_ns;  /* wall clock minus CLOCK_MONOTONIC, corrected for drift */
    const struct resource *resource;     /* owned by the source: shared by the image's processes */
    struct destinations *destinations;   /* where its records go */
};

#endif
