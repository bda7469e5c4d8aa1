/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/carried.h"

#include "preload/arena.h"
#include "preload/current.h"
#include "preload/wire.h"

/* Most baggage is short. Blocks for what is longer are few, or clients could use up the arena. */
enum {
    SMALL_SIZE = 1024,
    LARGE_SIZE = sizeof(struct carried) + CARRIED_BAGGAGE_MAX,
    LARGE_MAX = 256,
};
static struct arena_pool small_blocks = {.block_size = SMALL_SIZE};
static struct arena_pool large_blocks = {.block_size = LARGE_SIZE};

/* Large blocks in use; any thread, relaxed. */
static _Atomic uint32_t large_count;

/* The arena's number of the block that belongs to the slot of this index, 0: none. Slots of several lanes may have one
 * index (a fork's child holds some of its parent's): the block says whose it is, and the later request displaces the
 * earlier one's. Any thread; the exchange that takes a block out comes before its reuse (acq_rel; pairs with the fence
 * in carried_is_attached). */
static _Atomic uint32_t blocks[WIRE_SLOTS_MAX];

static _Atomic uint32_t *block_of(const struct wire_slot *slot)
{
    return &blocks[slot->index % WIRE_SLOTS_MAX];
}

static bool is_large(const struct carried *carried)
{
    return carried->baggage_room == CARRIED_BAGGAGE_MAX;
}

static struct carried *block_get(bool large)
{
    struct carried *carried;

    if (large && atomic_fetch_add_explicit(&large_count, 1, memory_order_relaxed) >= LARGE_MAX)
        carried = NULL;
    else
        carried = arena_pool_get(large ? &large_blocks : &small_blocks);
    if (!carried) {
        if (large)
            atomic_fetch_sub_explicit(&large_count, 1, memory_order_relaxed);
        return NULL;
    }
    carried->b3_debug = carried->xray_asked = false;
    carried->baggage_members = 0;
    carried->xray_length = carried->baggage_length = 0;
    carried->baggage_room = large ? CARRIED_BAGGAGE_MAX : SMALL_SIZE - sizeof(struct carried);
    atomic_store_explicit(&carried->slot, NULL, memory_order_relaxed);
    return carried;
}

bool carried_reserve(struct carried **carried, size_t baggage_length)
{
    struct carried *old = *carried, *new;

    if (old && baggage_length <= old->baggage_room)
        return true;
    new = block_get(baggage_length > SMALL_SIZE - sizeof(struct carried));
    if (!new)
        return false;
    if (old) {
        new->b3_debug = old->b3_debug;
        new->xray_asked = old->xray_asked;
        new->baggage_members = old->baggage_members;
        new->xray_length = old->xray_length;
        new->baggage_length = old->baggage_length;
        slice_copy(new->xray, old->xray, old->xray_length);
        slice_copy(new->baggage, old->baggage, old->baggage_length);
        carried_free(old);
    }
    *carried = new;
    return true;
}

void carried_add_baggage(struct carried *carried, struct slice member)
{
    if (carried->baggage_length > 0)
        carried->baggage[carried->baggage_length++] = ',';
    slice_copy(carried->baggage + carried->baggage_length, member.bytes, member.length);
    carried->baggage_length = (uint16_t)(carried->baggage_length + member.length);
    carried->baggage_members++;
}

void carried_add_xray(struct carried *carried, struct slice piece)
{
    size_t separator = carried->xray_length > 0;

    if (carried->xray_length + separator + piece.length > CARRIED_XRAY_SIZE)
        return;
    if (separator)
        carried->xray[carried->xray_length++] = ';';
    slice_copy(carried->xray + carried->xray_length, piece.bytes, piece.length);
    carried->xray_length = (uint16_t)(carried->xray_length + piece.length);
}

void carried_free(struct carried *carried)
{
    bool large = carried && is_large(carried);

    if (!carried)
        return;
    arena_pool_put(large ? &large_blocks : &small_blocks, carried);
    if (large)
        atomic_fetch_sub_explicit(&large_count, 1, memory_order_relaxed);
}

void carried_attach(struct wire_slot *slot, uint64_t start_ns, struct carried *carried)
{
    uint32_t old;

    atomic_store_explicit(&carried->start_ns, start_ns, memory_order_relaxed);
    atomic_store_explicit(&carried->slot, slot, memory_order_relaxed);
    old = atomic_exchange_explicit(block_of(slot), arena_number(carried), memory_order_acq_rel);
    if (old != 0)
        carried_free(arena_at(old));
}

const struct carried *carried_of(const struct request_ref *request)
{
    uint32_t number = request->slot ? atomic_load_explicit(block_of(request->slot), memory_order_acquire) : 0;
    const struct carried *carried = number != 0 ? arena_at(number) : NULL;

    return carried && carried_is_attached(carried, request) ? carried : NULL;
}

bool carried_is_attached(const struct carried *carried, const struct request_ref *request)
{
    atomic_thread_fence(memory_order_acquire); /* the caller has read the block before this */
    return atomic_load_explicit(block_of(request->slot), memory_order_relaxed) == arena_number(carried) &&
           atomic_load_explicit(&carried->slot, memory_order_relaxed) == request->slot &&
           atomic_load_explicit(&carried->start_ns, memory_order_relaxed) == request->start_ns;
}

/* Also the block of a request that had the slot before, and that another process ended. */
__attribute__((cold, noinline)) static void detach(struct wire_slot *slot, uint32_t number)
{
    struct carried *carried = arena_at(number);

    if (atomic_load_explicit(&carried->slot, memory_order_relaxed) == slot &&
        atomic_compare_exchange_strong_explicit(block_of(slot), &number, 0, memory_order_acq_rel, memory_order_relaxed))
        carried_free(carried);
}

void carried_end(struct wire_slot *slot)
{
    uint32_t number = atomic_load_explicit(block_of(slot), memory_order_relaxed);

    if (__builtin_expect(number != 0, 0))
        detach(slot, number);
}
