// SPDX-License-Identifier: Apache-2.0
/* A program that locks its memory would lock, and so fill, all that we have reserved. */
#include "hooks/hook.h"

#include "preload/arena.h"
#include "preload/crash_stack.h"
#include "preload/link.h"
#include "preload/ring.h"

#include <sys/mman.h>

HOOK
int mlockall(int flags)
{
    int result = REAL(mlockall)(flags);
    int saved_errno = errno;

    if (result == 0 && process_in_vfork == 0) {
        if ((flags & MCL_CURRENT) && !atomic_load_explicit(&process_sandboxed, memory_order_relaxed)) {
            arena_unlock();
            crash_stack_unlock();
            ring_unlock();
        }
        if (flags & MCL_FUTURE)
            link_expect_locking();
        errno = saved_errno;
    }
    return result;
}
