/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/crash_stack.h"

#include "preload/config.h"
#include "preload/crash_actions.h"
#include "preload/process.h"
#include "preload/real.h"
#include "preload/sys.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum {
    STACK_SIZE = 256 << 10, /* touched only when used. Handlers of the program's may run here too: crash_actions.c */
    GUARD_SIZE = 4096,      /* below each: a handler that needs more faults, instead of writing over what is there */
    SLOT_SIZE = GUARD_SIZE + STACK_SIZE,
    CHUNK_STACKS = 16,
    CHUNKS_MAX = 256,
    STACKS_MAX = CHUNKS_MAX * CHUNK_STACKS,
    CHUNK_SIZE = CHUNK_STACKS * SLOT_SIZE,
    LOOKS_MAX = 4,       /* at stacks that may have become free, before there is one more */
    FRAMES_SIZE = 2048,  /* what our handler needs, beside the kernel's frame */
    FRAME_OF_OLD = 2048, /* the kernel's, where it doesn't say how large it is */
};

/* Whose a stack is: a thread's number, or one of these. */
enum { NOT_THERE = 0, STARTING = 0x7fffffff, FREE = 0x7ffffffe };

/* Stacks at the front first, so that most programs touch one page of the list. */
static struct {
    bool is_on;                          /* written at start */
    _Atomic uint32_t count;              /* stacks that were asked for */
    _Atomic uint32_t next;               /* the one to look at next */
    _Atomic(char *) chunks[CHUNKS_MAX];  /* mapped by who needs it first (compare-and-swap) */
    _Atomic uint32_t owners[STACKS_MAX]; /* claimed by compare-and-swap */
} stacks __attribute__((aligned(64)));

static _Thread_local uint32_t own; /* this thread's number; 0: none */

