/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/request.h"

#include "preload/propagation.h"
#include "preload/ring.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/* Where each request goes on, by its slot's index: low half of its start << 32 | how often it waits << 16 | how many
 * threads hold it. One that ended elsewhere leaves its state behind; the start tells. Any thread, relaxed: a count that
 * comes late makes one decision as if it had been taken a moment before. */
static _Atomic uint64_t states[WIRE_SLOTS_MAX];

enum { HELD = 1, WAITS = 1 << 16 };
#define PLACED UINT64_C(0xffffffff)

/* The server's request that began last. Any thread, relaxed. */
static _Atomic(struct wire_slot *) youngest;

/* Requests that may be adrift: a bit for each slot, and one for each word of those, so that many requests in flight
 * cost a look no more than few. Whoever sets a request adrift sets its bit; whoever looks and finds that it isn't, or
 * has ended, takes it back, and looks once more: it may have been set adrift in between. Any thread, sequentially
 * consistent with the states: that look must see them. */
static _Atomic uint64_t adrift[WIRE_SLOT_MAP_WORDS], adrift_words;
static_assert(WIRE_SLOT_MAP_WORDS <= 64, "adrift_words");

/* Requests by the context that they came with: number of requests << 16 | exclusive or of their slots' indices + 1. A
 * bucket with one request names it; with more the slots are searched. Counts that an end elsewhere leaves behind are
 * put right by the search. Any thread, relaxed: what is found is verified. */
enum { BUCKETS = 8192, INDEX_BITS = 16 };
static _Atomic uint32_t buckets[BUCKETS];
#define BUCKET_INDEX ((UINT32_C(1) << INDEX_BITS) - 1)
#define BUCKET_ONE   (UINT32_C(1) << INDEX_BITS)

/* A search looks at so many slots. */
enum { SEARCH_MAX = 1024 };

struct wire_request *request_live(const struct request_ref *ref)
{
    if (!ref->slot || atomic_load_explicit(&ref->slot->open, memory_order_acquire) != WIRE_SLOT_OPEN ||
        request_start(ref->slot) != ref->start_ns)
        return NULL;
    return wire_slot_request(ref->slot);
}

static bool is_open_server(struct wire_slot *slot)
{
    return atomic_load_explicit(&slot->open, memory_order_acquire) == WIRE_SLOT_OPEN &&
           wire_slot_request(slot)->kind == WIRE_KIND_SERVER;
}

/* The state's bits that name the request. */
static uint64_t tag(uint64_t start_ns)
{
    return start_ns << 32;
}

/* An atomic operation only where the bit isn't set. */
static inline void set_bit(_Atomic uint64_t *word, uint32_t bit)
{
    if ((atomic_load_explicit(word, memory_order_seq_cst) & UINT64_C(1) << bit) == 0)
        (void)atomic_fetch_or_explicit(word, UINT64_C(1) << bit, memory_order_seq_cst);
}

static void clear_bit(_Atomic uint64_t *word, uint32_t bit)
{
    (void)atomic_fetch_and_explicit(word, ~(UINT64_C(1) << bit), memory_order_seq_cst);
}

static void set_adrift(const struct wire_slot *slot)
{
    uint32_t index = slot->index % WIRE_SLOTS_MAX;

    set_bit(&adrift[index / 64], index % 64);
    set_bit(&adrift_words, index / 64);
}

/* Add to a count of the request, or take from it; returns the state that results, 0 when it is not this request's. */
static uint64_t state_add(const struct request_ref *ref, int64_t change, uint64_t mask)
{
    _Atomic uint64_t *state = &states[ref->slot->index % WIRE_SLOTS_MAX];
    uint64_t old = atomic_load_explicit(state, memory_order_relaxed);
    uint64_t want;

    do {
        if (tag(old >> 32) != tag(ref->start_ns) || (change < 0 && (old & mask) == 0))
            return 0;
        want = old + (uint64_t)change;
    } while (!atomic_compare_exchange_weak_explicit(state, &old, want, memory_order_seq_cst, memory_order_relaxed));
    if ((want & PLACED) == 0)
        set_adrift(ref->slot);
    return want;
}

