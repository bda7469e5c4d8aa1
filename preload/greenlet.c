/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/greenlet.h"

#include <stdint.h>

/* CPython's: 0x030b02f0 is 3.11.2. Since 3.11. */
extern const unsigned long Py_Version __attribute__((weak));

/* CPython's, from its headers: a chunk, and what the state of a thread says of the latest one. */
struct chunk {
    const struct chunk *previous;
    size_t size, top;
    const void *unused; /* in the first one */
    const void *function;
};
struct stack {
    const struct chunk *chunk;
    const char *top, *limit;
};

enum { CHUNKS_MAX = 64 };

/* Where the state of a thread says it; 0: not known. */
static size_t place_of_stack(void)
{
    unsigned long version = &Py_Version ? Py_Version >> 16 : 0;

    if (version == 0x030b)
        return 296;
    return version == 0x030c || version == 0x030d ? 232 : 0;
}

/* Is that what CPython says of a stack? A chunk takes 16 KiB, doubled until what is called fits. In a build whose
 * layout is another one three other values stand there: nothing that they may point to is read. */
static bool is_plausible(const struct stack *stack)
{
    uintptr_t chunk = (uintptr_t)stack->chunk, top = (uintptr_t)stack->top, limit = (uintptr_t)stack->limit;
    uintptr_t size = limit - chunk;

    return chunk != 0 && chunk % sizeof(void *) == 0 && chunk < top && top <= limit && size >= GREENLET_STACK_SIZE &&
           (size & (size - 1)) == 0;
}

struct greenlet greenlet_here(void)
{
    const char *thread = PyGILState_GetThisThreadState();
    size_t place = place_of_stack();
    const struct stack *stack = (const void *)(thread + place);
    const struct chunk *chunk;

    if (!thread || place == 0 || !is_plausible(stack) ||
        stack->limit != (const char *)stack->chunk + stack->chunk->size)
        return (struct greenlet){0};
    chunk = stack->chunk;
    for (int i = 0; chunk->previous; chunk = chunk->previous)
        if (++i == CHUNKS_MAX)
            return (struct greenlet){0};
    return (struct greenlet){chunk, chunk->function};
}
