/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/ids.h"

#include "preload/clock.h"
#include "preload/sys.h"

#include <stdatomic.h>
#include <string.h>

/* Two secrets, written at start and in a fork's only thread; then read-only. */
static _Atomic uint64_t seeds[2];
/* Any thread adds; each value is used once. */
static _Atomic uint64_t sequence;

/* A 64-bit finalizer (Stafford's variant 13 of MurmurHash3): every bit of the input reaches every bit of the result. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void ids_init(void)
{
    uint64_t random[2] = {0, 0};

    (void)sys_call3(SYS_getrandom, (long)random, sizeof(random), 1 /* GRND_NONBLOCK: early boot has no entropy yet */);
    atomic_store_explicit(&seeds[0], random[0] ^ clock_read_ns(CLOCK_REALTIME), memory_order_relaxed);
    atomic_store_explicit(&seeds[1], random[1] ^ mix((uint64_t)sys_call0(SYS_getpid)), memory_order_relaxed);
}

void ids_after_fork(uint32_t pid)
{
    uint64_t now = clock_mono_ns();

    for (int i = 0; i < 2; i++) {
        uint64_t seed = atomic_load_explicit(&seeds[i], memory_order_relaxed);
        atomic_store_explicit(&seeds[i], mix(seed ^ mix(now + (uint64_t)i) ^ ((uint64_t)pid << 20)),
                              memory_order_relaxed);
    }
}

/* The part-th of the numbers that one step of the sequence gives. */
static uint64_t number(uint64_t step, unsigned part)
{
    uint64_t id = mix(mix(step * 4 + part + atomic_load_explicit(&seeds[0], memory_order_relaxed)) ^
                      atomic_load_explicit(&seeds[1], memory_order_relaxed));

    return id ? id : 1;
}

uint64_t ids_next(void)
{
    return atomic_fetch_add_explicit(&sequence, 1, memory_order_relaxed);
}

void ids_make_span(uint64_t step, uint8_t ret_id[8])
{
    uint64_t id = number(step, 0);

    memcpy(ret_id, &id, sizeof(id));
}

void ids_make_trace(uint64_t step, uint8_t ret_id[16], uint64_t wall_seconds)
{
    uint64_t low = number(step, 1);
    uint32_t middle = (uint32_t)number(step, 2);
    uint32_t seconds = __builtin_bswap32((uint32_t)wall_seconds);

    memcpy(ret_id, &seconds, 4);
    memcpy(ret_id + 4, &middle, 4);
    memcpy(ret_id + 8, &low, 8);
}
