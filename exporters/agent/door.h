/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's socket: accepts, checks who it is, and waits for the one message that each connection carries. Nobody can
 * hold it up: who says nothing is sent away after a while, or when it becomes too many. */
#ifndef SPANSHIM_DOOR_H
#define SPANSHIM_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct loop;

/* A message has come. The connection and the descriptors are the callee's, the bytes are borrowed. */
typedef void door_message(int connection, const struct ucred *peer, const uint8_t *bytes, size_t length, const int *fds,
                          unsigned fd_count);

/* Serve this listener, which is taken; the one before must be closed. 0 or -errno. Context: start, loop. */
int door_open(struct loop *loop, int listener, door_message *take_message);

/* Nobody can come any more; who is in the backlog is served. Context: loop. */
void door_shut(void);

/* Close the listener; connections that were accepted stay. Context: loop. */
void door_close(void);

/* Is there a connection whose message hasn't come? Context: loop. */
bool door_is_crowded(void);

/* Close all. Context: loop. */
void door_deinit(void);

#endif
