/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks in nanoseconds. */
#ifndef SPANSHIM_AGENT_CLOCK_H
#define SPANSHIM_AGENT_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Context: any. */
static inline uint64_t clock_now_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

#endif
