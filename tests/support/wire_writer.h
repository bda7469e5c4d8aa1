/* SPDX-License-Identifier: Apache-2.0 */
/* A writer as wire.h describes it, small enough to be read: stands in for the shim where the agent's reading is
 * tested. */
#ifndef SPANSHIM_WIRE_WRITER_H
#define SPANSHIM_WIRE_WRITER_H

#include "preload/wire.h"

#include <stdbool.h>
#include <stddef.h>

struct wire_writer {
    int ring_memfd, control_memfd;
    struct wire_ring *ring;
    size_t size;
};

/* A formatted ring in a sealed memfd, and a control page. 0 or -errno. */
int wire_writer_open(struct wire_writer *writer, uint32_t lane_count, uint32_t slot_count, uint32_t cell_count);
void wire_writer_close(struct wire_writer *writer);

/* The lane's crash; NULL when the ring has no room for it: lanes are whole pages where it has. */
struct wire_crash *wire_writer_crash(const struct wire_writer *writer, uint32_t lane);

struct wire_lane *wire_writer_lane(const struct wire_writer *writer, uint32_t lane);
struct wire_slot *wire_writer_slot(const struct wire_writer *writer, uint32_t lane, uint32_t slot);
struct wire_cell *wire_writer_cell(const struct wire_writer *writer, uint32_t lane, uint64_t position);

/* Claim a free lane; false when it isn't. */
bool wire_writer_claim(const struct wire_writer *writer, uint32_t lane, uint32_t pid);

/* The steps of a write: reserve, then for each part begin and fill, then commit. */
bool wire_writer_reserve(const struct wire_writer *writer, uint32_t lane, uint32_t parts, uint64_t *ret_position);
bool wire_writer_begin(const struct wire_writer *writer, uint32_t lane, uint64_t position);
void wire_writer_commit(const struct wire_writer *writer, uint32_t lane, uint64_t position);

/* All of them; `slot` may be NULL. False when there is no room or a cell was lost. Wakes a sleeping reader. */
bool wire_writer_write(const struct wire_writer *writer, uint32_t lane, enum wire_record_type type, const void *bytes,
                       size_t length, struct wire_slot *slot);

/* A valid request whose ids, body size and path tell `number`; how many bytes it takes. */
size_t wire_writer_request(void *bytes, uint64_t number, size_t path_length);

/* The number of such a request if it is whole; UINT64_MAX: it is torn. */
uint64_t wire_writer_number(const void *bytes, size_t length);

#endif
