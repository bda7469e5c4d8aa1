/* SPDX-License-Identifier: Apache-2.0 */
/* A program that locks its memory would lock, and so fill, all that we have reserved, or be refused for it. */
#include "hooks/hook.h"

#include "preload/arena.h"
#include "preload/crash_stack.h"
#include "preload/link.h"
#include "preload/memlock.h"
#include "preload/ring.h"

#include <sys/mman.h>

/* Our memory is unlocked again: nobody needs it in memory before it is used. */
static void unlock_ours(void)
{
    arena_unlock();
    crash_stack_unlock();
    ring_unlock();
}

HOOK
int mlockall(int flags)
{
    const int before = errno;
    int result = REAL(mlockall)(flags);
    int saved_errno = errno;
    bool has_call = process_in_vfork == 0 && !atomic_load_explicit(&process_sandboxed, memory_order_relaxed);

    if (result == 0 && has_call && (flags & MCL_CURRENT))
        unlock_ours();
    if (result != 0 && saved_errno == ENOMEM && has_call && (flags & MCL_CURRENT) && memlock_without_us(flags) == 0) {
        result = 0;
        saved_errno = before;
    }
    if (result == 0 && process_in_vfork == 0 && (flags & MCL_FUTURE))
        link_expect_locking();
    errno = saved_errno;
    return result;
}
