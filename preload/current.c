/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/current.h"

#include "preload/greenlet.h"
#include "preload/uv_loop.h"

#include <stddef.h>

enum source {
    SOURCE_READ,    /* a head, a body or an answer was read */
    SOURCE_TOUCHED, /* its connection was asked about */
    SOURCE_ANSWER,  /* an answer was read by a thread of a pool: it may take the next job any time */
    SOURCE_WAKEUP,  /* a pipe or an eventfd: one wakeup may stand for several */
    SOURCE_STARTER  /* the thread was started under it: threads of a pool go on with others' work */
};

static inline bool is_strong(enum source source)
{
    return source <= SOURCE_TOUCHED;
}

/* What a thread works on, or a greenlet. */
struct work {
    struct request_ref ref;
    const struct tie *via; /* the answer that made it current came here; NULL: it was its own head */
    uint8_t source;        /* enum source */
    bool takes_turns;      /* the thread does the work of several requests in turns */
    bool is_loop;          /* it was seen to wait for several */
    bool is_watcher;       /* it was seen to ask about one connection after the other, and to answer on none */
    bool has_answered;     /* a request that it has read, or asked about */
    bool has_left;         /* such a one */
};

/* Written by its own thread only, and by signal handlers on it. And the greenlet that was seen first on the thread: the
 * thread's own. */
static _Thread_local struct work of_thread;
static _Thread_local const void *first_stack;

/* What the other greenlets of all threads work on: each in one of a few places. One that finds none takes one where no
 * request is lost, if there is any. Of two threads that do so at once, what they leave is torn apart and names
 * nobody. */
enum { GREENLETS = 1024, PLACES = 8 };
static struct greenlet_work {
    struct greenlet greenlet;
    struct work work;
} of_greenlets[GREENLETS];

__attribute__((cold)) static struct work *work_of(const struct greenlet *greenlet)
{
    uintptr_t first = (uintptr_t)greenlet->stack / GREENLET_STACK_SIZE;
    struct greenlet_work *place = &of_greenlets[first % GREENLETS];

    for (uintptr_t i = 0; i < PLACES; i++) {
        struct greenlet_work *of = &of_greenlets[(first + i) % GREENLETS];

        if (of->greenlet.stack == greenlet->stack && of->greenlet.function == greenlet->function)
            return &of->work;
        if (!of->work.is_loop && !request_live(&of->work.ref))
            place = of;
    }
    *place = (struct greenlet_work){.greenlet = *greenlet};
    return &place->work;
}

__attribute__((cold)) static struct work *of_this_greenlet(void)
{
    struct greenlet greenlet = greenlet_here();

    if (!first_stack)
        first_stack = greenlet.stack;
    return !greenlet.stack || greenlet.stack == first_stack ? &of_thread : work_of(&greenlet);
}

static inline struct work *here(void)
{
    return greenlet_is_possible() ? of_this_greenlet() : &of_thread;
}

static const struct request_ref nobody;

/* The one that the whole process is there for. Written at start, then read-only. */
static struct request_ref only;

/* A thread has answered what another one has read. Any thread, relaxed: sooner or later. */
static _Atomic bool is_handed_over;

static struct request_ref or_only(struct request_ref ref)
{
    return !ref.slot && request_live(&only) ? only : ref;
}

/* Who was inherited or woken does not hold: the request may go on elsewhere at the same time. */
static void become(struct work *work, const struct request_ref *ref, const struct tie *via, enum source source)
{
    bool is_same = request_is_same(&work->ref, ref);

    work->via = via;
    if (is_same && (!is_strong(source) || is_strong(work->source))) {
        if (source == SOURCE_TOUCHED)
            work->source = SOURCE_TOUCHED;
        return;
    }
    if (work->ref.slot && is_strong(work->source)) {
        work->has_left = true;
        work->takes_turns |= request_leave(&work->ref);
    }
    work->ref = *ref;
    work->source = (uint8_t)source;
    if (ref->slot && is_strong(source))
        request_hold(ref);
}

static void clear(struct work *work)
{
    if (work->ref.slot)
        become(work, &nobody, NULL, SOURCE_READ);
}

struct request_ref current_get(void)
{
    const struct work *work = here();

    return or_only(request_live(&work->ref) ? work->ref : nobody);
}

bool current_is_in(const struct wire_slot *slot)
{
    const struct work *work = slot ? here() : NULL;

    return work && work->ref.slot == slot && request_live(&work->ref);
}

