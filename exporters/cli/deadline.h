/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting that ends: a moment of CLOCK_MONOTONIC and what is left until then. */
#ifndef SPANSHIM_DEADLINE_H
#define SPANSHIM_DEADLINE_H

#include <limits.h>
#include <stdint.h>
#include <time.h>

/* Now, in ns. Context: any. */
static inline uint64_t deadline_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The moment that many milliseconds from now. Context: any. */
static inline uint64_t deadline_in_ms(int ms)
{
    return deadline_now_ns() + (uint64_t)ms * 1000000u;
}

/* What is left, rounded up, as poll() wants it; 0: it has passed. Context: any. */
static inline int deadline_remaining_ms(uint64_t deadline)
{
    uint64_t now = deadline_now_ns();

    if (now >= deadline)
        return 0;
    uint64_t ms = (deadline - now + 999999u) / 1000000u;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

#endif
