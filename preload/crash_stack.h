/* SPDX-License-Identifier: Apache-2.0 */
/* Alternate stacks: where a crash is written down when the thread's own stack has overflowed. Each thread that the
 * program makes has one of ours until it sets one of its own, and again when it gives that up; the program sees only
 * its own. Nothing is done at a thread's end (that would take a frame or a key of ours): its stack is given to a new
 * thread once the kernel knows the old one no more. */
#ifndef SPANSHIM_CRASH_STACK_H
#define SPANSHIM_CRASH_STACK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* Reserve some, and give this thread one. Context: start. */
void crash_stack_init(void);

/* A stack for a thread that is about to be made: its number, 0: none. Context: hook; system calls. */
uint32_t crash_stack_take(void);

/* That thread was not made. Context: hook. */
void crash_stack_put(uint32_t number);

/* This is that thread. Context: hook, at the start of a thread; system calls. */
void crash_stack_use(uint32_t number);

/* sigaltstack(), as without us. Context: hook; signal-safe; sets errno. */
int crash_sigaltstack(const stack_t *stack, stack_t *ret_before);

/* Is this address in memory that was reserved for stacks? Context: hook; signal-safe. */
bool crash_stack_has(uintptr_t address);

/* The program has locked all its memory: stacks need not be there before they are used. Context: hook; system calls. */
void crash_stack_unlock(void);

/* The one thread of a fork's child has another number than its parent's. Context: child; signal-safe. */
void crash_stack_after_fork(void);

#endif
