/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/folders.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static int make(const char *folder)
{
    return mkdir(folder, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int folders_make_for(const char *file)
{
    char path[PATH_MAX];
    size_t length = strlen(file);
    int error = 0;

    if (length >= sizeof(path))
        return -ENAMETOOLONG;
    memcpy(path, file, length + 1);
    for (char *slash = strchr(path + 1, '/'); slash && !error; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        error = make(path);
        *slash = '/';
    }
    return error;
}

int folders_make(const char *folder)
{
    int error = folders_make_for(folder);

    return error ? error : make(folder);
}
