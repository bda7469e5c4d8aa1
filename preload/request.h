/* SPDX-License-Identifier: Apache-2.0 */
/* The server's requests that are open in this process: which of them are alive, where each one goes on, and which one
 * brought a given trace header. That decides who may be the parent of a request that goes out: current.h.
 *
 * A request goes on where its thread is (somebody holds it) or where a descriptor brings it (it waits there). One that
 * is neither held nor waits is adrift: it goes on wherever the program likes (by a timer, a queue, another thread), and
 * no system call shows it. Context of all: hook; signal-safe; any thread, without locks. */
#ifndef SPANSHIM_REQUEST_H
#define SPANSHIM_REQUEST_H

#include "preload/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct trace_context;

/* A request by its slot and its start: the slot may be another request's by now. */
struct request_ref {
    struct wire_slot *slot; /* NULL: none */
    uint64_t start_ns;
};

static inline bool request_is_same(const struct request_ref *a, const struct request_ref *b)
{
    return a->slot == b->slot && a->start_ns == b->start_ns;
}

/* When what stands in the slot began; another request's may begin there in the same moment. */
static inline uint64_t request_start(struct wire_slot *slot)
{
    return __atomic_load_n(&wire_slot_request(slot)->start_ns, __ATOMIC_RELAXED);
}

/* When its answer began; 0: it has none yet. Stored and looked at by several threads. */
static inline uint64_t request_answered(struct wire_slot *slot)
{
    return __atomic_load_n(&wire_slot_request(slot)->first_byte_ns, __ATOMIC_RELAXED);
}

static inline void request_note_answer(struct wire_slot *slot, uint64_t first_byte_ns)
{
    __atomic_store_n(&wire_slot_request(slot)->first_byte_ns, first_byte_ns, __ATOMIC_RELAXED);
}

static inline struct request_ref request_in(struct wire_slot *slot)
{
    return (struct request_ref){slot, request_start(slot)};
}

/* The request as long as it lives; NULL when it has ended. */
struct wire_request *request_live(const struct request_ref *ref);

/* A server's request: its head is complete, its slot open. It is adrift until somebody holds it. And: it has ended. */
void request_begun(struct wire_slot *slot);
void request_ended(struct wire_slot *slot);

/* A thread works on it; does so no more. What the latter returns: it is alive, and adrift now. */
void request_hold(const struct request_ref *ref);
bool request_leave(const struct request_ref *ref);

/* It waits for a descriptor; does so no more. */
void request_wait(const struct request_ref *ref);
void request_go_on(const struct request_ref *ref);

/* Is each other live request that is not being answered yet held by a thread, or waiting? Else what a thread does may
 * be done for another one than its current. */
bool request_others_are_placed(const struct request_ref *ref);

/* Is there no other live request that is not being answered yet? */
bool request_is_alone(const struct request_ref *ref);

/* Has no other request begun since it did? It is alive. */
bool request_is_youngest(const struct request_ref *ref);

/* Is no server's request open at all, answered or not? */
bool request_none_is_open(void);

/* Why a request that goes out has no parent; NONE: no request is live. */
enum wire_parent request_why_none(void);

/* The live request that came with this trace context, as a proxy passes it on unchanged. Two that came with the same:
 * `preferred`, if it is one of them, else none. */
struct request_ref request_search(const struct trace_context *context, const struct request_ref *preferred);

#endif
