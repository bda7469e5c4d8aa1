/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a program that this process starts: what the caller gives it, with the context of the request that
 * it is started for as TRACEPARENT, TRACESTATE and BAGGAGE. The program's own word counts: an environment that has us
 * taken out of LD_PRELOAD stays as it is, and so does one whose TRACEPARENT is another than this process got itself.
 *
 * A copy in a block of the arena, for a vfork child too, which runs on its parent's memory: the parent gives that block
 * back. Context of all: hook; signal-safe; also in a child after fork or vfork. */
#ifndef SPANSHIM_CHILD_ENV_H
#define SPANSHIM_CHILD_ENV_H

#include "preload/request.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHILD_ENV_ENTRIES = 4096, CHILD_ENV_TEXT = 9216 };

struct child_env {
    _Atomic uint32_t pool_link; /* the arena's while it is free */
    char **replaced;            /* what `environ` was, of child_env_exchange() */
    char *entries[CHILD_ENV_ENTRIES];
    char text[CHILD_ENV_TEXT];
};

/* Where the program runs. */
enum child_env_place {
    CHILD_ENV_BESIDE,   /* in a process of its own */
    CHILD_ENV_IN_PLACE, /* in the place of this one, which may be a child that was made for it */
};

/* What a vfork child of this thread has taken; NULL: nothing. Written by the child, and by its parent when that runs
 * again. */
extern _Thread_local struct child_env *child_env_lent __attribute__((visibility("hidden")));

/* The environment to start a program with in place of `envp`; NULL: that one is to be used as it is. */
struct child_env *child_env_make(char *const *envp, enum child_env_place place);

/* The program was not started, or this process goes on beside it; NULL is none. errno is kept. */
void child_env_free(struct child_env *env);

/* libc starts a shell by its inside, with `environ`: what that is exchanged for; NULL: it is the program's own. Written
 * by the process's only thread: with several nothing is exchanged, because another one may be changing it. */
extern struct child_env *child_env_exchanged __attribute__((visibility("hidden")));

/* Let `environ` be the environment to start a program with. NULL: it is to be used as it is. */
struct child_env *child_env_exchange(void);

/* The shell was started; NULL is none. */
void child_env_restore(struct child_env *env);

/* The program jumps, perhaps out of a handler and the call that this has interrupted. A shell that was started does not
 * need `environ` any more, and one that was not yet goes without a context. */
void child_env_after_jump(void) __attribute__((visibility("hidden")));

/* This thread's vfork child has started its program. */
void child_env_reclaim(void) __attribute__((visibility("hidden")));

#endif
