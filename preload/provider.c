// SPDX-License-Identifier: Apache-2.0
#include "preload/provider.h"

#include "preload/object.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { CACHE_SIZE = 256, CACHE_WAYS = 4 }; /* an answer stands in one of so many places that follow each other */

/* What to look for. */
enum want {
    WANT_FUNCTION,
    WANT_OWN
}; /* what the caller's reference is bound to; a definition of the caller's object */

/* One answer. Read and written by any thread: whoever sees `sequence` odd or changed has read nothing. */
struct answer {
    _Atomic uint32_t sequence;
    _Atomic uint32_t generation;
    _Atomic uintptr_t caller;
    _Atomic uintptr_t question; /* the name's address, and enum want in the low bit */
    _Atomic uintptr_t function;
};

static struct answer cache[CACHE_SIZE];

/* Rises when answers become void. */
static _Atomic uint32_t generation = 1;

struct search {
    const char *name;
    uintptr_t caller;
    int position;        /* of the object in the loader's list */
    struct object from;  /* the caller's */
    const char *version; /* that the caller's object wants */
    void *found;
    int rank;
};

static bool is_ours(const struct dl_phdr_info *info)
{
    return object_has_address(info, (uintptr_t)&generation);
}

/* Find the caller's object. */
static int caller_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;

    (void)size;
    if (!object_has_address(info, search->caller))
        return 0;
    if (!object_read(&search->from, info))
        memset(&search->from, 0, sizeof(search->from));
    return 1;
}

/* How near a definition is: what the program was started with is seen by all, and first; then what the caller itself is
 * linked to; then the rest, in the order in which it was loaded. */
static int rank_of(const struct search *search, const struct object *object)
{
    enum { LOADED = 1, LINKED, STARTED };

    if (search->position <= real_startup_objects)
        return STARTED;
    return search->from.dynamic && object->soname && object_needs(&search->from, object->soname) ? LINKED : LOADED;
}

static int definition_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;
    struct object object;

    (void)size;
    search->position++;
    if (is_ours(info) || !object_read(&object, info))
        return 0;

    void *found = object_find(&object, search->name, search->version);

    if (found && rank_of(search, &object) > search->rank) {
        search->rank = rank_of(search, &object);
        search->found = found;
    }
    return 0;
}

/* A library that calls its own function by name gets that: its own version, which it doesn't want of others. */
static void *look_up(const char *name, uintptr_t caller, enum want want)
{
    struct search search = {.name = name, .caller = caller};
    void *own = NULL;

    (void)dl_iterate_phdr(caller_visit, &search);
    if (search.from.dynamic)
        own = object_find(&search.from, name, NULL);
    if (own || want == WANT_OWN)
        return own;
    if (search.from.dynamic)
        (void)object_wants(&search.from, name, &search.version);
    (void)dl_iterate_phdr(definition_visit, &search);
    return search.found;
}

static unsigned place_of(uintptr_t caller, uintptr_t question)
{
    return (unsigned)(((caller ^ question * 5) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static inline bool cache_read(struct answer *place, uintptr_t caller, uintptr_t question, void **ret_function)
{
    uint32_t sequence = atomic_load_explicit(&place->sequence, memory_order_acquire);
    uintptr_t function = atomic_load_explicit(&place->function, memory_order_relaxed);
    bool fits = atomic_load_explicit(&place->caller, memory_order_relaxed) == caller &&
                atomic_load_explicit(&place->question, memory_order_relaxed) == question &&
                atomic_load_explicit(&place->generation, memory_order_relaxed) ==
                    atomic_load_explicit(&generation, memory_order_relaxed);

    atomic_thread_fence(memory_order_acquire);
    if (!fits || (sequence & 1) || atomic_load_explicit(&place->sequence, memory_order_relaxed) != sequence)
        return false;
    *ret_function = (void *)function;
    return true;
}

/* A place whose answer is void, or else the first. */
static struct answer *cache_victim(unsigned place, uint32_t now)
{
    for (unsigned way = 0; way < CACHE_WAYS; way++) {
        struct answer *answer = &cache[(place + way) % CACHE_SIZE];

        if (atomic_load_explicit(&answer->generation, memory_order_relaxed) != now)
            return answer;
    }
    return &cache[place];
}

/* `now` was read before the search: what was unloaded meanwhile has made the answer void. */
static void cache_write(struct answer *place, uintptr_t caller, uintptr_t question, void *function, uint32_t now)
{
    uint32_t sequence = atomic_load_explicit(&place->sequence, memory_order_relaxed) & ~1u;

    if (!atomic_compare_exchange_strong_explicit(&place->sequence, &sequence, sequence + 1, memory_order_acquire,
                                                 memory_order_relaxed))
        return; /* another thread writes here */
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&place->caller, caller, memory_order_relaxed);
    atomic_store_explicit(&place->question, question, memory_order_relaxed);
    atomic_store_explicit(&place->generation, now, memory_order_relaxed);
    atomic_store_explicit(&place->function, (uintptr_t)function, memory_order_relaxed);
    atomic_store_explicit(&place->sequence, sequence + 2, memory_order_release);
}

static void *ask(const char *name, const void *caller, enum want want)
{
    uintptr_t question = (uintptr_t)name * 2 + want;
    unsigned place = place_of((uintptr_t)caller, question);
    void *function;

    for (unsigned way = 0; way < CACHE_WAYS; way++)
        if (cache_read(&cache[(place + way) % CACHE_SIZE], (uintptr_t)caller, question, &function))
            return function;

    uint32_t now = atomic_load_explicit(&generation, memory_order_acquire);

    function = look_up(name, (uintptr_t)caller, want);
    cache_write(cache_victim(place, now), (uintptr_t)caller, question, function, now);
    return function;
}

void *provider_hook(enum hook_id id, const void *caller)
{
    void *function = ask(real_names[id], caller, WANT_FUNCTION);

    return function ? function : real_stand_in(id);
}

void *provider_function(const char *name, const void *caller)
{
    return ask(name, caller, WANT_FUNCTION);
}

bool provider_is_caller(const char *name, const void *caller)
{
    return ask(name, caller, WANT_OWN) != NULL;
}

void provider_forget(void)
{
    atomic_fetch_add_explicit(&generation, 1, memory_order_acq_rel);
}
