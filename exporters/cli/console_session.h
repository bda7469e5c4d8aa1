/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal of one `spanshim run`: lent to the agent, which prints the program's traces there, and only there. */
#ifndef SPANSHIM_CONSOLE_SESSION_H
#define SPANSHIM_CONSOLE_SESSION_H

struct environment;

/* Give the agent at `path` our standard error under a new random name, which is set in `env` as SPANSHIM_SESSION.
 * The connection, or -errno. Context: main thread. */
int console_session_open(struct environment *env, const char *path);

/* The program has ended: have what is left printed by the agent at `path`, and return once it is, or after timeout_ms,
 * or when `interrupt` (a descriptor, or -1) becomes readable. Closes the connection. Context: main thread. */
void console_session_close(int connection, const char *path, int timeout_ms, int interrupt);

#endif
