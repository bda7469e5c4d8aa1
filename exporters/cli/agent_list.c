/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/agent_list.h"

#include "exporters/cli/agent_client.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_same(const struct stat *one, const char *path)
{
    struct stat other;

    return stat(path, &other) == 0 && one->st_dev == other.st_dev && one->st_ino == other.st_ino;
}

/* Through the folder's descriptor: its name may mean another one by the time of the connection. */
static void visit(int folder, const char *own, agent_list_found *found, void *arg)
{
    char path[AGENT_PATH_MAX];
    struct stat owner, socket;

    if (fstat(folder, &owner) || fstatat(folder, "agent.sock", &socket, AT_SYMLINK_NOFOLLOW) ||
        !S_ISSOCK(socket.st_mode) || is_same(&socket, own))
        return;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/agent.sock", folder);
    int connection = agent_client_connect_as(path, owner.st_uid);
    if (connection >= 0)
        found(arg, owner.st_uid, connection);
}

void agent_list_others(const char *own, agent_list_found *found, void *arg)
{
    glob_t folders = {0};

    (void)glob("/run/spanshim", GLOB_NOSORT, NULL, &folders);
    (void)glob("/run/user/*/spanshim", GLOB_APPEND, NULL, &folders);
    (void)glob("/tmp/spanshim-*", GLOB_APPEND, NULL, &folders);
    for (size_t i = 0; i < folders.gl_pathc; i++) {
        int folder = open(folders.gl_pathv[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (folder < 0)
            continue;
        visit(folder, own, found, arg);
        (void)close(folder);
    }
    globfree(&folders);
}
