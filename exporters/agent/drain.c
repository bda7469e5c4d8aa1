/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/drain_internal.h"

#include "exporters/agent/journal.h"
#include "exporters/agent/log_event.h"
#include "exporters/agent/log_lines.h"
#include "exporters/agent/process.h"
#include "exporters/agent/recent.h"
#include "exporters/agent/request_event.h"
#include "exporters/agent/source.h"
#include "exporters/encode/buffer.h"
#include "preload/wire.h"

#include <string.h>

/* Least payload by type. */
static const size_t record_min[WIRE_RECORD_TYPE_COUNT] = {
#define X(NAME, min) [WIRE_RECORD_##NAME] = (min),
    WIRE_RECORDS(X)
#undef X
};

static uint32_t generation_of(uint64_t owner)
{
    return (uint32_t)(owner >> 32);
}

static void publish_tail(struct source *source, uint32_t lane)
{
    /* release; pairs with the acquire load of the tail in the shim's reserve: our reads of the cells are done. */
    atomic_store_explicit(&source_lane(source, lane)->tail, source->lanes[lane].tail, memory_order_release);
}

/* records */

struct journal_origin drain_origin(const struct source_lane *state)
{
    return (struct journal_origin){.source = state->source->id,
                                   .lane = (uint32_t)(state - state->source->lanes),
                                   .generation = generation_of(state->owner),
                                   .pid = state->process ? state->process->pid : 0};
}

void drain_put(struct source *source, enum signal signal, const struct journal_origin *origin, struct process *process,
               const void *bytes, size_t length)
{
    struct source_outlet *outlet = &source->outlets[signal];

    if (!outlet->journal)
        return;
    (void)journal_append(outlet->journal, origin, bytes, length);
    outlet->journal_end = journal_end(outlet->journal);
    if (process)
        process->journal_end[signal] = outlet->journal_end;
}

static void append(struct source_lane *state, enum signal signal, uint64_t position, uint32_t cells, const void *bytes,
                   size_t length)
{
    struct journal_origin origin = drain_origin(state);

    origin.position = position;
    origin.cells = cells;
    drain_put(state->source, signal, &origin, state->process, bytes, length);
}

/* Has this record's line been written already? It has if the worker before was killed right after it wrote the line. */
static bool has_line(const struct source_lane *state, uint64_t position, uint32_t cells)
{
    return cells > 0 ? position < state->lined_end : position + 1 == state->lined_slot;
}

/* Add the log line of a request that was served, if request lines are on. */
static void append_line(struct source_lane *state, uint64_t position, uint32_t cells, const struct drain_record *record)
{
    static struct buffer entry; /* loop only */

    entry.length = 0;
    if (has_line(state, position, cells) ||
        request_event_append(&entry, state->process, &record->header, state->source->request_lines) <= 0)
        return;
    state->source->counts->log_event_count++;
    append(state, SIGNAL_LOGS, position, cells, entry.bytes, entry.length);
}

void drain_append(struct source *source, uint32_t lane, uint64_t position, uint32_t cells,
                  const struct drain_record *record)
{
    struct source_lane *state = &source->lanes[lane];

    if (state->process && source->request_lines != REQUEST_LINES_OFF)
        append_line(state, position, cells, record);
    append(state, SIGNAL_TRACES, position, cells, record, sizeof(record->header) + record->header.length);
}

/* Copy one ready cell's payload behind what is there. The cell is read once: its owner may change it meanwhile. How
 * many cells the record has by this one, 0 when it isn't the part we expect. */
static unsigned copy_cell(const struct wire_cell *cell, unsigned part, uint8_t *bytes, size_t *length)
{
    uint32_t word = __atomic_load_n((const uint32_t *)(const void *)&cell->part, __ATOMIC_RELAXED);
    unsigned parts = word >> 8 & 0xff;
    uint32_t cell_length = word >> 16;

    if ((word & 0xff) != part || parts == 0 || parts > WIRE_RECORD_CELLS_MAX || cell_length > WIRE_CELL_PAYLOAD)
        return 0;
    memcpy(bytes + *length, cell->payload, cell_length);
    *length += cell_length;
    return parts;
}

