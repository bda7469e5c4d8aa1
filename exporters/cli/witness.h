/* SPDX-License-Identifier: Apache-2.0 */
/* Was a signal meant for the launcher alone, or for its whole process group? Only the former is forwarded: the program
 * is in the same group and has got the latter already (from the terminal, from `kill %1`, from timeout(1)). A signal
 * does not tell how it was sent. So a process that does nothing else sits in the group: what it got, the group got. */
#ifndef SPANSHIM_WITNESS_H
#define SPANSHIM_WITNESS_H

#include <stdbool.h>
#include <sys/types.h>

struct witness {
    pid_t pid; /* 0: there is none */
    int channel;
};

/* Start it. All signals that will be asked about are to be blocked by the caller before. 0, or -errno; then every
 * signal counts as the launcher's. Context: main thread. */
int witness_start(struct witness *witness);

/* Whether the group got this signal since it was asked last. Context: main thread. */
bool witness_saw(struct witness *witness, int signo);

/* End it and reap it. Context: main thread. */
void witness_stop(struct witness *witness);

#endif
