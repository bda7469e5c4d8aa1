/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks in nanoseconds, and what these are counted by. */
#ifndef SPANSHIM_AGENT_CLOCK_H
#define SPANSHIM_AGENT_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* Context: any. */
static inline uint64_t clock_now_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

#endif
