/* SPDX-License-Identifier: Apache-2.0 */
/* Time, in ns, from the vDSO: no system call. Context: signal-safe; any thread. */
#ifndef SPANSHIM_CLOCK_H
#define SPANSHIM_CLOCK_H

#include "preload/real.h"

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_read_ns(clockid_t clock)
{
    struct timespec now;

    if ((real_clock ? real_clock(clock, &now) : clock_gettime(clock, &now)) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t clock_mono_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

#endif
