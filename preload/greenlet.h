/* SPDX-License-Identifier: Apache-2.0 */
/* Which greenlet runs on this thread. Greenlets (gevent, eventlet) take turns on one thread of Python's, each with a
 * stack of its own: what one does is not what the others do, as if each were a thread. No system call shows that
 * another one goes on. But CPython keeps its frames in chunks of memory, and each greenlet has its own: where the first
 * one is tells them apart. Only looked at, never written; from CPython 3.11 on, in the versions whose layout is
 * known. */
#ifndef SPANSHIM_GREENLET_H
#define SPANSHIM_GREENLET_H

#include <stdbool.h>
#include <stddef.h>

enum { GREENLET_STACK_SIZE = 16 * 1024 /* of a first chunk */ };

struct greenlet {
    const void *stack;    /* its first chunk; NULL: not known */
    const void *function; /* what was called first there: a later greenlet with the same memory may do something else */
};

/* CPython's: the thread's state, or NULL. It takes no lock. Weak: NULL in other programs. */
void *PyGILState_GetThisThreadState(void) __attribute__((weak));

/* May this program have any? Context: hook; signal-safe. */
static inline bool greenlet_is_possible(void)
{
    return PyGILState_GetThisThreadState != NULL;
}

/* The one that runs here. Only where they are possible. Context: hook; signal-safe. */
struct greenlet greenlet_here(void);

#endif
