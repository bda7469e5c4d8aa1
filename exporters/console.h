/* SPDX-License-Identifier: Apache-2.0 */
/* The console destination's sessions: which terminal a launcher's program prints its traces on. Called by command.c
 * when a launcher attaches its standard error, and by agent/destinations.c when its program has ended. */
#ifndef SPANSHIM_CONSOLE_H
#define SPANSHIM_CONSOLE_H

#include <stdbool.h>

struct loop;

/* Print the traces of this session (SPANSHIM_SESSION) on fd, which is taken over: closed at the end, also on failure.
 * 0, -EEXIST when the session is attached already, -errno. Context: loop. */
int console_attach(struct loop *loop, const char *session, int fd);

/* Does this session print on a terminal? Context: loop. */
bool console_is_terminal(const char *session);

/* Print what has not been printed, then forget the session and close its descriptor. Context: loop. */
void console_detach(const char *session);

#endif