/* Others answer what it reads, or asks about; what it does itself may be the program's. Loops have rules of their
 * own. */
static bool hands_over(const struct work *work)
{
    return work->has_left && !work->has_answered && !work->is_loop &&
           (work->source == SOURCE_TOUCHED || atomic_load_explicit(&is_handed_over, memory_order_relaxed));
}

static struct request_ref certain(const struct work *work)
{
    if (!request_live(&work->ref))
        return nobody;
    /* What another request has left behind may be done by the thread since, also when that one is over. */
    if (work->source == SOURCE_STARTER && !request_is_youngest(&work->ref))
        return nobody;
    if (!is_strong(work->source))
        return request_is_alone(&work->ref) ? work->ref : nobody;
    if (hands_over(work))
        return nobody;
    if (work->takes_turns && work->source == SOURCE_READ &&
        (uv_loop_is_elsewhere() || !request_others_are_placed(&work->ref)))
        return nobody;
    return work->ref;
}

struct request_ref current_certain(void)
{
    return or_only(certain(here()));
}

void current_set_only(const struct request_ref *ref)
{
    only = *ref;
    current_set(ref);
}

void current_set(const struct request_ref *ref)
{
    become(here(), ref, NULL, SOURCE_READ);
}

void current_touch(const struct request_ref *ref)
{
    struct work *work = here();
    bool is_left = work->source == SOURCE_TOUCHED && !request_is_same(&work->ref, ref) && request_live(&work->ref) &&
                   request_answered(work->ref.slot) == 0;

    if (is_left) {
        work->is_watcher = true;
        clear(work);
    } else if (!work->is_loop && !work->is_watcher) {
        become(work, ref, NULL, SOURCE_TOUCHED);
    }
}

void current_clear(void)
{
    clear(here());
}

void current_turn(void)
{
    struct work *work = here();

    work->takes_turns = work->is_loop = true;
    clear(work);
}

void current_answer(const struct wire_slot *slot)
{
    struct work *work = here();

    if (work->ref.slot == slot && is_strong(work->source) && request_live(&work->ref))
        work->has_answered = true;
    else if (!atomic_load_explicit(&is_handed_over, memory_order_relaxed)) /* all threads read this line of memory */
        atomic_store_explicit(&is_handed_over, true, memory_order_relaxed);
}

bool current_is_loop(void)
{
    return here()->is_loop;
}

bool current_would_turn(void)
{
    const struct work *work = here();

    return work->ref.slot != NULL || !work->is_loop;
}

struct request_ref current_find_passed_on(const struct trace_context *context)
{
    return request_search(context, &here()->ref);
}

void current_inherit(const struct request_ref *ref)
{
    become(here(), ref, NULL, SOURCE_STARTER);
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
 * mixed for ever, unless somebody counts them. */
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

static enum source source_of_answer(const struct work *work)
{
    return work->is_loop ? SOURCE_READ : SOURCE_ANSWER;
}

/* Its owner is current now, if it is alive. */
static bool turn_to_owner(struct work *work, const struct tie *tie, enum source source)
{
    struct request_ref owner = tie_ref_get(&tie->owner);

    if (!request_live(&owner))
        return false;
    become(work, &owner, tie, source);
    return true;
}

void tie_told(const struct tie *tie)
{
    struct work *work = here();

    if (atomic_load_explicit(&tie->state, memory_order_relaxed) != TIE_ASKED)
        return;
    if (!turn_to_owner(work, tie, source_of_answer(work)) && work->takes_turns)
        clear(work);
}

void tie_read(struct tie *tie, enum tie_kind kind)
{
    struct work *work = here();
    bool is_mixed = atomic_load_explicit(&tie->state, memory_order_relaxed) == TIE_MIXED;
    enum source source = kind == TIE_WAKEUP ? SOURCE_WAKEUP : source_of_answer(work);
    bool is_turned = !is_mixed && turn_to_owner(work, tie, source);

    if (!is_turned && (is_mixed || kind == TIE_WAKEUP || work->takes_turns))
        clear(work);
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
    struct work *work = here();
    struct request_ref parent;

    if (is_first)
        parent = tie_maker(tie);
    else
        parent = work->takes_turns && work->via == tie ? nobody : certain(work);
    if (work->source == SOURCE_STARTER)
        clear(work);
    return or_only(parent);
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
