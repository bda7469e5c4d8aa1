/* SPDX-License-Identifier: Apache-2.0 */
/* The tie to the agent: makes a mapping, hands it over, keeps no descriptor. Non-blocking and one-way: a stopped agent
 * costs a failed call, never a wait. What can't be set up is tried again a few times, seconds apart; then the program
 * runs as if the shim were not there. */
#ifndef SPANSHIM_LINK_H
#define SPANSHIM_LINK_H

#include "preload/wire.h"

#include <stdbool.h>

/* Get ready. Nothing is opened yet, but for a process that was given its connection: that one will make no socket. It
 * is standard input (inetd), or the environment names passed sockets (systemd's LISTEN_FDS). Context: start. */
void link_init(char *const *envp);

/* A thread of the parent's that was tying up is not in the child. Context: child; signal-safe. */
void link_after_fork(void);

/* A socket was made or will be served: tie up if that has not happened and is not known to be hopeless.
 * Context: hook; errno is kept. */
__attribute__((cold)) void link_ensure(void);

/* Is there a tie, or is another thread making one right now? What takes longer than that may as well begin.
 * Context: hook; signal-safe. */
bool link_is_near(void);

/* A descriptor came from another process: a connection, handed over by who accepted it (Node's cluster), is served
 * without any socket being made here. One system call, until we are tied up. Context: hook. */
void link_received(int fd);

/* The process is about to change its user: from then on it could reach neither the agent's socket nor be believed.
 * Gives it a mapping of its own, handed over under the old name. Context: hook; errno is kept. */
void link_before_uid_change(void);

/* What is mapped from now on is locked, and so filled, at once: map little. Context: hook; signal-safe. */
void link_expect_locking(void);

/* Does the agent want to look into a crash of this process, so that waiting for it makes sense? One that was given the
 * ring not long ago may not have said so yet: it is given the time to. Context: hook; signal-safe. */
bool link_crash_is_wanted(void);

/* What the agent has written for us; NULL: there is no agent yet. Context: hook; signal-safe. */
const struct wire_control *link_control(void);

/* Does it want this, of enum wire_want? Context: hook; signal-safe. */
bool link_wants(enum wire_want what);

#endif
