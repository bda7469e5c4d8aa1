/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_path.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static int choose(const char *name, char *path, size_t size)
{
    const char *state = setting("XDG_STATE_HOME");
    const char *home = setting("HOME");
    const struct passwd *user;
    int length;

    if (state && state[0] == '/')
        length = snprintf(path, size, "%s/spanshim/%s", state, name);
    else if (geteuid() == 0)
        length = snprintf(path, size, "/var/log/spanshim/%s", name);
    else if (home || ((user = getpwuid(geteuid())) && (home = user->pw_dir)))
        length = snprintf(path, size, "%s/.local/state/spanshim/%s", home, name);
    else
        return -ENOENT;
    return (size_t)length < size ? 0 : -ENAMETOOLONG;
}

int log_path_choose(char *path, size_t size)
{
    return choose("agent.log", path, size);
}

int log_path_choose_crashes(char *path, size_t size)
{
    return choose("crashes", path, size);
}
