/* SPDX-License-Identifier: Apache-2.0 */
/* Where an agent meets its clients: the socket's path, the folder it must own, the lock beside it. Used by main.c and
 * keeper.c. */
#ifndef SPANSHIM_RUNTIME_H
#define SPANSHIM_RUNTIME_H

#include "exporters/agent/socket_path.h"

#include <stdbool.h>
#include <stddef.h>

enum { RUNTIME_PATH_MAX = SOCKET_PATH_MAX, RUNTIME_ERROR_MAX = 256 };

/* The socket's path: `option` (may be NULL), else as socket_path.h says. 0, or -errno with a line for people.
 * Context: start. */
int runtime_socket_path(const char *option, char path[RUNTIME_PATH_MAX], char error[RUNTIME_ERROR_MAX]);

/* The folder that a socket of this path is in. Context: any. */
void runtime_folder(const char *socket_path, char folder[RUNTIME_PATH_MAX]);

/* Make the socket's folder if it isn't there; refuse one that others could have made or can write to. Context: start,
 * loop. */
int runtime_claim_folder(const char *socket_path, char error[RUNTIME_ERROR_MAX]);

/* Take the lock beside the socket. 1 and a descriptor; 0 when an agent holds it and answers; -errno. One that holds it
 * but doesn't answer is about to go, and waited for. Context: start, loop. */
int runtime_lock(const char *socket_path, int *ret_lock, char error[RUNTIME_ERROR_MAX]);

/* Is the lock that we hold still the one beside the socket? Context: loop. */
bool runtime_lock_stands(const char *socket_path, int lock);

/* Bind and listen; a socket left by a dead agent of ours is replaced, anything else is refused. Context: start,
 * loop. */
int runtime_listen(const char *socket_path, int *ret_listener, char error[RUNTIME_ERROR_MAX]);

/* The socket that systemd passed; -1: none. Context: start. */
int runtime_activated_socket(void);

#endif
