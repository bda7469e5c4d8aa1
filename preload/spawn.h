/* SPDX-License-Identifier: Apache-2.0 */
/* Starting an agent where none listens, so that nothing of the program can tell: no child it could wait for, no signal,
 * no copy of its memory, no descriptor. */
#ifndef SPANSHIM_SPAWN_H
#define SPANSHIM_SPAWN_H

#include <stdbool.h>

/* May this process start one? Not as a namespace's first process or a subreaper (its wait() would see it), and not
 * inside a service manager's unit (it would die with the unit). Context: hook; system calls. */
bool spawn_is_allowed(void);

/* Start spanshim-agent with these descriptors as 3, 4 and 5 (its option --adopt: ring, control page, message), under no
 * parent of ours. Returns when it runs, in less than a millisecond. False when no agent could be executed.
 * Context: hook; one thread at a time; system calls. */
bool spawn_agent(const int fds[3]);

#endif
