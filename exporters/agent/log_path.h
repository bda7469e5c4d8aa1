/* SPDX-License-Identifier: Apache-2.0 */
/* Where the agent's log is: the agent writes there, `spanshim log` reads there. */
#ifndef SPANSHIM_LOG_PATH_H
#define SPANSHIM_LOG_PATH_H

#include <stddef.h>

/* $XDG_STATE_HOME/spanshim/agent.log; for root in /var/log; else below ~/.local/state. -ENOENT: no home; -ENAMETOOLONG.
 * Context: start. */
int log_path_choose(char *path, size_t size);

#endif
