/* SPDX-License-Identifier: Apache-2.0 */
/* Talking to the agent: its socket, who sits behind it, one message and its answer (preload/wire.h). */
#ifndef SPANSHIM_AGENT_CLIENT_H
#define SPANSHIM_AGENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

struct environment;

enum { AGENT_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) };

/* The path of the agent's socket, as agent/socket_path.h says. 0, or -ENAMETOOLONG. Context: any. */
int agent_client_path(const struct environment *env, char ret_path[AGENT_PATH_MAX]);

/* Does a setting name the place? Context: any. */
bool agent_client_is_chosen(const struct environment *env);

/* Both by our own environment. Context: any. */
int agent_client_own_path(char ret_path[AGENT_PATH_MAX], bool *ret_is_chosen);

/* A connection to an agent of ours (of this user) or root's. A descriptor; -ENOENT or -ECONNREFUSED: no agent is there;
 * -EPERM: somebody else's process is. Context: any. */
int agent_client_connect(const char *path);
int agent_client_connect_as(const char *path, uid_t uid);

/* Send one message (enum wire_message_type); `text` are NUL-terminated entries, text_len bytes with the NULs; passed_fd
 * goes along unless it is -1. 0, or -errno. Context: any. */
int agent_client_send(int connection, uint16_t type, const char *text, size_t text_len, int passed_fd);

/* Read the answer to its end. 0 and a NUL-terminated text to be freed; -ETIMEDOUT; else -errno. While it waits longer
 * than a second, `progress` (may be NULL) is called once a second. Context: any. */
int agent_client_receive(int connection, int timeout_ms, void (*progress)(unsigned seconds), char **ret_text);

/* Whether anybody takes connections where the environment says. Context: any. */
bool agent_client_is_there(void);

/* The three together, for a command: connect by the environment, or else to root's agent where that serves us, ask,
 * receive. Says what is wrong; the result is 0,
 * -ENOENT (no agent is running), -ECONNRESET (it ended instead of answering), both not said, or another -errno.
 * Context: main thread. */
int agent_client_ask(uint16_t type, int timeout_ms, void (*progress)(unsigned seconds), char **ret_text);
/* The first of them: a descriptor, or as above. Context: main thread. */
int agent_client_find(void);
/* The last two of them, on a connection, which is closed. Context: main thread. */
int agent_client_ask_on(int connection, uint16_t type, int timeout_ms, void (*progress)(unsigned seconds),
                        char **ret_text);
/* The same with entries as of agent_client_send. Context: main thread. */
int agent_client_ask_with(int connection, uint16_t type, const char *entries, size_t entries_len, int timeout_ms,
                          void (*progress)(unsigned seconds), char **ret_text);

#endif
