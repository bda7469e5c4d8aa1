/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/shim_core.h"

#include "preload/arena.h"
#include "preload/config.h"
#include "preload/facts.h"
#include "preload/ids.h"
#include "preload/process.h"
#include "preload/ring.h"
#include "preload/slice.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

bool shim_core_init(char *const *envp)
{
    static char *const arguments[] = {(char *)(uintptr_t) "test", NULL};
    size_t length;

    if (arena_init() < 0 || facts_init(arguments, envp) < 0 || process_init() < 0)
        return false;
    const char *text = facts_text(&length);
    config_init(text, length);
    ids_init();
    atomic_store_explicit(&process_active, 1, memory_order_release);
    return true;
}

struct wire_ring *shim_core_ring(uint32_t lane_count, uint32_t slot_count, uint32_t cell_count)
{
    const struct ring_geometry geometry = {lane_count, slot_count, cell_count, SHIM_CORE_COPIES};
    struct wire_ring *ring =
        mmap(NULL, ring_size(&geometry), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (ring == MAP_FAILED)
        return NULL;
    ring_format(ring, &geometry);
    ring_adopt(ring);
    return ring;
}

struct wire_lane *shim_core_lane(struct wire_ring *ring, uint32_t index)
{
    return (struct wire_lane *)(void *)((char *)ring + ring->header_size + index * ring->lane_stride);
}

struct wire_crash *shim_core_crash(struct wire_ring *ring, uint32_t lane)
{
    return (struct wire_crash *)(void *)((char *)shim_core_lane(ring, lane) + ring->crash_offset);
}

struct wire_slot *shim_core_slot(struct wire_ring *ring, uint32_t lane, uint32_t index)
{
    return (struct wire_slot *)(void *)((char *)shim_core_lane(ring, lane) + ring->slots_offset) + index;
}

struct wire_cell *shim_core_cell(struct wire_ring *ring, uint32_t lane, uint64_t position)
{
    char *cells = (char *)shim_core_lane(ring, lane) + ring->cells_offset;

    return (struct wire_cell *)(void *)cells + position % ring->cell_count;
}

/* The record that begins at `position`, which is ready. How many cells it has. */
static unsigned copy_record(struct wire_ring *ring, uint32_t lane, uint64_t position, struct wire_record *ret_header,
                            union shim_record *ret_record)
{
    unsigned parts = shim_core_cell(ring, lane, position)->parts;
    uint8_t bytes[WIRE_RECORD_MAX];
    size_t length = 0;

    for (unsigned part = 0; part < parts; part++) {
        struct wire_cell *cell = shim_core_cell(ring, lane, position + part);

        memcpy(bytes + length, cell->payload, cell->length);
        length += cell->length;
        atomic_store_explicit(&cell->state, wire_cell_word(position + part, ring->cell_count, WIRE_CELL_CONSUMED),
                              memory_order_relaxed);
    }
    memcpy(ret_header, bytes, sizeof(*ret_header));
    memcpy(ret_record->bytes, bytes + sizeof(*ret_header), length - sizeof(*ret_header));
    return parts;
}

enum wire_record_type shim_core_take(struct wire_ring *ring, uint32_t lane, union shim_record *ret_record,
                                     size_t *ret_length)
{
    struct wire_lane *shared = shim_core_lane(ring, lane);
    uint64_t tail = atomic_load_explicit(&shared->tail, memory_order_relaxed);

    for (; tail != atomic_load(&shared->head); tail++) {
        struct wire_cell *cell = shim_core_cell(ring, lane, tail);
        uint32_t state = atomic_load_explicit(&cell->state, memory_order_acquire);
        struct wire_record header;

        if (state == wire_cell_word(tail, ring->cell_count, WIRE_CELL_FREE) ||
            (state == wire_cell_word(tail, ring->cell_count, WIRE_CELL_READY) && cell->part > 0))
            continue;
        if (state != wire_cell_word(tail, ring->cell_count, WIRE_CELL_READY))
            break;
        tail += copy_record(ring, lane, tail, &header, ret_record);
        atomic_store_explicit(&shared->tail, tail, memory_order_release);
        *ret_length = header.length;
        return (enum wire_record_type)header.type;
    }
    atomic_store_explicit(&shared->tail, tail, memory_order_release);
    return WIRE_RECORD_NONE;
}

unsigned shim_core_slots_used(struct wire_ring *ring, uint32_t lane)
{
    unsigned count = 0;

    for (uint32_t word = 0; word < WIRE_SLOT_MAP_WORDS; word++)
        count += (unsigned)__builtin_popcountll(atomic_load(&shim_core_lane(ring, lane)->slot_map[word]));
    return count;
}

struct slice shim_core_text(const struct wire_request *request, enum wire_text id, unsigned n)
{
    for (size_t at = 0; at < request->text_length;) {
        size_t length = request->text[at + 2] | (size_t)request->text[at + 3] << 8;

        if (request->text[at] == id && n-- == 0)
            return (struct slice){(const char *)request->text + at + 4, length};
        at += 4 + length;
    }
    return (struct slice){NULL, 0};
}

struct request_ref shim_core_begin(uint8_t header)
{
    static uint64_t now_ns;
    struct wire_slot *slot = ring_slot_take();
    struct wire_request *request;

    if (!slot)
        abort();
    request = wire_slot_request(slot);
    memset(request, 0, sizeof(*request));
    request->start_ns = ++now_ns;
    request->kind = WIRE_KIND_SERVER;
    if (header != 0) {
        request->flags = WIRE_REQUEST_REMOTE_PARENT;
        memset(request->trace_id, header, sizeof(request->trace_id));
        memset(request->parent_span_id, header, sizeof(request->parent_span_id));
    }
    atomic_store(&slot->open, WIRE_SLOT_OPEN);
    request_begun(slot);
    return request_in(slot);
}

void shim_core_end(const struct request_ref *request)
{
    request_ended(request->slot);
    ring_slot_release(request->slot);
}
