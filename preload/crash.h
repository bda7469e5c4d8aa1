/* SPDX-License-Identifier: Apache-2.0 */
/* A crash, as the dying process sees it: what happened is written where the agent reads it, the agent is waited for,
 * and then the process dies as it would have: of the same signal, with the same core file and wait status.
 *
 * The kernel delivers the signals to stubs of ours (crash_entry.S). Where the program has a handler, the stub notes the
 * kernel's frame and jumps there; the note is taken back when the handler returns or jumps away. Where it has none, or
 * its handler ends the process while the noted frame is still there, or returns into abort(), this is a crash. What the
 * program sees of all this is its own dispositions (crash_actions.h) and its own alternate stacks (crash_stack.h). */
#ifndef SPANSHIM_CRASH_H
#define SPANSHIM_CRASH_H

#include <stdbool.h>
#include <stdint.h>

/* SPANSHIM_CRASH. Zero is the default. */
enum crash_mode { CRASH_AUTO, CRASH_ALWAYS, CRASH_OFF };

/* The frame of the kernel's under the program's handler that runs on this thread. Written by crash_entry.S and crash.c,
 * on its own thread only. */
struct crash_note {
    uintptr_t frame; /* 0: none */
    uint32_t action; /* whose handler it is: index of crash_actions */
    uint32_t check;  /* the interrupted stack pointer, low half: a frame that was overwritten is not this one */
};
extern _Thread_local struct crash_note crash_note __attribute__((visibility("hidden")));

/* What the handler that returned last was called for, and where it returned to: a signal that it has raised anew while
 * it was blocked is delivered only there, and is about that fault. Written by crash_entry.S on its own thread. */
struct crash_return {
    uint64_t stack_pointer, instruction;
    int32_t signal, code;
    uint64_t address;
};
extern _Thread_local struct crash_return crash_return __attribute__((visibility("hidden")));

/* The process is about to end, or to become another program: if it does so in a handler of its own, that is a crash. A
 * thread that ends it while another one's crash is looked at waits for that death. Context: hook; signal-safe. */
__attribute__((cold)) void crash_before_exit(void);

/* Does crash_before_exit() have something to do? Context: hook; signal-safe. */
bool crash_is_pending(void);

/* This thread has left whatever handler it was in: the note is void. Context: hook; signal-safe. */
static inline void crash_forget(void)
{
    crash_note.frame = 0;
}

/* A fork's child is in no handler of its own yet. Context: child; signal-safe. */
void crash_after_fork(void);

#endif
