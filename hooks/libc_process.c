/* SPDX-License-Identifier: Apache-2.0 */
/* Processes, and who they are. A fork's child is noticed by process.h's page, whatever made it; the hooks here see to
 * the parent's side, to children that share its memory, and to changes of user. */
#include "hooks/hook.h"

#include "preload/cgi.h"
#include "preload/child_env.h"
#include "preload/crash.h"
#include "preload/crash_actions.h"
#include "preload/current.h"
#include "preload/link.h"
#include "preload/ring.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#include <linux/close_range.h>
#endif

HOOK
pid_t fork(void)
{
    /* Asked before: the child does not know the requests of other threads any more. */
    bool is_certain = hook_active() && current_certain().slot;
    pid_t child = REAL(fork)();

    if (child > 0 && hook_active()) /* a connection may now be the child's to answer: conn.c */
        atomic_fetch_add_explicit(&process_page->forks, 1, memory_order_relaxed);
    if (child == 0 && !is_certain)
        current_clear();
    return child;
}

/* The process ends. exit() comes by without these hooks, and by our destructor. */
static void ending(void)
{
    if (crash_is_pending())
        crash_before_exit();
    if (hook_active())
        conn_at_exit();
    cgi_at_exit();
}

HOOK
void _exit(int status)
{
    ending();
    REAL(_exit)(status);
    __builtin_unreachable();
}

HOOK
void _Exit(int status) SAME_AS(_exit);

HOOK
void quick_exit(int status)
{
    ending();
    REAL(quick_exit)(status);
    __builtin_unreachable();
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
    if (borrows)
        child_env_reclaim();
    return result;
}

/* In strict mode the time-stamp counter is forbidden as well, so that no clock can be read: hooks only forward then. */
static void sandboxed(bool is_strict)
{
    crash_give_back(); /* a crash needs system calls */
    if (hook_active())
        ring_before_sandbox();
    atomic_store_explicit(&process_sandboxed, 1, memory_order_relaxed);
    if (is_strict)
        atomic_store_explicit(&process_active, 0, memory_order_relaxed);
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
        sandboxed(a == SECCOMP_MODE_STRICT);
    return REAL(prctl)(option, a, b, c, d);
}

/* Raw system calls that concern us: libc_syscall.S asks for each number, and tells syscall_before() of these before it
 * goes on to the original. */
enum { SYSCALLS_WATCHED = 512 }; /* as libc_syscall.S has it */
enum watched { NOT_WATCHED, ENTERS_SANDBOX, CLOSES, DUPLICATES, MOVES_BYTES };

extern const uint8_t syscall_watched[SYSCALLS_WATCHED] __attribute__((visibility("hidden")));

const uint8_t syscall_watched[SYSCALLS_WATCHED] = {
    [SYS_seccomp] = ENTERS_SANDBOX, [SYS_prctl] = ENTERS_SANDBOX, [SYS_close] = CLOSES,
    [SYS_close_range] = CLOSES,     [SYS_dup2] = DUPLICATES,      [SYS_dup3] = DUPLICATES,
    [SYS_read] = MOVES_BYTES,       [SYS_readv] = MOVES_BYTES,    [SYS_preadv2] = MOVES_BYTES,
    [SYS_recvfrom] = MOVES_BYTES,   [SYS_recvmsg] = MOVES_BYTES,  [SYS_recvmmsg] = MOVES_BYTES,
    [SYS_write] = MOVES_BYTES,      [SYS_writev] = MOVES_BYTES,   [SYS_pwritev2] = MOVES_BYTES,
    [SYS_sendto] = MOVES_BYTES,     [SYS_sendmsg] = MOVES_BYTES,  [SYS_sendmmsg] = MOVES_BYTES,
    [SYS_sendfile] = MOVES_BYTES,
};

void syscall_before(long number, long a, long b, long c) __attribute__((visibility("hidden")));

void syscall_before(long number, long a, long b, long c)
{
    enum watched what = (enum watched)syscall_watched[number];
    struct hook_call call;

    if (what == ENTERS_SANDBOX && (number == SYS_seccomp || a == PR_SET_SECCOMP))
        sandboxed(number == SYS_seccomp ? a == SECCOMP_SET_MODE_STRICT : b == SECCOMP_MODE_STRICT);
    if (!hook_follows())
        return;
    if (number == SYS_close)
        conn_closing((int)a);
    else if (number == SYS_close_range && (c & ~(long)CLOSE_RANGE_UNSHARE) == 0)
        conn_closing_range((unsigned)a, (unsigned)b);
    else if (what == DUPLICATES && a != b)
        conn_duplicated((int)a, (int)b); /* b's old meaning ends, also if the call should fail */
    else if (what == MOVES_BYTES && hook_enter(&call, (int)a))
        conn_give_up(&call.conn);
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
