/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a lane as wire.h says a reader must, and appends what it finds to the source's journal. Knows no process, no
 * clock and no destination; lanes.c says whether the owner still lives, rounds.c when. */
#ifndef SPANSHIM_DRAIN_H
#define SPANSHIM_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source;

/* A cell that isn't ready is waited for so long while its owner lives. On a busy machine a thread may lose its
 * processor in the middle of a record for some tenths of a second; one that never comes back delays the records of its
 * process by this once. */
#define DRAIN_PATIENCE_NS UINT64_C(2000000000)

/* Take all records that are ready, at most one lap. How many cells the tail moved by; lane->stuck_since_ns is set when
 * the next cell is reserved and not ready. now_ns: any clock that doesn't go back. Context: loop. */
size_t drain_lane(struct source *source, uint32_t lane, uint64_t now_ns);

/* The owner is dead and the lane drained: requests that were still open become records that end at end_ns (its
 * CLOCK_MONOTONIC) with PROCESS_EXITED, or with the error.type `fate` (NULL: none); their slots are cleared. How many.
 * Context: loop. */
size_t drain_open_requests(struct source *source, uint32_t lane, uint64_t end_ns, const char *fate);

/* When requests began that are overdue by now, on their process's CLOCK_MONOTONIC: after the first, not after the
 * second. Each moment belongs to one look only, so no request is told twice. */
struct drain_overdue {
    uint64_t after_ns, until_ns;
};

/* The owner lives: requests that it serves, began in that time, and X-Ray is to hear of become records without an end.
 * How many. Context: loop. */
size_t drain_overdue_requests(struct source *source, uint32_t lane, const struct drain_overdue *overdue);

/* Give a dead owner's lane away: slots and cells cleared of what it left, generation raised. Context: loop. */
void drain_release(struct source *source, uint32_t lane);

/* Lines of the owner's logs that have waited for long enough go on. Does anything wait still? Context: loop. */
bool drain_look_at_logs(struct source *source, uint32_t lane, uint64_t now_ns);

/* The owner logs no more: all of it goes on. Context: loop. */
void drain_end_logs(struct source *source, uint32_t lane);

/* Before the first drain_lane: begin where the mapping says. Context: loop. */
void drain_start(struct source *source);

/* Then, after a restart: what the journal says was taken of this source isn't taken again. Context: loop. */
void drain_resume(struct source *source);

/* Is there anything at or after the tail? seq_cst: pairs with the producer's look at `asleep`. Context: loop. */
bool drain_has_more(const struct source *source, uint32_t lane);

#endif
