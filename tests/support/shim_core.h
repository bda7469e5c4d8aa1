/* SPDX-License-Identifier: Apache-2.0 */
/* The shim's core in a test's own process, without hooks: what init.c sets up, a ring of the test's own, and a reader
 * that takes records as wire.h says. */
#ifndef SPANSHIM_SHIM_CORE_H
#define SPANSHIM_SHIM_CORE_H

#include "preload/request.h"
#include "preload/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice; /* preload/slice.h */

/* A record's payload. */
union shim_record {
    struct wire_request request;
    uint8_t bytes[WIRE_RECORD_MAX];
};

/* Start the core with these variables as its environment (NULL: none). False when it can't be. Once per process. */
bool shim_core_init(char *const *envp);

enum { SHIM_CORE_COPIES = 2 }; /* of stacks, in such a ring */

/* A zeroed, formatted ring that forked processes share; the core's own from now on. */
struct wire_ring *shim_core_ring(uint32_t lane_count, uint32_t slot_count, uint32_t cell_count);

struct wire_lane *shim_core_lane(struct wire_ring *ring, uint32_t index);
struct wire_crash *shim_core_crash(struct wire_ring *ring, uint32_t lane);
struct wire_slot *shim_core_slot(struct wire_ring *ring, uint32_t lane, uint32_t index);
struct wire_cell *shim_core_cell(struct wire_ring *ring, uint32_t lane, uint64_t position);

/* Take the record at the tail: its type, its payload and the payload's length. WIRE_RECORD_NONE: none is ready. A cell
 * that was given up and a continuation are stepped over. */
enum wire_record_type shim_core_take(struct wire_ring *ring, uint32_t lane, union shim_record *ret_record,
                                     size_t *ret_length);

/* How many slots of a lane are in use. */
unsigned shim_core_slots_used(struct wire_ring *ring, uint32_t lane);

/* A server's request whose head is complete; with a caller's header of this number, 0 for none. Aborts when there is no
 * slot. And: it has ended. */
struct request_ref shim_core_begin(uint8_t header);
void shim_core_end(const struct request_ref *request);

/* The n-th text of this id; no bytes: there is none. Borrowed from the request. */
struct slice shim_core_text(const struct wire_request *request, enum wire_text id, unsigned n);

#endif
