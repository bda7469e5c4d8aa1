/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/process.h"

#include "preload/crash.h"
#include "preload/ids.h"
#include "preload/link.h"
#include "preload/ring.h"
#include "preload/sys.h"
#include "preload/wire.h"

#include <errno.h>
#include <sys/mman.h>

_Atomic uint32_t process_active;
_Thread_local uint32_t process_in_vfork;
_Atomic uint32_t process_sandboxed;

/* Until the page is made; in programs that make none, such as tests of single modules. */
static struct process_page first_page = {.valid = 1};
struct process_page *process_page = &first_page;

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* The number, unless asking could be fatal. */
static uint32_t ask_pid(void)
{
    if (atomic_load_explicit(&process_sandboxed, memory_order_relaxed))
        return WIRE_PID_UNKNOWN;
    return (uint32_t)sys_call0(SYS_getpid);
}

int process_init(void)
{
    long got = sys_call6(SYS_mmap, 0, WIRE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (got < 0 && got > -4096)
        return (int)got;
    /* Linux 4.14; without it a child would write into its parent's lane, so there is no tracing then. */
    long wiped = sys_call3(SYS_madvise, got, WIRE_PAGE, MADV_WIPEONFORK);
    if (wiped < 0)
        return (int)wiped;
    process_page = (struct process_page *)got;
    atomic_store_explicit(&process_page->pid, ask_pid(), memory_order_relaxed);
    atomic_store_explicit(&process_page->valid, 1, memory_order_release);
    return 0;
}

void process_after_fork(void)
{
    uint32_t fresh = 0;
    uint32_t pid = ask_pid();

    /* One thread only runs in a fresh child, but a signal handler of it may come between. */
    atomic_store_explicit(&process_page->pid, pid, memory_order_relaxed);
    ids_after_fork(pid);
    ring_after_fork();
    link_after_fork();
    crash_after_fork();
    (void)atomic_compare_exchange_strong_explicit(&process_page->valid, &fresh, 1, memory_order_release,
                                                  memory_order_relaxed);
}

inline uint32_t process_pid(void)
{
    return atomic_load_explicit(&process_page->pid, memory_order_relaxed);
}
