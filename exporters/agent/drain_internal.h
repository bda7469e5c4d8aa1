/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of drain share: drain.c reads the cells of a lane, drain_slots.c its in-flight table, and drain_logs.c
 * puts the lines of its logs together. */
#ifndef SPANSHIM_DRAIN_INTERNAL_H
#define SPANSHIM_DRAIN_INTERNAL_H

#include "exporters/agent/drain.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/log_lines.h"
#include "exporters/exporter.h"
#include "preload/wire.h"

#include <stdint.h>

struct process;
struct source;
struct source_lane;

/* A record put together from its cells or made of a slot, ours alone. */
struct drain_record {
    struct wire_record header;
    uint8_t payload[WIRE_RECORD_CELLS_MAX * WIRE_CELL_PAYLOAD - sizeof(struct wire_record)];
};

/* Put a record of this lane into the source's journal, with where it was (journal.h). Context: loop. */
void drain_append(struct source *source, uint32_t lane, uint64_t position, uint32_t cells,
                  const struct drain_record *record);

/* The origin of what the lane's owner writes, without its position. Context: loop. */
struct journal_origin drain_origin(const struct source_lane *state);

/* Add it to the source's journal of this signal, if there is one. The process may be NULL. Context: loop. */
void drain_put(struct source *source, enum signal signal, const struct journal_origin *origin, struct process *process,
               const void *bytes, size_t length);

/* After a restart: is the ring mapped, and has the process still its lane? Context: loop. */
bool drain_is_owner(const struct source *source, const struct journal_origin *origin);

/* After a restart: the record was taken by the worker before, and is not taken again. Context: loop. */
void drain_has_taken(struct source *source, const struct journal_origin *origin);

/* Take a piece of a log. Returns false when it can't be one. Context: loop. */
bool drain_take_log(struct source_lane *state, const struct log_lines_place *place, const void *piece, size_t length,
                    uint64_t now_ns);

/* After a restart: read the write-ahead log; the source's lines are as the worker before had them then. Context:
 * loop. */
void drain_replay_logs(struct source *source);

/* Free a slot of a dead process. Context: loop. */
void drain_clear_slot(struct source *source, uint32_t lane, uint32_t slot);

#endif
