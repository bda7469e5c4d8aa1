/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor -> what we know of it. Two levels, up to FDTAB_LIMIT descriptors; a leaf comes from the arena when the
 * first of its descriptors is noted. Each entry carries a generation that changes whenever the descriptor's meaning
 * does, so a hook that looked before a blocking call can tell afterwards whether the number is still the same thing.
 * Lock-free; signal-safe; any thread. A fork's child has its own copy. */
#ifndef SPANSHIM_FDTAB_H
#define SPANSHIM_FDTAB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    FDTAB_LEAF = 1024,
    FDTAB_LEAVES = 1024,
    FDTAB_LIMIT = FDTAB_LEAF * FDTAB_LEAVES,
};

/* Low half of an entry. */
enum fdtab_value {
    FDTAB_UNKNOWN = 0, /* never looked at: an inherited descriptor, a file, a passed socket */
    FDTAB_IGNORED = 1, /* looked at, not ours */
    FDTAB_LOG = 2,     /* this and above: a log's number + FDTAB_LOG, see applog.h */
    FDTAB_ANSWER = 65, /* what a CGI program answers on */
    FDTAB_CONN = 66,   /* this and above: a connection's number + FDTAB_CONN */
};

typedef _Atomic uint64_t fdtab_entry; /* generation << 32 | value */

/* Written by any hook (compare-and-swap from NULL), never back. */
extern _Atomic(fdtab_entry *) fdtab_leaves[FDTAB_LEAVES] __attribute__((visibility("hidden")));

/* The descriptor's entry, 0 (unknown, generation 0) when nothing was ever noted. Context: hook; signal-safe. */
static inline uint64_t fdtab_get(int fd)
{
    if ((unsigned)fd >= FDTAB_LIMIT)
        return FDTAB_IGNORED;
    fdtab_entry *leaf = atomic_load_explicit(&fdtab_leaves[(unsigned)fd / FDTAB_LEAF], memory_order_acquire);
    return leaf ? atomic_load_explicit(&leaf[(unsigned)fd % FDTAB_LEAF], memory_order_acquire) : 0;
}

static inline uint32_t fdtab_value(uint64_t entry)
{
    return (uint32_t)entry;
}

/* Give the descriptor a new meaning; returns the entry it had. False when the number is beyond the table or the arena
 * is used up (ret_old is then 0). Context: hook; signal-safe. */
bool fdtab_set(int fd, uint32_t value, uint64_t *ret_old);

/* Give it a meaning if it still has the one of `expected`. Context: hook; signal-safe. */
bool fdtab_replace(int fd, uint64_t expected, uint32_t value);

/* Forget it; returns the entry it had. Makes no leaf. Context: hook; signal-safe. */
uint64_t fdtab_clear(int fd);

/* The first descriptor at or above `fd` that is noted as something, -1 for none: for those that close ranges.
 * Context: hook; signal-safe. */
int fdtab_next(int fd);

#endif
