/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/lookup.h"

#include "preload/clock.h"
#include "preload/conn_internal.h"
#include "preload/process.h"
#include "preload/wire.h"

#include <netdb.h>
#include <stdatomic.h>
#include <string.h>

enum { LOOKUPS = 32, ADDRESSES_MAX = 8 };

/* Connecting follows soon, if only to the third address after two that do not answer. What is found later was looked up
 * for something else. */
#define AGE_MAX_NS (UINT64_C(30) * 1000000000)

struct lookup {
    _Atomic uint32_t claimed;    /* by who reads or writes it; nobody waits */
    _Atomic uint32_t generation; /* changes with each look-up in this place */
    _Atomic uint32_t taken;      /* the generation that was taken */
    uint32_t address_count;
    uintptr_t thread;
    uint64_t duration_ns, end_ns;
    struct wire_address addresses[ADDRESSES_MAX];
};

/* Written by any hook. A fork's child goes on with a copy. */
static struct lookup lookups[LOOKUPS];
static _Atomic uint32_t noted;

static uintptr_t this_thread(void)
{
    return (uintptr_t)&process_in_vfork; /* each thread has its own */
}

static bool claim(struct lookup *lookup)
{
    return atomic_exchange_explicit(&lookup->claimed, 1, memory_order_acquire) == 0;
}

static void unclaim(struct lookup *lookup)
{
    atomic_store_explicit(&lookup->claimed, 0, memory_order_release);
}

static bool is_same(const struct wire_address *a, const struct wire_address *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static bool gave(const struct lookup *lookup, const struct wire_address *address)
{
    for (uint32_t i = 0; i < lookup->address_count; i++)
        if (is_same(&lookup->addresses[i], address))
            return true;
    return false;
}

void lookup_note(const struct addrinfo *results, uint64_t start_ns)
{
    struct lookup *lookup = &lookups[atomic_fetch_add_explicit(&noted, 1, memory_order_relaxed) % LOOKUPS];

    if (!claim(lookup))
        return;
    atomic_fetch_add_explicit(&lookup->generation, 1, memory_order_relaxed);
    lookup->end_ns = clock_mono_ns();
    lookup->duration_ns = lookup->end_ns - start_ns;
    lookup->thread = this_thread();
    lookup->address_count = 0;
    for (; results && lookup->address_count < ADDRESSES_MAX; results = results->ai_next) {
        struct wire_address address = {.family = WIRE_FAMILY_NONE};

        conn_address_set(&address, results->ai_addr, results->ai_addrlen);
        if (address.family != WIRE_FAMILY_NONE && !gave(lookup, &address)) /* once for each type of socket */
            lookup->addresses[lookup->address_count++] = address;
    }
    unclaim(lookup);
}

bool lookup_take(const struct lookup_ref *ref)
{
    bool is_there = false;

    if (ref->lookup && claim(ref->lookup)) {
        is_there =
            atomic_load_explicit(&ref->lookup->generation, memory_order_relaxed) == ref->generation &&
            atomic_exchange_explicit(&ref->lookup->taken, ref->generation, memory_order_relaxed) != ref->generation;
        unclaim(ref->lookup);
    }
    return is_there;
}

/* One that may be meant, and how long it took; the claim is held. */
static uint64_t match(const struct lookup *lookup, const struct wire_address *address, uint64_t now_ns)
{
    if (lookup->end_ns == 0 || now_ns - lookup->end_ns > AGE_MAX_NS || !gave(lookup, address) ||
        atomic_load_explicit(&lookup->taken, memory_order_relaxed) ==
            atomic_load_explicit(&lookup->generation, memory_order_relaxed))
        return 0;
    return lookup->duration_ns ? lookup->duration_ns : 1;
}

uint64_t lookup_find(const struct wire_address *address, struct lookup_ref *ret_ref)
{
    uint32_t last = atomic_load_explicit(&noted, memory_order_relaxed);
    uint64_t now_ns, duration_ns = 0;

    *ret_ref = (struct lookup_ref){0};
    if (last == 0 || address->family == WIRE_FAMILY_NONE || address->family == WIRE_FAMILY_UNIX)
        return 0;
    now_ns = clock_mono_ns();
    for (uint32_t i = 1; i <= LOOKUPS; i++) {
        struct lookup *lookup = &lookups[(last - i) % LOOKUPS];
        uint64_t found_ns;
        bool is_own;

        if (!claim(lookup))
            continue;
        found_ns = match(lookup, address, now_ns);
        is_own = lookup->thread == this_thread();
        if (found_ns > 0 && (is_own || duration_ns == 0)) {
            duration_ns = found_ns;
            *ret_ref = (struct lookup_ref){lookup, atomic_load_explicit(&lookup->generation, memory_order_relaxed)};
        }
        unclaim(lookup);
        if (found_ns > 0 && is_own)
            break;
    }
    return duration_ns;
}