static char *chunk_at(uint32_t index)
{
    char *chunk = atomic_load_explicit(&stacks.chunks[index], memory_order_acquire);

    if (chunk)
        return chunk;

    long fresh = sys_call6(SYS_mmap, 0, CHUNK_SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (fresh < 0 && fresh > -4096)
        return NULL;
    if (atomic_compare_exchange_strong_explicit(&stacks.chunks[index], &chunk, (char *)fresh, memory_order_acq_rel,
                                                memory_order_acquire))
        return (char *)fresh;
    (void)sys_call2(SYS_munmap, fresh, CHUNK_SIZE);
    return chunk;
}

/* The lowest byte that may be used. The guard is below it. */
static char *bottom_of(uint32_t number)
{
    return stacks.chunks[(number - 1) / CHUNK_STACKS] + (size_t)((number - 1) % CHUNK_STACKS) * SLOT_SIZE + GUARD_SIZE;
}

static uint32_t stack_make(void)
{
    uint32_t index = atomic_load_explicit(&stacks.count, memory_order_relaxed);

    if (index >= STACKS_MAX)
        return 0;
    index = atomic_fetch_add_explicit(&stacks.count, 1, memory_order_relaxed);
    if (index >= STACKS_MAX || !chunk_at(index / CHUNK_STACKS))
        return 0;
    (void)sys_call3(SYS_mprotect, (long)(bottom_of(index + 1) - GUARD_SIZE), GUARD_SIZE, PROT_NONE);
    atomic_store_explicit(&stacks.owners[index], STARTING, memory_order_release);
    return index + 1;
}

static bool is_gone(uint32_t owner)
{
    return owner == FREE ||
           (owner != NOT_THERE && owner != STARTING && sys_call3(SYS_tgkill, process_pid(), owner, 0) == -ESRCH);
}

/* A few tries only: a program has more or less as many threads as it ever had at once, and that number is its own
 * affair. */
uint32_t crash_stack_take(void)
{
    uint32_t count = atomic_load_explicit(&stacks.count, memory_order_relaxed);

    if (!stacks.is_on || process_in_vfork != 0 || atomic_load_explicit(&process_sandboxed, memory_order_relaxed))
        return 0;
    process_check_fork();
    if (count > STACKS_MAX)
        count = STACKS_MAX;
    for (uint32_t look = 0; look < LOOKS_MAX && look < count; look++) {
        uint32_t index = atomic_fetch_add_explicit(&stacks.next, 1, memory_order_relaxed) % count;
        uint32_t owner = atomic_load_explicit(&stacks.owners[index], memory_order_acquire);

        if (is_gone(owner) && atomic_compare_exchange_strong_explicit(&stacks.owners[index], &owner, STARTING,
                                                                      memory_order_acquire, memory_order_relaxed))
            return index + 1;
    }
    return stack_make();
}

void crash_stack_put(uint32_t number)
{
    if (number)
        atomic_store_explicit(&stacks.owners[number - 1], FREE, memory_order_release);
}

static void set(uint32_t number, stack_t *ret_before)
{
    const stack_t stack = {.ss_sp = bottom_of(number), .ss_size = STACK_SIZE};

    (void)sys_call2(SYS_sigaltstack, (long)&stack, (long)ret_before);
}

void crash_stack_use(uint32_t number)
{
    if (!number)
        return;
    atomic_store_explicit(&stacks.owners[number - 1], (uint32_t)sys_call0(SYS_gettid), memory_order_release);
    own = number;
    set(number, NULL);
}

void crash_stack_init(void)
{
    stack_t before = {0};

    stacks.is_on = config.crash_mode != CRASH_OFF;
    own = crash_stack_take();
    if (!own)
        return;
    atomic_store_explicit(&stacks.owners[own - 1], process_pid(), memory_order_relaxed);
    set(own, &before);
    if (!(before.ss_flags & SS_DISABLE)) /* whoever came before us has set one */
        (void)sys_call2(SYS_sigaltstack, (long)&before, 0);
}

void crash_stack_unlock(void)
{
    for (uint32_t i = 0; i < CHUNKS_MAX; i++) {
        char *chunk = atomic_load_explicit(&stacks.chunks[i], memory_order_acquire);

        if (chunk)
            (void)sys_call2(SYS_munlock, (long)chunk, CHUNK_SIZE);
    }
}

void crash_stack_after_fork(void)
{
    if (own)
        atomic_store_explicit(&stacks.owners[own - 1], process_pid(), memory_order_relaxed);
}

bool crash_stack_has(uintptr_t address)
{
    uint32_t count = atomic_load_explicit(&stacks.count, memory_order_relaxed);

    for (uint32_t i = 0; i < CHUNKS_MAX && i * CHUNK_STACKS < count; i++) {
        const char *chunk = atomic_load_explicit(&stacks.chunks[i], memory_order_acquire);

        if (chunk && address - (uintptr_t)chunk < CHUNK_SIZE)
            return true;
    }
    return false;
}

static bool is_small(size_t size)
{
    unsigned long frame = getauxval(AT_MINSIGSTKSZ);

    return size < (frame ? frame : FRAME_OF_OLD) + FRAMES_SIZE;
}

/* The kernel reads and writes the program's own memory first: what it can't read is its EFAULT, not a fault of ours. */
int crash_sigaltstack(const stack_t *stack, stack_t *ret_before)
{
    int result = REAL(sigaltstack)(stack, ret_before);
    stack_t now;

    if (result != 0 || !stacks.is_on)
        return result;
    if (ret_before && crash_stack_has((uintptr_t)ret_before->ss_sp))
        *ret_before = (stack_t){.ss_flags = SS_DISABLE};
    if (!stack || sys_call2(SYS_sigaltstack, 0, (long)&now) != 0)
        return 0;
    if ((now.ss_flags & SS_DISABLE) && own)
        set(own, NULL);
    else if (!(now.ss_flags & SS_DISABLE) && is_small(now.ss_size))
        crash_avoid_stacks();
    return 0;
}