void request_hold(const struct request_ref *ref)
{
    (void)state_add(ref, HELD, 0);
}

bool request_leave(const struct request_ref *ref)
{
    uint64_t state;

    if (!request_live(ref))
        return false;
    state = state_add(ref, -HELD, WAITS - 1);
    return state != 0 && (state & PLACED) == 0 && request_answered(ref->slot) == 0;
}

void request_wait(const struct request_ref *ref)
{
    (void)state_add(ref, WAITS, 0);
}

void request_go_on(const struct request_ref *ref)
{
    (void)state_add(ref, -WAITS, PLACED & ~(uint64_t)(WAITS - 1));
}

/* Is it open, without an answer? */
static bool is_unanswered(struct wire_slot *slot)
{
    return is_open_server(slot) && request_answered(slot) == 0;
}

/* Is it, and does it go on nobody knows where? */
static bool is_adrift(struct wire_slot *slot)
{
    uint64_t state = atomic_load_explicit(&states[slot->index % WIRE_SLOTS_MAX], memory_order_seq_cst);

    return is_unanswered(slot) && ((state & PLACED) == 0 || state >> 32 != (uint32_t)request_start(slot));
}

/* The slot with this index, if it is in use. */
static struct wire_slot *slot_at(uint32_t index)
{
    uint32_t found = index;
    struct wire_slot *slot = ring_slot_next(&found);

    return found == index ? slot : NULL;
}

/* Is there a request adrift in this word but for `ref`? Bits of others that aren't are taken back. */
static bool has_adrift(const struct request_ref *ref, uint32_t word)
{
    uint64_t bits = atomic_load_explicit(&adrift[word], memory_order_seq_cst);

    for (; bits != 0; bits &= bits - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(bits);
        struct wire_slot *slot = slot_at(word * 64 + bit);

        if (slot && slot == ref->slot)
            continue;
        if (slot && is_adrift(slot))
            return true;
        clear_bit(&adrift[word], bit);
        slot = slot_at(word * 64 + bit); /* it may be in use only now */
        if (slot && is_adrift(slot)) {
            set_adrift(slot);
            return true;
        }
    }
    return false;
}

bool request_others_are_placed(const struct request_ref *ref)
{
    uint64_t words = atomic_load_explicit(&adrift_words, memory_order_seq_cst);

    for (; words != 0; words &= words - 1) {
        uint32_t word = (uint32_t)__builtin_ctzll(words);

        if (has_adrift(ref, word))
            return false;
        if (atomic_load_explicit(&adrift[word], memory_order_seq_cst) != 0)
            continue;
        clear_bit(&adrift_words, word);
        if (atomic_load_explicit(&adrift[word], memory_order_seq_cst) != 0)
            set_bit(&adrift_words, word);
    }
    return true;
}

bool request_is_alone(const struct request_ref *ref)
{
    struct wire_slot *slot;

    for (uint32_t index = 0; (slot = ring_slot_next(&index)) != NULL; index++)
        if (slot != ref->slot && is_unanswered(slot))
            return false;
    return true;
}

bool request_is_youngest(const struct request_ref *ref)
{
    return atomic_load_explicit(&youngest, memory_order_relaxed) == ref->slot;
}

bool request_none_is_open(void)
{
    struct wire_slot *slot;

    for (uint32_t index = 0; (slot = ring_slot_next(&index)) != NULL; index++)
        if (is_open_server(slot))
            return false;
    return true;
}

enum wire_parent request_why_none(void)
{
    enum wire_parent why = WIRE_PARENT_NONE;
    struct wire_slot *slot;

    for (uint32_t index = 0; (slot = ring_slot_next(&index)) != NULL; index++) {
        if (!is_open_server(slot))
            continue;
        if (why != WIRE_PARENT_NONE)
            return WIRE_PARENT_AMBIGUOUS;
        why = WIRE_PARENT_UNKNOWN;
    }
    return why;
}

static _Atomic uint32_t *bucket_of(const uint8_t trace_id[16], const uint8_t span_id[8])
{
    uint64_t trace, span;

    memcpy(&trace, trace_id + 8, sizeof(trace));
    memcpy(&span, span_id, sizeof(span));
    return &buckets[((trace ^ span) * UINT64_C(0x9e3779b97f4a7c15)) >> 51];
}
static_assert(BUCKETS == 1 << (64 - 51), "bucket_of");

