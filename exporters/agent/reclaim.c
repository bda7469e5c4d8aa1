/* SPDX-License-Identifier: Apache-2.0 */
/* The target may write again at any moment, so what is given back is first held by its own rules: cells look as if they
 * were being written, slots as if they were in use. It passes them over, counted; the distance kept makes it all but
 * impossible that it gets there. A hole reads as zero: with the memory goes the hold. */
#include "exporters/agent/reclaim.h"

#include "exporters/agent/drain.h"
#include "exporters/agent/source.h"
#include "preload/wire.h"

#include <fcntl.h>
#include <unistd.h>

enum {
    PAGE_CELLS = WIRE_PAGE / WIRE_CELL_SIZE,
    KEPT_CELLS = 256, /* after the head: no writer gets so far while a page is held */
    WORD_SLOTS = 64,
    KEPT_WORDS = 1, /* of the slot map */
};

static bool punch(const struct source *source, const void *start, size_t length)
{
    off_t offset = (const uint8_t *)start - source->map;

    return fallocate(source->ring_memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, (off_t)length) == 0;
}

/* Only whole pages become holes; the rest of a range would be zeroed while others look. */
static bool is_page_start(const struct source *source, const void *start)
{
    return sysconf(_SC_PAGESIZE) == WIRE_PAGE && ((const uint8_t *)start - source->map) % WIRE_PAGE == 0;
}

static void let_go_cells(struct source *source, uint32_t lane, uint64_t position, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        atomic_store_explicit(&source_cell(source, lane, position + i)->state,
                              wire_cell_word(position + i, source->cell_count, WIRE_CELL_CONSUMED),
                              memory_order_release);
}

/* A killed worker leaves these eight to nobody, as a killed writer would. */
static bool hold_cells(struct source *source, uint32_t lane, uint64_t position)
{
    for (unsigned i = 0; i < PAGE_CELLS; i++) {
        uint32_t consumed = wire_cell_word(position + i, source->cell_count, WIRE_CELL_CONSUMED);
        uint32_t held = wire_cell_word(position + i, source->cell_count, WIRE_CELL_WRITING);

        if (!atomic_compare_exchange_strong(&source_cell(source, lane, position + i)->state, &consumed, held)) {
            let_go_cells(source, lane, position, i);
            return false;
        }
    }
    return true;
}

static size_t reclaim_cells(struct source *source, uint32_t lane)
{
    struct source_lane *state = &source->lanes[lane];
    uint64_t ahead = state->tail + KEPT_CELLS; /* a cell is written again a lap later */
    uint64_t oldest = ahead > source->cell_count ? ahead - source->cell_count : 0;
    uint64_t position = state->reclaimed > oldest ? state->reclaimed : oldest;
    size_t count = 0;

    position = (position + PAGE_CELLS - 1) / PAGE_CELLS * PAGE_CELLS;
    if (!is_page_start(source, source_cell(source, lane, position)))
        return 0;
    for (; position + PAGE_CELLS <= state->tail; position += PAGE_CELLS) {
        if (drain_has_more(source, lane))
            break; /* not quiet any more */
        if (!hold_cells(source, lane, position))
            continue;
        if (!punch(source, source_cell(source, lane, position), WIRE_PAGE)) {
            let_go_cells(source, lane, position, PAGE_CELLS);
            break;
        }
        count += WIRE_PAGE;
    }
    if (position > state->reclaimed)
        state->reclaimed = position;
    return count;
}

static size_t reclaim_slots(struct source *source, uint32_t lane)
{
    struct wire_lane *shared = source_lane(source, lane);
    size_t count = 0;

    for (uint32_t word = KEPT_WORDS; word < source->slot_count / WORD_SLOTS; word++) {
        struct wire_slot *first = source_slot(source, lane, word * WORD_SLOTS);
        uint64_t none = 0;

        if (!is_page_start(source, first) ||
            !atomic_compare_exchange_strong(&shared->slot_map[word], &none, UINT64_MAX))
            continue;
        if (punch(source, first, (size_t)WORD_SLOTS * WIRE_SLOT_SIZE))
            count += (size_t)WORD_SLOTS * WIRE_SLOT_SIZE;
        /* release; pairs with the acquire of the shim's ring_slot_take: the slots are zero by then */
        atomic_store_explicit(&shared->slot_map[word], 0, memory_order_release);
    }
    return count;
}

size_t reclaim_source(struct source *source)
{
    size_t count = 0;

    for (uint32_t lane = 0; lane < source->lane_count; lane++) {
        const struct source_lane *state = &source->lanes[lane];

        if (state->owner == 0 || state->reclaimed + PAGE_CELLS > state->tail) /* never used, or not since */
            continue;
        count += reclaim_cells(source, lane);
        count += reclaim_slots(source, lane);
    }
    return count;
}
