/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/fdtab.h"

#include "preload/arena.h"

_Atomic(fdtab_entry *) fdtab_leaves[FDTAB_LEAVES];

static fdtab_entry *entry_of(int fd, bool make)
{
    if ((unsigned)fd >= FDTAB_LIMIT)
        return NULL;

    _Atomic(fdtab_entry *) *place = &fdtab_leaves[(unsigned)fd / FDTAB_LEAF];
    fdtab_entry *leaf = atomic_load_explicit(place, memory_order_acquire);

    if (!leaf && make) {
        fdtab_entry *fresh = arena_alloc(FDTAB_LEAF * sizeof(*fresh));

        if (!fresh)
            return NULL;
        /* A leaf lost to another thread is not worth a free list: it happens once per 1024 descriptors. */
        if (atomic_compare_exchange_strong_explicit(place, &leaf, fresh, memory_order_acq_rel, memory_order_acquire))
            leaf = fresh;
    }
    return leaf ? &leaf[(unsigned)fd % FDTAB_LEAF] : NULL;
}

static uint64_t next_generation(uint64_t entry, uint32_t value)
{
    return ((entry >> 32) + 1) << 32 | value;
}

bool fdtab_set(int fd, uint32_t value, uint64_t *ret_old)
{
    fdtab_entry *entry = entry_of(fd, true);

    *ret_old = 0;
    if (!entry)
        return false;

    uint64_t old = atomic_load_explicit(entry, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(entry, &old, next_generation(old, value), memory_order_acq_rel,
                                                  memory_order_relaxed))
        ;
    *ret_old = old;
    return true;
}

bool fdtab_replace(int fd, uint64_t expected, uint32_t value)
{
    fdtab_entry *entry = entry_of(fd, true);

    return entry && atomic_compare_exchange_strong_explicit(entry, &expected, next_generation(expected, value),
                                                            memory_order_acq_rel, memory_order_relaxed);
}

uint64_t fdtab_clear(int fd)
{
    fdtab_entry *entry = entry_of(fd, false);

    if (!entry)
        return 0;

    uint64_t old = atomic_load_explicit(entry, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(entry, &old, next_generation(old, FDTAB_UNKNOWN),
                                                  memory_order_acq_rel, memory_order_relaxed))
        ;
    return old;
}

int fdtab_next(int fd)
{
    for (unsigned at = fd < 0 ? 0 : (unsigned)fd; at < FDTAB_LIMIT; at++) {
        fdtab_entry *leaf = atomic_load_explicit(&fdtab_leaves[at / FDTAB_LEAF], memory_order_acquire);

        if (!leaf) {
            at |= FDTAB_LEAF - 1;
            continue;
        }
        if (fdtab_value(atomic_load_explicit(&leaf[at % FDTAB_LEAF], memory_order_relaxed)) != FDTAB_UNKNOWN)
            return (int)at;
    }
    return -1;
}
