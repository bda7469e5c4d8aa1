/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/spool_path.h"

#include "exporters/agent/log_path.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The log's folder, but for root: what the agent keeps is no log. */
static int choose_default(char folder[PATH_MAX])
{
    const char *state = getenv("XDG_STATE_HOME");
    int error;

    if (geteuid() == 0 && (state == NULL || state[0] != '/')) {
        (void)strcpy(folder, "/var/lib/spanshim");
        return 0;
    }
    error = log_path_choose(folder, PATH_MAX);
    if (error == 0)
        *strrchr(folder, '/') = '\0';
    return error;
}

int spool_path_choose(const char *given, char *folder, size_t size)
{
    char chosen[PATH_MAX];
    int error;

    if (given == NULL || given[0] == '\0') {
        error = choose_default(chosen);
        if (error < 0)
            return error;
        given = chosen;
    }
    if (strcmp(given, "none") == 0)
        return -ENOENT;
    if (given[0] != '/')
        return -EINVAL;
    return (size_t)snprintf(folder, size, "%s", given) < size ? 0 : -ENAMETOOLONG;
}
