/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/rate.h"

static const uint64_t ns_per_second = 1000000000u;

bool rate_take(struct rate *rate, uint32_t limit, uint64_t now_ns)
{
    uint64_t share_ns = (ns_per_second + limit - 1) / limit; /* rounded up: never more than the limit */
    uint64_t until_ns = atomic_load_explicit(&rate->taken_until_ns, memory_order_relaxed);
    uint64_t next_ns;

    do {
        next_ns = (until_ns > now_ns ? until_ns : now_ns) + share_ns;
        if (next_ns > now_ns + share_ns * limit)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&rate->taken_until_ns, &until_ns, next_ns, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}
