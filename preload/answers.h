/* SPDX-License-Identifier: Apache-2.0 */
/* Is all answered that was asked on a connection? For protocols whose questions and answers can be counted: redis' and
 * PostgreSQL's. The first byte that goes out tells which.
 *
 * What is neither, or can't be counted (subscriptions, TLS, a server that speaks first), is odd: nothing is known of it
 * from then on. No I/O, no allocation; bytes may be cut anywhere. */
#ifndef SPANSHIM_ANSWERS_H
#define SPANSHIM_ANSWERS_H

#include "preload/pgsql.h"
#include "preload/resp.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum answers_protocol { ANSWERS_UNKNOWN, ANSWERS_REDIS, ANSWERS_POSTGRESQL };

union answers_stream {
    struct resp_stream resp;
    struct pgsql_stream pgsql;
};

struct answers {
    union answers_stream out, in;
    _Atomic uint32_t asked, answered; /* each written by who feeds its direction; relaxed */
    _Atomic uint8_t protocol;         /* enum answers_protocol; written by who feeds what goes out; relaxed */
    _Atomic uint8_t is_odd;           /* any thread; relaxed */
};

/* Bytes that went out, or came in; NULL: unseen. One thread at a time for each direction. Context: hook;
 * signal-safe. */
void answers_feed(struct answers *answers, bool is_out, const char *bytes, size_t length);

/* Nothing is known of it. Context: hook; signal-safe. */
static inline void answers_give_up(struct answers *answers)
{
    atomic_store_explicit(&answers->is_odd, 1, memory_order_relaxed);
}

/* Could it be counted so far? And: is everything answered? Context: hook; signal-safe. */
static inline bool answers_are_known(const struct answers *answers)
{
    return !atomic_load_explicit(&answers->is_odd, memory_order_relaxed) &&
           atomic_load_explicit(&answers->asked, memory_order_relaxed) != 0;
}

static inline bool answers_are_complete(const struct answers *answers)
{
    return atomic_load_explicit(&answers->asked, memory_order_relaxed) ==
           atomic_load_explicit(&answers->answered, memory_order_relaxed);
}

#endif
