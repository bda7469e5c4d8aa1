/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/socket_path.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* XDG base directory specification: the folder "MUST be owned by the user". */
static bool is_ours(const char *folder)
{
    struct stat status;

    return stat(folder, &status) == 0 && status.st_uid == geteuid();
}

int socket_path_choose(const struct socket_path_settings *settings, char ret_path[SOCKET_PATH_MAX])
{
    int length;

    if (settings->agent)
        length = snprintf(ret_path, SOCKET_PATH_MAX, "%s", settings->agent);
    else if (settings->runtime_dir)
        length = snprintf(ret_path, SOCKET_PATH_MAX, "%s/agent.sock", settings->runtime_dir);
    else if (settings->xdg_runtime_dir && is_ours(settings->xdg_runtime_dir))
        length = snprintf(ret_path, SOCKET_PATH_MAX, "%s/spanshim/agent.sock", settings->xdg_runtime_dir);
    else if (geteuid() == 0)
        length = snprintf(ret_path, SOCKET_PATH_MAX, SOCKET_PATH_OF_ROOT);
    else
        length = snprintf(ret_path, SOCKET_PATH_MAX, "/tmp/spanshim-%u/agent.sock", (unsigned)geteuid());
    return length >= SOCKET_PATH_MAX ? -ENAMETOOLONG : 0;
}

int socket_folder_judge(const struct stat *status)
{
    if (!S_ISDIR(status->st_mode))
        return -ENOTDIR;
    if (status->st_uid != geteuid() && status->st_uid != 0)
        return -EPERM;
    return status->st_mode & (S_IWGRP | S_IWOTH) && !(status->st_mode & S_ISVTX) ? -EACCES : 0;
}
