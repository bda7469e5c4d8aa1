/* SPDX-License-Identifier: Apache-2.0 */
/* Part of wire.h: what a dying process and the agent say to each other, in a page of its lane. */
#ifndef SPANSHIM_WIRE_CRASH_H
#define SPANSHIM_WIRE_CRASH_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    WIRE_CRASH_STACK = 2048,
    WIRE_CRASH_TEXT = 512,
    WIRE_CRASH_REGISTERS = 23, /* as ucontext_t has them: gregs[], by REG_R8 and so on */
    WIRE_CRASH_SIGINFO = 128,
    WIRE_CRASH_COPIES_MAX = 4,
    WIRE_CRASH_COPY_SIZE = 256 * 1024,
};

/* Whose turn it is. The dying process waits on the word (FUTEX_WAIT, shared), bounded; the agent stores and wakes. Each
 * step is a compare-and-swap from the one before: who is late has lost.
 *
 *   shim:   NONE -> FILLING -> READY, then rings the crash bell
 *   agent:  READY -> READING; READING -> REFUSED when it may not read the process's memory; READING or COPIED -> DONE
 *   shim:   REFUSED -> COPIED, and rings again; READY, READING or COPIED -> ALONE when its time is over
 *   agent:  to NONE after the crash of a vfork's child: the parent, whose lane this is, lives on
 *
 * After the process's death whatever stands here is the agent's. */
enum wire_crash_state {
    WIRE_CRASH_NONE,
    WIRE_CRASH_FILLING, /* one thread writes; the others that crash wait for their end */
    WIRE_CRASH_READY,   /* complete: the process waits for the agent */
    WIRE_CRASH_READING, /* the agent has it */
    WIRE_CRASH_REFUSED, /* the agent asks for more of the stack */
    WIRE_CRASH_COPIED,  /* it is there, or there was no room: copy_number is 0 */
    WIRE_CRASH_DONE,    /* the agent needs the process no more */
    WIRE_CRASH_ALONE,   /* the process waits no more */
};

enum wire_crash_flag {
    WIRE_CRASH_HANDLED = 1 << 0,     /* the program's own handler ran, and did not help: `death` is what came of it */
    WIRE_CRASH_EXITED = 1 << 1,      /* that handler ended the process by exit: `death_signal` is 0 */
    WIRE_CRASH_VFORK_CHILD = 1 << 2, /* pid is a vfork child's, not the lane's owner's */
    WIRE_CRASH_TOLD = 1 << 3, /* by the agent: it is reported, so the owner's death is no news to the next worker */
};

/* In each lane, at crash_offset. One crash per process; hostile as all else. */
struct wire_crash {
    _Atomic uint32_t state; /* enum wire_crash_state */
    uint32_t flags;         /* enum wire_crash_flag */
    uint32_t pid, tid;      /* of the crashed thread, in its own namespace */
    int32_t death_signal;   /* that the process dies of */
    /* Of the text of /proc/self/maps, which is in the copy area behind the stack (rounded up to 8): who is refused the
     * memory is refused the maps, too. 0: none. */
    uint32_t maps_length;
    uint64_t mono_ns;        /* CLOCK_MONOTONIC of the fault */
    uint64_t thread_pointer; /* fs base */
    uint64_t handler;        /* the program's own that ran since the fault; 0: none */
    uint8_t trace_id[16];    /* of the request that the thread worked on; zero: none */
    uint8_t span_id[8];
    uint8_t siginfo[WIRE_CRASH_SIGINFO];      /* as the kernel gave it at the fault */
    uint64_t registers[WIRE_CRASH_REGISTERS]; /* at the fault */
    uint64_t stack_at;                        /* address of stack[0]; 0: none */
    uint64_t copy_at;                         /* address of the copy area's first byte */
    uint32_t stack_length;
    uint32_t copy_length;
    uint32_t copy_number; /* of the copy area plus one; 0: none */
    uint32_t text_length;
    char text[WIRE_CRASH_TEXT];      /* libc's last words: what it says when it aborts */
    uint8_t stack[WIRE_CRASH_STACK]; /* from the stack pointer (less the red zone) up */
};

#endif
