/* SPDX-License-Identifier: Apache-2.0 */
/* Where the agent's log and the local crash reports are: the agent writes there, `spanshim log` and `spanshim crashes`
 * read there. */
#ifndef SPANSHIM_LOG_PATH_H
#define SPANSHIM_LOG_PATH_H

#include <stddef.h>

/* $XDG_STATE_HOME/spanshim/agent.log; for root in /var/log; else below ~/.local/state. -ENOENT: no home; -ENAMETOOLONG.
 * Context: start. */
int log_path_choose(char *path, size_t size);

/* The folder of the crash reports, beside the log. Likewise. Context: start. */
int log_path_choose_crashes(char *path, size_t size);

#endif