/* The record whose first cell is ready at `position`. Returns how many cells it takes, 0 when they make no record. */
static unsigned copy_record(const struct source *source, uint32_t lane, uint64_t position, uint64_t head,
                            struct drain_record *ret_record)
{
    uint8_t *bytes = (uint8_t *)ret_record;
    size_t length = 0;
    unsigned parts = copy_cell(source_cell(source, lane, position), 0, bytes, &length);

    if (parts == 0 || parts > head - position)
        return 0;
    for (unsigned part = 1; part < parts; part++) {
        const struct wire_cell *cell = source_cell(source, lane, position + part);

        /* Its first cell was committed last, so this one is ready, or somebody lies. */
        if (atomic_load_explicit(&cell->state, memory_order_acquire) !=
                wire_cell_word(position + part, source->cell_count, WIRE_CELL_READY) ||
            copy_cell(cell, part, bytes, &length) != parts)
            return 0;
    }
    if (length < sizeof(ret_record->header) || length != sizeof(ret_record->header) + ret_record->header.length)
        return 0;
    return parts;
}

static bool record_is_valid(const struct drain_record *record)
{
    unsigned type = record->header.type;

    return type > WIRE_RECORD_NONE && type < WIRE_RECORD_TYPE_COUNT && record->header.length >= record_min[type];
}

static void take_record(struct source *source, uint32_t lane, uint64_t position, unsigned parts,
                        const struct drain_record *record, uint64_t now_ns)
{
    if (!record_is_valid(record)) {
        source->counts->corrupt_count++;
        return;
    }
    if (record->header.type == WIRE_RECORD_DIAGNOSTIC)
        return;
    if (record->header.type == WIRE_RECORD_LOG) {
        const struct log_lines_place place = {position, parts};

        if (!drain_take_log(&source->lanes[lane], &place, record->payload, record->header.length, now_ns))
            source->counts->corrupt_count++;
        source->counts->taken_count++;
        return;
    }
    if (source->lanes[lane].process)
        recent_note(&source->lanes[lane].process->recent, record->payload, record->header.length);
    drain_append(source, lane, position, parts, record);
    source->counts->taken_count++;
}

/* The cell at the tail is READY and of this lap: take its record, or step over what can't be one. Returns how many
 * cells the tail moves. */
static unsigned take_cells(struct source *source, uint32_t lane, uint64_t position, uint64_t head, uint64_t now_ns)
{
    struct drain_record record;
    unsigned parts = copy_record(source, lane, position, head, &record);

    if (parts) {
        take_record(source, lane, position, parts, &record, now_ns);
    } else {
        uint32_t word =
            __atomic_load_n((uint32_t *)(void *)&source_cell(source, lane, position)->part, __ATOMIC_RELAXED);

        if ((word & 0xff) == 0) /* a continuation belongs to a record that was skipped, and was counted then */
            source->counts->corrupt_count++;
        parts = 1;
    }
    /* In the journals first, consumed then: a worker killed in between finds it there. */
    for (unsigned part = 0; part < parts; part++)
        atomic_store_explicit(&source_cell(source, lane, position + part)->state,
                              wire_cell_word(position + part, source->cell_count, WIRE_CELL_CONSUMED),
                              memory_order_release);
    return parts;
}

/* cells that are not ready */

enum verdict { VERDICT_WAIT, VERDICT_STEP, VERDICT_AGAIN };

/* Has this cell been waited for long enough? All cells that were reserved when the waiting began have waited as
 * long. */
static bool is_overdue(struct source_lane *state, uint64_t head, uint64_t now_ns)
{
    if (state->dead)
        return true;
    if (state->stuck_since_ns == 0) {
        state->stuck_since_ns = now_ns ? now_ns : 1;
        state->stuck_head = head;
        return false;
    }
    return state->tail < state->stuck_head && now_ns - state->stuck_since_ns >= DRAIN_PATIENCE_NS;
}