/* Counted in or out; a count of 0 stays. */
static void bucket_change(const struct wire_slot *slot, bool add)
{
    const struct wire_request *request = wire_slot_request((struct wire_slot *)(uintptr_t)slot);
    _Atomic uint32_t *bucket = bucket_of(request->trace_id, request->parent_span_id);
    uint32_t old = atomic_load_explicit(bucket, memory_order_relaxed);
    uint32_t want;

    do {
        if (!add && old < BUCKET_ONE)
            return;
        want = (old ^ (slot->index + 1)) + (add ? BUCKET_ONE : -BUCKET_ONE);
    } while (!atomic_compare_exchange_weak_explicit(bucket, &old, want, memory_order_relaxed, memory_order_relaxed));
}

void request_begun(struct wire_slot *slot)
{
    const struct wire_request *request = wire_slot_request(slot);

    atomic_store_explicit(&states[slot->index % WIRE_SLOTS_MAX], tag(request->start_ns), memory_order_seq_cst);
    atomic_store_explicit(&youngest, slot, memory_order_relaxed);
    set_adrift(slot);
    if (request->flags & WIRE_REQUEST_REMOTE_PARENT)
        bucket_change(slot, true);
}

void request_ended(struct wire_slot *slot)
{
    const struct wire_request *request = wire_slot_request(slot);

    if (request->kind == WIRE_KIND_SERVER && (request->flags & WIRE_REQUEST_REMOTE_PARENT) && ring_slot_is_own(slot))
        bucket_change(slot, false);
}

static bool came_with(struct wire_slot *slot, const struct trace_context *context)
{
    const struct wire_request *request = wire_slot_request(slot);

    return is_open_server(slot) && (request->flags & WIRE_REQUEST_REMOTE_PARENT) &&
           memcmp(request->trace_id, context->trace_id, sizeof(request->trace_id)) == 0 &&
           memcmp(request->parent_span_id, context->span_id, sizeof(request->parent_span_id)) == 0;
}

/* Several requests share the bucket. The one that came with this context, if it is the only one; and the bucket as it
 * should be, which it becomes unless somebody has changed it meanwhile. */
__attribute__((cold, noinline)) static struct wire_slot *bucket_search(_Atomic uint32_t *bucket, uint32_t old,
                                                                       const struct trace_context *context)
{
    struct wire_slot *slot, *found = NULL;
    uint32_t right = 0, found_count = 0, seen = 0;

    for (uint32_t index = 0; seen < SEARCH_MAX && (slot = ring_slot_next(&index)) != NULL; index++, seen++) {
        const struct wire_request *request = wire_slot_request(slot);

        if (!is_open_server(slot) || !(request->flags & WIRE_REQUEST_REMOTE_PARENT) ||
            bucket_of(request->trace_id, request->parent_span_id) != bucket)
            continue;
        right = (right ^ (index + 1)) + BUCKET_ONE;
        if (came_with(slot, context)) {
            found = slot;
            found_count++;
        }
    }
    if (seen == SEARCH_MAX)
        return NULL;
    (void)atomic_compare_exchange_strong_explicit(bucket, &old, right, memory_order_relaxed, memory_order_relaxed);
    return found_count == 1 ? found : NULL;
}

struct request_ref request_search(const struct trace_context *context, const struct request_ref *preferred)
{
    _Atomic uint32_t *bucket = bucket_of(context->trace_id, context->span_id);
    uint32_t value = atomic_load_explicit(bucket, memory_order_relaxed);
    struct wire_slot *slot = NULL;

    if (request_live(preferred) && came_with(preferred->slot, context))
        return *preferred;
    if (value >= 2 * BUCKET_ONE) {
        slot = bucket_search(bucket, value, context);
    } else if (value >= BUCKET_ONE) {
        uint32_t index = (value & BUCKET_INDEX) - 1;

        slot = ring_slot_next(&index);
        if (slot && !came_with(slot, context))
            slot = NULL;
    }
    return slot ? request_in(slot) : (struct request_ref){0};
}
