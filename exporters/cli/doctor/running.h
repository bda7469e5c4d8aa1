/* SPDX-License-Identifier: Apache-2.0 */
/* What only a running process shows: whether our object is in it, and whether an agent has it. */
#ifndef SPANSHIM_DOCTOR_RUNNING_H
#define SPANSHIM_DOCTOR_RUNNING_H

#include <stdbool.h>

struct anatomy;

enum handover { HANDOVER_UNKNOWN, HANDOVER_NO, HANDOVER_YES };

struct running {
    int pid;
    bool is_preloaded; /* our object is mapped */
    bool is_replaced;  /* and its file was removed or replaced since */
    bool is_confined;  /* under a seccomp filter */
    unsigned thread_count;
    enum handover handover;
};

/* Fill in anatomy (its libraries too) and what is known of the process. 0, or -errno. Context: main thread. */
int running_look(struct running *running, struct anatomy *anatomy, int pid);

#endif
