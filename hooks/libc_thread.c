/* SPDX-License-Identifier: Apache-2.0 */
/* A thread is started: it has an alternate stack of ours, and what it does first is done for the request that its
 * starter works on. */
#include "hooks/hook.h"

#include "preload/arena.h"
#include "preload/crash_stack.h"
#include "preload/current.h"

#include <pthread.h>
#include <threads.h>

/* What the program wants to be run. */
struct work {
    void *(*routine)(void *argument);
    void *argument;
};

/* What goes to the new thread by way of its argument. */
struct start {
    _Atomic uint32_t pool_link; /* the arena's while it is free */
    struct work work;
    struct request_ref ref;
    uint32_t stack; /* as crash_stack.h numbers them; 0: none */
};
static struct arena_pool starts = {.block_size = sizeof(struct start)};

/* libc_thread_begin.S, which calls the other one. */
void *thread_begin(void *block) __attribute__((visibility("hidden")));
struct work thread_prepare(void *block) __attribute__((visibility("hidden")));

struct work thread_prepare(void *block)
{
    const struct start start = *(struct start *)block;

    arena_pool_put(&starts, block);
    crash_stack_use(start.stack);
    if (start.ref.slot)
        current_inherit(&start.ref);
    return start.work;
}

/* NULL: there is nothing to be done first. */
static struct start *start_get(struct work work)
{
    applog_before_thread();

    struct request_ref ref = hook_active() ? current_get() : (struct request_ref){0};
    uint32_t stack = crash_stack_take();
    struct start *start = ref.slot || stack ? arena_pool_get(&starts) : NULL;

    if (!start) {
        crash_stack_put(stack);
        return NULL;
    }
    start->work = work;
    start->ref = ref;
    start->stack = stack;
    return start;
}

/* The thread was not made. */
static void start_put(struct start *start)
{
    crash_stack_put(start->stack);
    arena_pool_put(&starts, start);
}

HOOK
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *), void *argument)
{
    struct start *start = start_get((struct work){routine, argument});

    if (!start)
        return REAL(pthread_create)(thread, attributes, routine, argument);
    int result = REAL(pthread_create)(thread, attributes, thread_begin, start);
    if (result != 0)
        start_put(start);
    return result;
}

/* libc knows by itself which kind of result the routine gives. */
HOOK
int thrd_create(thrd_t *thread, thrd_start_t routine, void *argument)
{
    struct start *start = start_get((struct work){(void *(*)(void *))(void *)routine, argument});

    if (!start)
        return REAL(thrd_create)(thread, routine, argument);
    int result = REAL(thrd_create)(thread, (thrd_start_t)(void *)thread_begin, start);
    if (result != thrd_success)
        start_put(start);
    return result;
}
