/* SPDX-License-Identifier: Apache-2.0 */
/* The half of the agent that lives on: socket, descriptors of rings, journals and unanswered commands. Forks the worker
 * and hands it everything again when it dies. Looks at no more of a message than its header. */
#ifndef SPANSHIM_KEEPER_H
#define SPANSHIM_KEEPER_H

#include <stdbool.h>

struct keeper_options {
    const char *socket_path; /* NULL: the socket was passed by systemd */
    const char *log_path;    /* NULL: standard error; what a worker opens again */
    int listener;
    int lock;   /* beside the socket; -1: none */
    bool stays; /* doesn't end when idle */
};

/* From here on a signal that ends the agent waits for keeper_run: before the socket has a name, or one that came in
 * between would leave the name behind. Context: start. */
void keeper_hold_signals(void);

/* Serve until there is nothing left to do or a signal ends it, keeper_hold_signals() before. The exit status. Context:
 * start. */
int keeper_run(const struct keeper_options *options);

#endif
