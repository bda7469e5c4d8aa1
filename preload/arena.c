/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/arena.h"

#include "preload/sys.h"

#include <errno.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64 };

/* Written once at start, before any other thread can call a hook; read-only afterwards. */
static struct {
    char *base;
    size_t size;
} arena;

/* Bytes handed out; compare-and-swap by any thread. */
static _Atomic size_t used;

int arena_init(void)
{
    static const size_t sizes[] = {32u << 20, 8u << 20, 2u << 20};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        long got = sys_call6(SYS_mmap, 0, (long)sizes[i], PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (got < 0 && got > -4096)
            continue;
        arena.base = (char *)got;
        arena.size = sizes[i];
        /* Connection state is of no use in a core file and may hold what peers sent. */
        (void)sys_call3(SYS_madvise, got, (long)sizes[i], MADV_DONTDUMP);
        return 0;
    }
    return -ENOMEM;
}

bool arena_has(uintptr_t address)
{
    return address - (uintptr_t)arena.base < arena.size;
}

void arena_unlock(void)
{
    enum { PAGE = 4096 };
    /* What is handed out meanwhile lies in these pages; nobody has written to it yet, or it stays. */
    size_t from = (atomic_load_explicit(&used, memory_order_relaxed) + (1u << 20) + PAGE - 1) / PAGE * PAGE;

    if (from >= arena.size)
        return;
    (void)sys_call2(SYS_munlock, (long)(arena.base + from), (long)(arena.size - from));
    (void)sys_call3(SYS_madvise, (long)(arena.base + from), (long)(arena.size - from), MADV_DONTNEED);
}

void *arena_alloc(size_t size)
{
    size_t need = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    size_t at = atomic_load_explicit(&used, memory_order_relaxed);

    do {
        if (need < size || need > arena.size - at)
            return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&used, &at, at + need, memory_order_relaxed, memory_order_relaxed));
    return arena.base + at;
}

/* Blocks are named by their place in the arena, in units of the alignment. */
inline void *arena_at(uint32_t number)
{
    return arena.base + (size_t)(number - 1) * ALIGNMENT;
}

inline uint32_t arena_number(const void *block)
{
    return (uint32_t)((size_t)((const char *)block - arena.base) / ALIGNMENT) + 1;
}

void *arena_pool_get(struct arena_pool *pool)
{
    uint64_t head = atomic_load_explicit(&pool->free, memory_order_acquire);

    while ((uint32_t)head != 0) {
        _Atomic uint32_t *block = arena_at((uint32_t)head);
        /* The block may be taken meanwhile and its link overwritten: the tag has changed then and the exchange
         * fails. */
        uint32_t next = atomic_load_explicit(block, memory_order_relaxed);
        uint64_t want = ((head >> 32) + 1) << 32 | next;

        if (atomic_compare_exchange_weak_explicit(&pool->free, &head, want, memory_order_acquire,
                                                  memory_order_acquire)) {
            atomic_store_explicit(block, 0, memory_order_relaxed);
            return block;
        }
    }
    return arena_alloc(pool->block_size);
}

void arena_pool_put(struct arena_pool *pool, void *block)
{
    _Atomic uint32_t *link = block;
    uint64_t head = atomic_load_explicit(&pool->free, memory_order_relaxed);
    uint64_t want;

    do {
        atomic_store_explicit(link, (uint32_t)head, memory_order_relaxed);
        want = ((head >> 32) + 1) << 32 | arena_number(block);
    } while (
        !atomic_compare_exchange_weak_explicit(&pool->free, &head, want, memory_order_release, memory_order_relaxed));
}
