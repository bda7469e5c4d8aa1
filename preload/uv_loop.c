/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/uv_loop.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/* The program's or a library's, where it is exported; else NULL. */
int uv_run(void *loop, int mode) __attribute__((weak));

enum {
    LIBRARY_SIZE = 256 * 1024, /* how far from uv_run() its callees may be */
    FUNCTION_SIZE = 4096,      /* how long it may be */
    FRAME_REST = 4096,         /* what may lie between the array of events and the return address */
    STACK_MAX = 16 << 20,      /* how much of a stack is looked at */
};

/* The end of the main thread's stack, which stays in memory as long as the process lives; other stacks may be gone when
 * they are looked at again. Written at start. */
static uintptr_t stack_end;

/* Its own thread's. The place on the stack, and what stands there while the loop waits and reads. */
static _Thread_local struct {
    const uintptr_t *place; /* NULL: there is none */
    uintptr_t value;
} reading;

static bool is_near(const void *address, uintptr_t before, uintptr_t after)
{
    return (uintptr_t)address + before - (uintptr_t)uv_run < before + after;
}

static bool is_on_main_stack(const void *address)
{
    return stack_end - (uintptr_t)address < STACK_MAX;
}

/* The array is in the frame of the function that uv_run() has called. */
static void find_place(const struct epoll_event *events, int count)
{
    const uintptr_t *at = (const void *)(events + count);

    at = (const void *)(((uintptr_t)at + sizeof(*at) - 1) & ~(sizeof(*at) - 1));
    reading.place = NULL;
    for (size_t i = 0; i < FRAME_REST / sizeof(*at) && (uintptr_t)(at + i + 1) <= stack_end; i++)
        if (is_near((const void *)at[i], 0, FUNCTION_SIZE)) {
            reading.place = at + i;
            reading.value = at[i];
            return;
        }
}

void uv_loop_init(char *const *envp)
{
    stack_end = (uintptr_t)envp;
}

void uv_loop_waits(const struct epoll_event *events, int count, const void *caller)
{
    const char *here = __builtin_frame_address(0);
    bool is_on_stack = (const char *)events > here && (const char *)events - here < 2 * FRAME_REST;

    if (!uv_run || !is_on_main_stack(here))
        return;
    if (!is_on_stack || count < 0 || !is_near(caller, LIBRARY_SIZE, LIBRARY_SIZE))
        reading.place = NULL;
    else if (!reading.place || *reading.place != reading.value || (const char *)reading.place < here)
        find_place(events, count);
}

bool uv_loop_is_elsewhere(void)
{
    return reading.place && *reading.place != reading.value;
}
