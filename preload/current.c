// SPDX-License-Identifier: Apache-2.0
#include "preload/current.h"

#include <stddef.h>

enum source {
    SOURCE_READ,   /* a head, a body or an answer was read */
    SOURCE_WAKEUP, /* a pipe or an eventfd: one wakeup may stand for several */
    SOURCE_STARTER /* the thread was started under it: threads of a pool go on with others' work */
};

/* Written by its own thread only, and by signal handlers on it. */
static _Thread_local struct {
    struct request_ref ref;
    const struct tie *via; /* the answer that made it current came here; NULL: it was its own head */
    uint8_t source;        /* enum source */
    bool takes_turns;      /* the thread does the work of several requests in turns */
} current;

static const struct request_ref nobody;

/* Who was inherited or woken does not hold: the request may go on elsewhere at the same time. */
static void become(const struct request_ref *ref, const struct tie *via, enum source source)
{
    bool is_same = request_is_same(&current.ref, ref);

    current.via = via;
    if (is_same && (source != SOURCE_READ || current.source == SOURCE_READ))
        return;
    if (current.ref.slot && current.source == SOURCE_READ && request_leave(&current.ref))
        current.takes_turns = true;
    current.ref = *ref;
    current.source = (uint8_t)source;
    if (ref->slot && source == SOURCE_READ)
        request_hold(ref);
}

struct request_ref current_get(void)
{
    return request_live(&current.ref) ? current.ref : nobody;
}

bool current_is_in(const struct wire_slot *slot)
{
    return slot && current.ref.slot == slot && request_live(&current.ref);
}

struct request_ref current_certain(void)
{
    if (!request_live(&current.ref))
        return nobody;
    if (current.source != SOURCE_READ)
        return request_is_alone(&current.ref) ? current.ref : nobody;
    if (current.takes_turns && !request_others_are_placed(&current.ref))
        return nobody;
    return current.ref;
}

void current_set(const struct request_ref *ref)
{
    become(ref, NULL, SOURCE_READ);
}

void current_clear(void)
{
    if (current.ref.slot)
        become(&nobody, NULL, SOURCE_READ);
}

void current_turn(void)
{
    current.takes_turns = true;
    current_clear();
}

bool current_would_turn(void)
{
    return current.ref.slot != NULL || !current.takes_turns;
}

struct request_ref request_find_passed_on(const struct trace_context *context)
{
    return request_search(context, &current.ref);
}

void current_inherit(const struct request_ref *ref)
{
    become(ref, NULL, SOURCE_STARTER);
}

static struct request_ref tie_ref_get(const struct tie_ref *ref)
{
    return (struct request_ref){atomic_load_explicit(&ref->slot, memory_order_relaxed),
                                atomic_load_explicit(&ref->start_ns, memory_order_relaxed)};
}

static void tie_ref_set(struct tie_ref *to, const struct request_ref *ref)
{
    atomic_store_explicit(&to->slot, ref->slot, memory_order_relaxed);
    atomic_store_explicit(&to->start_ns, ref->start_ns, memory_order_relaxed);
}

/* The owner waits for it no more. */
static void release(struct tie *tie)
{
    struct request_ref owner;

    if (!atomic_load_explicit(&tie->awaited, memory_order_relaxed) ||
        !atomic_exchange_explicit(&tie->awaited, 0, memory_order_relaxed))
        return;
    owner = tie_ref_get(&tie->owner);
    request_go_on(&owner);
}

static void own(struct tie *tie, const struct request_ref *owner)
{
    release(tie);
    tie_ref_set(&tie->owner, owner);
    atomic_store_explicit(&tie->state, TIE_ASKED, memory_order_relaxed);
    if (!owner->slot)
        return;
    request_wait(owner);
    atomic_store_explicit(&tie->awaited, 1, memory_order_relaxed);
}

static void mix(struct tie *tie)
{
    release(tie);
    atomic_store_explicit(&tie->state, TIE_MIXED, memory_order_relaxed);
}

void tie_make(struct tie *tie)
{
    struct request_ref maker = current_certain();

    tie_ref_set(&tie->made_for, &maker);
    own(tie, &maker);
}

struct request_ref tie_maker(const struct tie *tie)
{
    struct request_ref maker = tie_ref_get(&tie->made_for);

    return request_live(&maker) ? maker : nobody;
}

void tie_end(struct tie *tie)
{
    release(tie);
    tie_ref_set(&tie->made_for, &nobody);
    tie_ref_set(&tie->owner, &nobody);
    atomic_store_explicit(&tie->state, TIE_QUIET, memory_order_relaxed);
}

/* Which of several answers comes first is not told by bytes of an unknown kind, nor when all have come: mixed once is
 * mixed for ever. */
void tie_write(struct tie *tie)
{
    struct request_ref writer = current_certain();
    struct request_ref owner = tie_ref_get(&tie->owner);

    switch ((enum tie_state)atomic_load_explicit(&tie->state, memory_order_relaxed)) {
    case TIE_QUIET:
        own(tie, &writer);
        break;
    case TIE_ASKED:
        if (!request_is_same(&writer, &owner))
            mix(tie);
        break;
    case TIE_MIXED:
        break;
    }
}

void tie_read(struct tie *tie, enum tie_kind kind)
{
    struct request_ref owner = tie_ref_get(&tie->owner);
    bool is_mixed = atomic_load_explicit(&tie->state, memory_order_relaxed) == TIE_MIXED;

    if (!is_mixed && request_live(&owner))
        become(&owner, tie, kind == TIE_WAKEUP ? SOURCE_WAKEUP : SOURCE_READ);
    else if (is_mixed || kind == TIE_WAKEUP || current.takes_turns)
        current_clear();
    if (kind != TIE_HTTP && !is_mixed)
        tie_answered(tie);
}

void tie_answered(struct tie *tie)
{
    release(tie);
    atomic_store_explicit(&tie->state, TIE_QUIET, memory_order_relaxed);
}

struct request_ref current_parent_for(const struct tie *tie, bool is_first)
{
    struct request_ref parent;

    if (is_first)
        parent = tie_maker(tie);
    else
        parent = current.takes_turns && current.via == tie ? nobody : current_certain();
    if (current.source == SOURCE_STARTER)
        current_clear();
    return parent;
}

/* In a pipeline of HTTP the answers come in order and their ends are seen: tie_answered() ends the mixture. */
void tie_ask(struct tie *tie, const struct request_ref *parent, bool in_pipeline)
{
    struct request_ref owner = tie_ref_get(&tie->owner);

    if (in_pipeline && !request_is_same(&owner, parent))
        mix(tie);
    else
        own(tie, parent);
}
