/* SPDX-License-Identifier: Apache-2.0 */
/* The shim's only memory: one private mapping reserved at start, committed by touching it, never given back. Blocks of
 * a pool are reused; the arena itself only grows. A fork's child has its own copy. */
#ifndef SPANSHIM_ARENA_H
#define SPANSHIM_ARENA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reserve the mapping: the largest of a few sizes that the limits allow. 0 or -errno. Context: start. */
int arena_init(void);

/* Is this address in the mapping? Context: hook; signal-safe. */
bool arena_has(uintptr_t address);

/* The program has locked all its memory: give back what the arena does not use. Context: hook; system calls. */
void arena_unlock(void);

/* `size` zeroed bytes, aligned to 64; NULL when the arena is used up. Never freed. Context: hook; signal-safe. */
void *arena_alloc(size_t size);

/* A block's number, from 1 up, and back: a pointer in 32 bits. Context: hook; signal-safe. */
uint32_t arena_number(const void *block);
void *arena_at(uint32_t number);

/* Blocks of one size. All zero but for block_size is a valid pool. */
struct arena_pool {
    _Atomic uint64_t free; /* tag << 32 | block number + 1; the tag makes the exchange safe against reuse (ABA) */
    uint32_t block_size;   /* bytes; the first 4 hold the link while a block is free */
};

/* A block: zeroed when it is new, as its last user left it (but for the first 4 bytes) when it is reused. NULL when the
 * arena is used up. Context: hook; signal-safe. */
void *arena_pool_get(struct arena_pool *pool);

/* Give a block back. Context: hook; signal-safe. */
void arena_pool_put(struct arena_pool *pool, void *block);

#endif
