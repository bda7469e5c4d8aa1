/* SPDX-License-Identifier: Apache-2.0 */
/* The agents of all users, for root: at the places where they are when nothing else was said. */
#ifndef SPANSHIM_AGENT_LIST_H
#define SPANSHIM_AGENT_LIST_H

#include <sys/types.h>

/* A connection to one agent, which is the callee's. */
typedef void agent_list_found(void *arg, uid_t uid, int connection);

/* Connect to the agent at each usual place but `own`, where only root or the owner of its folder may sit behind the
 * socket. Context: main thread. */
void agent_list_others(const char *own, agent_list_found *found, void *arg);

#endif
