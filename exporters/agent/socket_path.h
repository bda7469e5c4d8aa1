/* SPDX-License-Identifier: Apache-2.0 */
/* Where an agent's socket is. The agent and the command line ask here; the shim, which has no libc to spare, tries the
 * same places in the same order (preload/link.c). */
#ifndef SPANSHIM_SOCKET_PATH_H
#define SPANSHIM_SOCKET_PATH_H

enum { SOCKET_PATH_MAX = 108 };

/* Of root's agent: other users look there last, for it may serve them. */
#define SOCKET_PATH_OF_ROOT "/run/spanshim/agent.sock"

/* The settings' values; NULL: unset or empty. */
struct socket_path_settings {
    const char *agent;           /* SPANSHIM_AGENT: the path itself */
    const char *runtime_dir;     /* SPANSHIM_RUNTIME_DIR */
    const char *xdg_runtime_dir; /* XDG_RUNTIME_DIR; passed over when it isn't ours (su keeps the former user's) */
};

/* The first that is set, else /run/spanshim for root, else /tmp/spanshim-UID. 0, or -ENAMETOOLONG. Context: any. */
int socket_path_choose(const struct socket_path_settings *settings, char ret_path[SOCKET_PATH_MAX]);

struct stat;

/* Whether an agent of this user has its socket in a folder of this status (lstat). 0; -ENOTDIR; -EPERM: it is another
 * user's, who could put another socket there; -EACCES: others may write to it. A sticky folder (/tmp) keeps at least
 * what is ours. Context: any. */
int socket_folder_judge(const struct stat *status);

#endif
