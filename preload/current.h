/* SPDX-License-Identifier: Apache-2.0 */
/* The request that a thread works on: the one on whose behalf it does what it does now. A request that goes out while
 * one is current has it as parent. No current request is better than a wrong one: in doubt there is none.
 *
 * A request is named by its slot and its start: the slot may be another request's by now. Context of all: hook;
 * signal-safe; per thread, without locks. */
#ifndef SPANSHIM_CURRENT_H
#define SPANSHIM_CURRENT_H

#include "preload/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct trace_context;

/* A server's request of this process. */
struct request_ref {
    struct wire_slot *slot; /* NULL: none */
    uint64_t start_ns;
};

/* The request as long as it lives; NULL when it has ended. */
struct wire_request *request_live(const struct request_ref *ref);

/* This thread's, if it is alive. */
struct request_ref current_get(void);

void current_set(const struct request_ref *ref);

/* The thread goes on to something else. */
void current_clear(void);

/* The live request that came with this context as its parent's; none when it is not the only one. */
struct request_ref request_find_passed_on(const struct trace_context *context);

#endif
