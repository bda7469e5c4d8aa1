/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/provider.h"

#include "preload/object.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { CACHE_SIZE = 256, CACHE_WAYS = 4 }; /* an answer stands in one of so many places that follow each other */

/* A flag in the lowest bit of a function's address, which is free: the caller's own object defines the function. */
#define OWN ((uintptr_t)1 << 63)

/* One answer. Read and written by any thread: whoever sees `sequence` odd or changed has read nothing. */
struct answer {
    _Atomic uint32_t sequence;
    _Atomic uint32_t generation;
    _Atomic uintptr_t caller;
    _Atomic uintptr_t name;
    _Atomic uintptr_t function; /* and OWN */
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

/* A library calls its own function by name: it gets its own version, which it would not name in references to
 * others. */
static uintptr_t look_up(const char *name, uintptr_t caller)
{
    struct search search = {.name = name, .caller = caller};
    void *own = NULL;

    (void)object_iterate(caller_visit, &search);
    if (search.from.dynamic)
        own = object_find(&search.from, name, NULL);
    if (own)
        return (uintptr_t)own | OWN;
    if (search.from.dynamic)
        (void)object_wants(&search.from, name, &search.version);
    (void)object_iterate(definition_visit, &search);
    return (uintptr_t)search.found;
}

static unsigned place_of(uintptr_t caller, uintptr_t name)
{
    return (unsigned)(((caller ^ name * 5) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static inline bool cache_read(struct answer *place, uintptr_t caller, uintptr_t name, uintptr_t *ret_function)
{
    uint32_t sequence = atomic_load_explicit(&place->sequence, memory_order_acquire);
    uintptr_t function = atomic_load_explicit(&place->function, memory_order_relaxed);

    if (atomic_load_explicit(&place->caller, memory_order_relaxed) != caller ||
        atomic_load_explicit(&place->name, memory_order_relaxed) != name ||
        atomic_load_explicit(&place->generation, memory_order_relaxed) !=
            atomic_load_explicit(&generation, memory_order_relaxed))
        return false;
    atomic_thread_fence(memory_order_acquire);
    if ((sequence & 1) || atomic_load_explicit(&place->sequence, memory_order_relaxed) != sequence)
        return false;
    *ret_function = function;
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
static void cache_write(struct answer *place, uintptr_t caller, uintptr_t name, uintptr_t function, uint32_t now)
{
    uint32_t sequence = atomic_load_explicit(&place->sequence, memory_order_relaxed) & ~1u;

    if (!atomic_compare_exchange_strong_explicit(&place->sequence, &sequence, sequence + 1, memory_order_acquire,
                                                 memory_order_relaxed))
        return; /* another thread writes here */
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&place->caller, caller, memory_order_relaxed);
    atomic_store_explicit(&place->name, name, memory_order_relaxed);
    atomic_store_explicit(&place->generation, now, memory_order_relaxed);
    atomic_store_explicit(&place->function, function, memory_order_relaxed);
    atomic_store_explicit(&place->sequence, sequence + 2, memory_order_release);
}

/* The answer that is not in its first place. */
__attribute__((noinline)) static uintptr_t ask_further(const char *name, uintptr_t caller, unsigned place)
{
    uintptr_t function;

    for (unsigned way = 1; way < CACHE_WAYS; way++)
        if (cache_read(&cache[(place + way) % CACHE_SIZE], caller, (uintptr_t)name, &function))
            return function;

    uint32_t now = atomic_load_explicit(&generation, memory_order_acquire);

    function = look_up(name, caller);
    cache_write(cache_victim(place, now), caller, (uintptr_t)name, function, now);
    return function;
}

static inline uintptr_t ask(const char *name, const void *caller)
{
    unsigned place = place_of((uintptr_t)caller, (uintptr_t)name);
    uintptr_t function;

    if (__builtin_expect(cache_read(&cache[place], (uintptr_t)caller, (uintptr_t)name, &function), 1))
        return function;
    return ask_further(name, (uintptr_t)caller, place);
}

static inline void *function_of(uintptr_t answer)
{
    return (void *)(answer & ~OWN);
}

void *provider_hook(enum hook_id id, const void *caller)
{
    void *function = function_of(ask(real_name(id), caller));

    return function ? function : real_stand_in(id);
}

void *provider_hook_or_own(enum hook_id id, const void *caller, bool *ret_is_own)
{
    uintptr_t answer = ask(real_name(id), caller);

    *ret_is_own = (answer & OWN) != 0;
    return function_of(answer) ? function_of(answer) : real_stand_in(id);
}

void *provider_function(const char *name, const void *caller)
{
    return function_of(ask(name, caller));
}

bool provider_is_caller(const char *name, const void *caller)
{
    return (ask(name, caller) & OWN) != 0;
}

void provider_forget(void)
{
    atomic_fetch_add_explicit(&generation, 1, memory_order_acq_rel);
}
