/* SPDX-License-Identifier: Apache-2.0 */
/* The shim's side of the shared mapping (wire.h): this process's lane, its slots and its cells.
 * Never blocks, never waits: what finds no room is dropped and counted in the lane. */
#ifndef SPANSHIM_RING_H
#define SPANSHIM_RING_H

#include "preload/wire.h"

#include <stdbool.h>

/* What a mapping is cut into. */
struct ring_geometry {
    uint32_t lane_count, slot_count, cell_count;
    uint32_t copy_count; /* areas for copies of stacks; WIRE_CRASH_COPIES_MAX at most */
};

/* Bytes of a mapping with this geometry. Context: pure. */
uint64_t ring_size(const struct ring_geometry *geometry);

/* Write the header of a fresh, zeroed mapping. Context: hook. */
void ring_format(struct wire_ring *ring, const struct ring_geometry *geometry);

/* Make the mapping this process's ring from now on. The former one stays mapped: open requests still stand in it, and
 * another thread may be writing there. Once for each process at most, where it inherited one.
 * Context: hook; one thread at a time (link.c). */
void ring_adopt(struct wire_ring *ring);

/* The ring, NULL before the first hand-over. Context: hook; signal-safe. */
struct wire_ring *ring_current(void);

/* The wall clock at a moment of CLOCK_MONOTONIC, by the ring's anchor: good to the second. Context: hook; signal-safe.
 */
uint64_t ring_wall_seconds(uint64_t mono_ns);

/* A fork's child gets a lane of its own, when it first needs one. Context: child; signal-safe. */
void ring_after_fork(void);

/* This process's lane, claimed if need be; NULL when there is no ring or no lane is free. Context: hook; signal-safe.
 */
struct wire_lane *ring_lane(void);

/* Where this process's crash goes: memory that is there already. NULL: as ring_lane(). Context: hook; signal-safe. */
struct wire_crash *ring_crash(void);

/* An area for a copy of the stack, WIRE_CRASH_COPY_SIZE bytes that are not there before they are touched, and its
 * number plus one. NULL: all are taken. Called by a process that has a lane. Context: hook; signal-safe. */
void *ring_copy_take(uint32_t *ret_number);

/* The reservoirs and counts of X-Ray's rules. Called by a process that has a lane. Context: hook; signal-safe. */
struct wire_xray_tally *ring_xray_tallies(void);

/* Add one to a counter of the lane, if there is one. Context: hook; signal-safe. */
void ring_count(enum wire_count what);
void ring_drop(enum wire_drop cause);
void ring_drop_many(enum wire_drop cause, uint32_t count);
void ring_withhold(enum wire_withhold reason);

/* Take a slot of the in-flight table. NULL when there is none; counted. Its content is the previous user's.
 * Context: hook; signal-safe. */
struct wire_slot *ring_slot_take(void);

/* The first slot in use of this process's lane, from this index on; *index is then its own. NULL: none. Context: hook;
 * signal-safe. */
struct wire_slot *ring_slot_next(uint32_t *index);

/* Give it back: any slot of any ring this process ever had, also one of the parent's. Context: hook; signal-safe. */
void ring_slot_release(struct wire_slot *slot);

/* Is it a slot of this process's lane? Context: hook; signal-safe. */
bool ring_slot_is_own(struct wire_slot *slot);

/* Write a record. When `slot` is given, and one of this lane, its record_position is set before the record becomes
 * visible. False when it was dropped; counted. Wakes a sleeping agent. Context: hook; signal-safe. */
bool ring_write(enum wire_record_type type, const void *bytes, size_t length, struct wire_slot *slot);

/* Write some of a log: its head, the path that it says it has, and the bytes; path and bytes take WIRE_LOG_BYTES at
 * most. False when it was dropped, which the caller counts. Context: hook; signal-safe. */
bool ring_write_log(const struct wire_log *log, const char *path, const void *bytes, size_t length);

/* Tell the agent of this process's crash, asleep or not. Context: signal-safe; a system call. */
void ring_crash_bell(void);

/* Is this address in the mapping? Context: hook; signal-safe. */
bool ring_has(uintptr_t address);

/* The program has locked all its memory: give back the lanes that were never used. Context: hook; system calls. */
void ring_unlock(void);

/* From now on no system call of ours may be made: tell the agent that it won't be woken. Context: hook; signal-safe. */
void ring_before_sandbox(void);

#endif