/* A cell at the tail that isn't ready: wait for it, or step over it when its time is up. */
static enum verdict judge_cell(struct source *source, uint32_t lane, uint32_t word, uint64_t head, uint64_t now_ns)
{
    struct source_lane *state = &source->lanes[lane];
    struct wire_cell *cell = source_cell(source, lane, state->tail);
    uint32_t skipped = wire_cell_word(state->tail, source->cell_count, WIRE_CELL_FREE);
    uint32_t kind = word & 3;

    if (word == skipped || word == (skipped | WIRE_CELL_CONSUMED))
        return VERDICT_STEP; /* done by the worker before */
    if (word == (skipped | WIRE_CELL_WRITING)) {
        if (!is_overdue(state, head, now_ns))
            return VERDICT_WAIT;
        source->counts->quarantined_count++;
        state->dirty = true;
        return VERDICT_STEP;
    }
    /* A writer of an older lap holds the cell, or finished it too late: no writer of this lap can begin it, so there
     * is nothing to wait for. */
    if (kind == WIRE_CELL_WRITING) {
        state->dirty = true;
        return VERDICT_STEP;
    }
    if (kind != WIRE_CELL_READY && !is_overdue(state, head, now_ns))
        return VERDICT_WAIT;
    if (!atomic_compare_exchange_strong(&cell->state, &word, skipped))
        return VERDICT_AGAIN; /* begun at the last moment */
    if (kind != WIRE_CELL_READY)
        source->counts->skipped_count++;
    return VERDICT_STEP;
}

/* One step at the tail. Returns how many cells it moves, 0 when the next cell has to be waited for. */
static unsigned step(struct source *source, uint32_t lane, uint64_t head, uint64_t now_ns)
{
    uint64_t tail = source->lanes[lane].tail;

    for (int attempt = 0; attempt < 4; attempt++) {
        /* acquire; pairs with the release store of READY in the shim's commit. */
        uint32_t word = atomic_load_explicit(&source_cell(source, lane, tail)->state, memory_order_acquire);

        if (word == wire_cell_word(tail, source->cell_count, WIRE_CELL_READY))
            return take_cells(source, lane, tail, head, now_ns);
        switch (judge_cell(source, lane, word, head, now_ns)) {
        case VERDICT_WAIT:
            return 0;
        case VERDICT_STEP:
            return 1;
        case VERDICT_AGAIN:
            break;
        }
    }
    return 0;
}

size_t drain_lane(struct source *source, uint32_t lane, uint64_t now_ns)
{
    struct source_lane *state = &source->lanes[lane];
    uint64_t head = atomic_load_explicit(&source_lane(source, lane)->head, memory_order_acquire);
    uint64_t start = state->tail;

    if (head == start)
        return 0;
    if (head - start > source->cell_count) { /* no shim does that */
        source->counts->corrupt_count++;
        state->tail = head;
        state->stuck_since_ns = 0;
        publish_tail(source, lane);
        return 0;
    }
    while (state->tail != head) {
        unsigned moved = step(source, lane, head, now_ns);

        if (moved == 0)
            break;
        state->tail += moved;
        if (state->tail >= state->stuck_head)
            state->stuck_since_ns = 0;
    }
    if (state->tail != start)
        publish_tail(source, lane);
    return state->tail - start;
}

bool drain_has_more(const struct source *source, uint32_t lane)
{
    return atomic_load(&source_lane(source, lane)->head) != source->lanes[lane].tail;
}

/* the lane of a dead process */

/* Cells that were left in writing would be lost for every later owner. */
static void clear_cells(struct source *source, uint32_t lane)
{
    uint64_t tail = source->lanes[lane].tail;
    uint64_t start = tail > source->cell_count ? tail - source->cell_count : 0;

    for (uint64_t position = start; position < tail; position++) {
        struct wire_cell *cell = source_cell(source, lane, position);
        uint32_t kind = atomic_load(&cell->state) & 3;

        if (kind == WIRE_CELL_WRITING || kind == WIRE_CELL_READY)
            atomic_store(&cell->state, wire_cell_word(position, source->cell_count, WIRE_CELL_FREE));
    }
}

