/* SPDX-License-Identifier: Apache-2.0 */
/* This process as the shim sees it: the switches every hook looks at, its number, and the news that it is a fork's
 * child.
 *
 * A fork is noticed by a page that the kernel wipes in the child (MADV_WIPEONFORK), so fork(), _Fork(), daemon() and
 * raw clone() are all one case. A vfork child shares our memory and must leave no trace in it: see process_in_vfork. */
#ifndef SPANSHIM_PROCESS_H
#define SPANSHIM_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether hooks do more than forward. Stored by init.c and link.c (release), by anyone to give up; read by every
 * hook. */
extern _Atomic uint32_t process_active __attribute__((visibility("hidden")));

/* Not zero while this thread has a vfork child running on its memory: hooks only forward then. Written by the vfork and
 * clone hooks around the call, on both sides of it; the child runs while the parent's thread is suspended. */
extern _Thread_local uint32_t process_in_vfork __attribute__((visibility("hidden")));

/* Set when the process may be killed for a system call it has not made itself (seccomp): none of ours from then on. */
extern _Atomic uint32_t process_sandboxed __attribute__((visibility("hidden")));

/* libc's; absent from libcs without it. */
extern char __libc_single_threaded __attribute__((weak));

/* Is it certain that no other thread runs? Context: any. */
static inline bool process_has_one_thread(void)
{
    return &__libc_single_threaded && __libc_single_threaded;
}

/* Kept on the page that a fork wipes. */
struct process_page {
    _Atomic uint32_t valid; /* 0 in a fresh child */
    _Atomic uint32_t pid;   /* WIRE_PID_UNKNOWN when it may not be asked */
    _Atomic uint32_t forks; /* forks of this process that went through the hook */
};
/* Set at start, then read-only; never NULL. */
extern struct process_page *process_page __attribute__((visibility("hidden")));

/* Make the page. 0 or -errno. Context: start. */
int process_init(void);

/* To be called before state of this process is used: in a fork's first hook it cuts the child loose from the parent's
 * lane. Context: hook; signal-safe. */
__attribute__((cold)) void process_after_fork(void);

static inline void process_check_fork(void)
{
    if (__builtin_expect(!atomic_load_explicit(&process_page->valid, memory_order_relaxed), 0))
        process_after_fork();
}

/* The process's number, cached. Context: hook; signal-safe. */
uint32_t process_pid(void);

#endif
