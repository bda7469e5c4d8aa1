/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of a process: stopped one by one while their registers and stacks are read, then let go on. No signal is
 * sent to them, and if we die the kernel lets them go. */
#ifndef SPANSHIM_CRASH_THREADS_H
#define SPANSHIM_CRASH_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "exporters/crash/unwind.h"

enum { THREADS_MAX = 1024, THREAD_NAME_MAX = 16 };

struct thread {
    pid_t tid;     /* in our namespace */
    pid_t own_tid; /* in its own */
    char name[THREAD_NAME_MAX];
    char state; /* as /proc has it, before it was stopped */
    bool crashed;
    bool seized, stopped;
    int pending;         /* a signal that was on its way to it when it was stopped */
    const char *missing; /* why it has no registers; NULL: it has */
    uint64_t registers[REGISTERS];
    struct stack stack;
};

struct threads {
    struct thread *list; /* the crashed one first */
    size_t count;
    bool cut; /* there are more */
};

/* Those of the process with this number in /proc. crashed_tid: in its own namespace. 0 or -errno. Context: helper. */
int threads_list(struct threads *threads, pid_t number, pid_t crashed_tid);

/* Stop all but the crashed one, which waits for us, and take their registers; also those that were made meanwhile.
 * Context: helper. */
void threads_stop(struct threads *threads, pid_t number, pid_t crashed_tid, uint64_t deadline_ns);

/* Let them go on as they were. False: one that has not stopped yet can't be let go; call it again later, for it would
 * stop then, and a process is not dead for its parent as long as we hold a thread of it. Context: helper. */
bool threads_release(struct threads *threads);

/* Context: helper. */
void threads_deinit(struct threads *threads);

#endif