void drain_release(struct source *source, uint32_t lane)
{
    struct wire_lane *shared = source_lane(source, lane);
    struct source_lane *state = &source->lanes[lane];

    if (state->dirty)
        clear_cells(source, lane);
    for (uint32_t word = 0; word < WIRE_SLOT_MAP_WORDS; word++)
        atomic_store_explicit(&shared->slot_map[word], 0, memory_order_relaxed);
    atomic_store_explicit(&shared->cannot_wake, 0, memory_order_relaxed);
    state->lined_slot = 0;
    shared->claimed_boot_ns = 0; /* a new owner's claim is believed only with a time of its own */
    /* release; pairs with the acquire in the shim's claim */
    atomic_store_explicit(&shared->owner, (uint64_t)(generation_of(state->owner) + 1) << 32, memory_order_release);
}

/* after a restart */

bool drain_is_owner(const struct source *source, const struct journal_origin *origin)
{
    return source->map && origin->lane < source->lane_count &&
           generation_of(atomic_load(&source_lane(source, origin->lane)->owner)) == origin->generation;
}

void drain_has_taken(struct source *source, const struct journal_origin *origin)
{
    uint64_t end = origin->position + origin->cells;

    if (drain_is_owner(source, origin) && end > source->lanes[origin->lane].tail)
        source->lanes[origin->lane].tail = end;
}

static bool is_request_line(enum signal signal, const struct journal_entry *entry)
{
    const struct log_event_record *event = entry->record;

    return signal == SIGNAL_LOGS && entry->length >= sizeof(*event) && event->stream == LOG_EVENT_STREAM_REQUEST;
}

/* The line is written before the span, so the record itself may not have been taken yet. */
static void resume_line(struct source *source, const struct journal_origin *origin)
{
    struct source_lane *state = &source->lanes[origin->lane];

    if (origin->cells == 0)
        state->lined_slot = origin->position + 1;
    else if (origin->position + origin->cells > state->lined_end)
        state->lined_end = origin->position + origin->cells;
}

static void resume_entry(struct source *source, enum signal signal, const struct journal_entry *entry)
{
    const struct journal_origin *origin = &entry->origin;

    source->outlets[signal].journal_end = entry->next;
    if (!drain_is_owner(source, origin))
        return;
    if (is_request_line(signal, entry))
        resume_line(source, origin);
    else if (origin->cells > 0)
        drain_has_taken(source, origin);
    else if (origin->position < source->slot_count)
        drain_clear_slot(source, origin->lane, (uint32_t)origin->position);
}

void drain_start(struct source *source)
{
    for (uint32_t lane = 0; lane < source->lane_count; lane++)
        source->lanes[lane].tail = source->lanes[lane].reclaimed = atomic_load(&source_lane(source, lane)->tail);
}

/* The worker before was killed between journal and ring: finish what it had begun. */
static void finish_lane(struct source *source, uint32_t lane)
{
    struct source_lane *state = &source->lanes[lane];
    uint64_t position = atomic_load(&source_lane(source, lane)->tail);

    if (state->tail - position > source->cell_count)
        return;
    for (; position < state->tail; position++) {
        uint32_t ready = wire_cell_word(position, source->cell_count, WIRE_CELL_READY);
        uint32_t consumed = wire_cell_word(position, source->cell_count, WIRE_CELL_CONSUMED);

        (void)atomic_compare_exchange_strong(&source_cell(source, lane, position)->state, &ready, consumed);
    }
    publish_tail(source, lane);
}

void drain_resume(struct source *source)
{
    struct journal_entry entry;

    for (enum signal signal = 0; signal < SIGNAL_COUNT; signal++) {
        struct journal *journal = source->outlets[signal].journal;

        for (uint64_t position = 0; journal && journal_read(journal, position, &entry); position = entry.next)
            if (entry.origin.source == source->id)
                resume_entry(source, signal, &entry);
    }
    drain_replay_logs(source);
    for (uint32_t lane = 0; source->map && lane < source->lane_count; lane++)
        finish_lane(source, lane);
}
