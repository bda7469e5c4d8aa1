/* SPDX-License-Identifier: Apache-2.0 */
/* The request that a thread works on: the one on whose behalf it does what it does now. A request that goes out while
 * one is current has it as parent. No current request is better than a wrong one: in doubt there is none.
 *
 * It becomes current when a thread has read its head, and follows descriptors from there: what is written under it ties
 * the descriptor to it, and reading the answer makes it current again. It is over when it ends, and when the thread
 * turns to something else: waits for whatever comes next, accepts a connection, is woken by nobody knows whom.
 *
 * Some threads do the work of several requests in turns (event loops, and whoever was seen to leave one that goes on
 * elsewhere). What such a thread does is its current request's only while no other request is adrift (request.h): that
 * one may just as well be meant. Context of all: hook; signal-safe. */
#ifndef SPANSHIM_CURRENT_H
#define SPANSHIM_CURRENT_H

#include "preload/request.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* This thread's, if it is alive. */
struct request_ref current_get(void);

/* Is it in this slot? NULL: no. */
bool current_is_in(const struct wire_slot *slot);

/* The same, if it is certain that what the thread does now is done for it. */
struct request_ref current_certain(void);

/* The process serves this request alone, from its start to its end: what no other rule says is done for it. Context:
 * start. */
void current_set_only(const struct request_ref *ref);

/* The thread has read this request's head, or more of its body. */
void current_set(const struct request_ref *ref);

/* The thread has asked the kernel about the connection of this request, which has come whole, perhaps to another
 * thread, and waits for its answer: a thread of a pool begins with it. One that waits for several asks about any of
 * them. */
void current_touch(const struct request_ref *ref);

/* The thread begins to answer the request in this slot. One that has left requests, which it had read or asked about,
 * and has never answered one leaves that to other threads: what it asks for itself is nobody's. */
void current_answer(const struct wire_slot *slot);

/* The thread goes on to something else. */
void current_clear(void);

/* The thread is about to wait for whatever comes next: it does the work of several in turns. */
void current_turn(void);

/* Has it been seen to? */
bool current_is_loop(void);

/* Would that change anything? A look that is cheap. */
bool current_would_turn(void);

/* The live request that came with this trace context, as a proxy passes it on unchanged. Two that came with the same:
 * this thread's, if it is one of them, else none. */
struct request_ref current_find_passed_on(const struct trace_context *context);

/* A thread is started: its current request is the starter's, until it ends or the thread has made a request. */
void current_inherit(const struct request_ref *ref);

/* A request with its parts read by any thread at once: torn apart it names nobody. */
struct tie_ref {
    _Atomic(struct wire_slot *) slot;
    _Atomic uint64_t start_ns;
};

enum tie_state {
    TIE_QUIET, /* nothing is unanswered */
    TIE_ASKED, /* what was written waits for an answer */
    TIE_MIXED, /* what two requests have written does: nobody knows whose answer comes first */
};

/* What ties a connection, a pipe or an eventfd to a request. All zero: to none. */
struct tie {
    struct tie_ref made_for; /* the request that was current when it was made */
    struct tie_ref owner;    /* the one that wrote last, at first the one it was made for */
    _Atomic uint8_t state;   /* enum tie_state */
    _Atomic uint8_t awaited; /* 1: the owner waits for it, as request.h counts it */
};

/* This thread makes it: connect(), pipe(). Whatever it was tied to is gone. */
void tie_make(struct tie *tie);

/* The program has asked what became of the attempt to connect it, and goes on with whom it was made for. */
void tie_told(const struct tie *tie);

/* The request that was current when it was made, if it is alive. */
struct request_ref tie_maker(const struct tie *tie);

/* Nothing will come any more: it was closed. */
void tie_end(struct tie *tie);

/* This thread has written to it. For HTTP there is tie_ask() instead. */
void tie_write(struct tie *tie);

/* What comes from a descriptor. */
enum tie_kind {
    TIE_HTTP,   /* answers whose ends are seen: tie_answered() */
    TIE_OTHER,  /* bytes of an unknown kind: whatever comes is an answer */
    TIE_WAKEUP, /* a pipe or an eventfd: a wakeup, which may stand for several */
};

/* This thread has read from it: its owner is current now. If it has none, neither has the thread when it takes turns,
 * or was woken. */
void tie_read(struct tie *tie, enum tie_kind kind);

/* Everything that was asked has been answered. */
void tie_answered(struct tie *tie);

/* Whose work is the request whose head begins to go out here? `is_first`: nothing went out here before. */
struct request_ref current_parent_for(const struct tie *tie, bool is_first);

/* A request goes out under this parent, which may be none; `in_pipeline`: one before it is not answered yet. */
void tie_ask(struct tie *tie, const struct request_ref *parent, bool in_pipeline);

#endif
