/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of drain share: drain.c reads the cells of a lane, drain_slots.c its in-flight table. */
#ifndef SPANSHIM_DRAIN_INTERNAL_H
#define SPANSHIM_DRAIN_INTERNAL_H

#include "exporters/agent/drain.h"
#include "preload/wire.h"

#include <stdint.h>

struct source;

/* A record put together from its cells or made of a slot, ours alone. */
struct drain_record {
    struct wire_record header;
    uint8_t payload[WIRE_RECORD_CELLS_MAX * WIRE_CELL_PAYLOAD - sizeof(struct wire_record)];
};

/* Put a record of this lane into the source's journal, with where it was (journal.h). Context: loop. */
void drain_append(struct source *source, uint32_t lane, uint64_t position, uint32_t cells,
                  const struct drain_record *record);

/* Free a slot of a dead process. Context: loop. */
void drain_clear_slot(struct source *source, uint32_t lane, uint32_t slot);

#endif
