/* SPDX-License-Identifier: Apache-2.0 */
/* A limit of so many a second, with a second's worth at once after a pause. One word, no lock: span_sampling.c asks it
 * from any thread and from signal handlers. */
#ifndef SPANSHIM_RATE_H
#define SPANSHIM_RATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* All zero: nothing was taken yet. */
struct rate {
    /* A token bucket, told by time: each one taken moves this on by its share of a second; ahead of the clock by a
     * second, the bucket is empty. Any thread moves it (compare-and-swap, relaxed: nothing else depends on it). */
    _Atomic uint64_t taken_until_ns;
};

/* Take one, if there is one left. limit: a second's number, above 0; now_ns: CLOCK_MONOTONIC, and threads may be late
 * with it. Context: hook; signal-safe. */
bool rate_take(struct rate *rate, uint32_t limit, uint64_t now_ns);

#endif
