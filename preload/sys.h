/* SPDX-License-Identifier: Apache-2.0 */
/* System calls the shim makes itself, past libc: no errno, no cancellation point, no symbol that somebody may
 * interpose. A failure is -errno. Context: all of these are signal-safe; any thread. */
#ifndef SPANSHIM_SYS_H
#define SPANSHIM_SYS_H

#include <sys/syscall.h>

#if !defined(__x86_64__)
#error "the shim is written for x86-64"
#endif

static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long sys_call4(long nr, long a, long b, long c, long d)
{
    return sys_call6(nr, a, b, c, d, 0, 0);
}

static inline long sys_call3(long nr, long a, long b, long c)
{
    return sys_call6(nr, a, b, c, 0, 0, 0);
}

static inline long sys_call2(long nr, long a, long b)
{
    return sys_call6(nr, a, b, 0, 0, 0, 0);
}

static inline long sys_call1(long nr, long a)
{
    return sys_call6(nr, a, 0, 0, 0, 0, 0);
}

static inline long sys_call0(long nr)
{
    return sys_call6(nr, 0, 0, 0, 0, 0, 0);
}

#endif
