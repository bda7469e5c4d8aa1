// SPDX-License-Identifier: Apache-2.0
/* Processes, and who they are. A fork's child is noticed by process.h's page, whatever made it; the hooks here see to
 * the parent's side, to children that share its memory, and to changes of user. */
#include "hooks/hook.h"

#include "preload/link.h"
#include "preload/ring.h"

#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#include <linux/close_range.h>
#endif

HOOK
pid_t fork(void)
{
    pid_t child = REAL(fork)();

    if (child > 0 && hook_active()) /* a connection may now be the child's to answer: conn.c */
        atomic_fetch_add_explicit(&process_page->forks, 1, memory_order_relaxed);
    return child;
}

/* Like vfork, the child of CLONE_VM|CLONE_VFORK runs on our memory and thread-local storage, while we wait. */
HOOK
int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
    bool borrows = (flags & (CLONE_VM | CLONE_VFORK)) == (CLONE_VM | CLONE_VFORK);
    va_list arguments;

    va_start(arguments, arg);
    void *parent_tid = va_arg(arguments, void *);
    void *tls = va_arg(arguments, void *);
    void *child_tid = va_arg(arguments, void *);
    va_end(arguments);
    process_in_vfork += borrows;
    int result = REAL(clone)(fn, stack, flags, arg, parent_tid, tls, child_tid);
    process_in_vfork -= borrows;
    return result;
}

static void sandboxed(void)
{
    if (hook_active())
        ring_before_sandbox();
    atomic_store_explicit(&process_sandboxed, 1, memory_order_relaxed);
}

/* From a filter on, a system call of ours may kill: process.h. */
HOOK
int prctl(int option, ...)
{
    va_list arguments;

    va_start(arguments, option);
    unsigned long a = va_arg(arguments, unsigned long);
    unsigned long b = va_arg(arguments, unsigned long);
    unsigned long c = va_arg(arguments, unsigned long);
    unsigned long d = va_arg(arguments, unsigned long);
    va_end(arguments);
    if (option == PR_SET_SECCOMP)
        sandboxed();
    return REAL(prctl)(option, a, b, c, d);
}

/* Raw system calls that change what we keep; called by libc_syscall.S before it goes on to the original. */
void syscall_before(long number, long a, long b, long c) __attribute__((visibility("hidden")));

void syscall_before(long number, long a, long b, long c)
{
    if (number == SYS_seccomp || (number == SYS_prctl && a == PR_SET_SECCOMP))
        sandboxed();
    if (!hook_active())
        return;
    if (number == SYS_close)
        conn_closing((int)a);
    else if (number == SYS_close_range && !(c & CLOSE_RANGE_CLOEXEC))
        conn_closing_range((unsigned)a, (unsigned)b);
    else if (number == SYS_dup2 || number == SYS_dup3)
        conn_closing((int)b);
}

HOOK
int setuid(uid_t uid)
{
    link_before_uid_change();
    return REAL(setuid)(uid);
}

HOOK
int seteuid(uid_t uid)
{
    link_before_uid_change();
    return REAL(seteuid)(uid);
}

HOOK
int setreuid(uid_t real, uid_t effective)
{
    link_before_uid_change();
    return REAL(setreuid)(real, effective);
}

HOOK
int setresuid(uid_t real, uid_t effective, uid_t saved)
{
    link_before_uid_change();
    return REAL(setresuid)(real, effective, saved);
}
