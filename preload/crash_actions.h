/* SPDX-License-Identifier: Apache-2.0 */
/* What the program has set for the signals of a crash, and what the kernel has instead.
 *
 * Each different action of the program's (handler, flags, mask) gets a number once and for ever, and a stub of that
 * number in crash_entry.S; the kernel is given the stub. So the kernel alone says what is set at the moment: a change
 * is one system call, as without us, atomic for threads and signal handlers, and a vfork's child, which has
 * dispositions of its own on our memory, changes nothing of its parent's. SIG_IGN goes to the kernel as it is, and so
 * does a handler for which no number is left: it is then only not followed. */
#ifndef SPANSHIM_CRASH_ACTIONS_H
#define SPANSHIM_CRASH_ACTIONS_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { CRASH_ACTIONS_MAX = 64 }; /* as many as crash_entry.S has stubs */

/* Written once, before its number is given to the kernel; then read-only. crash_entry.S knows the layout. */
struct crash_action {
    void (*handler)(int signal); /* SIG_DFL: the signal is a crash */
    uint64_t flags;
    uint64_t mask;            /* the first 64 signals, as the kernel has it */
    _Atomic uint32_t is_used; /* all else is written (release) */
    uint32_t pad;
};
extern struct crash_action crash_actions[CRASH_ACTIONS_MAX] __attribute__((visibility("hidden")));

/* The signals that are ours, a bit each; 0 until crash_install() and after crash_give_back(). */
extern _Atomic uint64_t crash_signals __attribute__((visibility("hidden")));

/* Is it one of ours? Context: hook; signal-safe. */
static inline bool crash_owns(int signal)
{
    return signal > 0 && signal < 64 && atomic_load_explicit(&crash_signals, memory_order_relaxed) >> signal & 1;
}

/* From now on these signals come to us; the program keeps its view. Once. Context: hook; system calls. */
void crash_install(void);

/* No more: the kernel gets what the program has set. Context: hook; signal-safe; system calls. */
void crash_give_back(void);

/* sigaction() for a signal of ours. Context: hook; signal-safe; sets errno. */
int crash_sigaction(int signal, const struct sigaction *action, struct sigaction *ret_before);

/* A function of libc's has set the action by itself, past us: take it over. Context: hook; signal-safe; errno is
 * kept. */
void crash_adopt(int signal);

/* The handler that the program knows instead of this one, which may be a stub. Context: hook; signal-safe. */
void (*crash_seen_handler(void (*handler)(int signal)))(int signal);

/* The program has set an alternate stack that is too small for us: from now on it is for its own handlers only, and a
 * crash is written down on the thread's stack. Context: hook; signal-safe; errno is kept. */
void crash_avoid_stacks(void);

/* The kernel's action for this signal becomes the default one: the next delivery ends the process. Context: hook;
 * signal-safe; a system call. */
void crash_set_default(int signal);

/* SA_RESETHAND: the handler of this action has been entered; the default one stands from now on. Context: hook;
 * signal-safe; system calls. */
void crash_reset_action(int signal, uint32_t number);

#endif
