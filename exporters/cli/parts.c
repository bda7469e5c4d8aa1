/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/parts.h"

#include "exporters/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* The folder of this executable. Without /proc the path it was started by is the next best. */
static int own_folder(char ret_folder[PATH_MAX])
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (len > 0) {
        path[len] = '\0';
        memcpy(ret_folder, path, (size_t)len + 1);
    } else {
        const char *started_as = (const char *)getauxval(AT_EXECFN);

        if (!started_as || !realpath(started_as, ret_folder))
            return -ENOENT;
    }
    char *slash = strrchr(ret_folder, '/');
    if (!slash)
        return -ENOENT;
    *slash = '\0';
    return 0;
}

/* The first of folder/candidate that exists. */
static int find_part(const char *const candidates[], int mode, char ret_path[PATH_MAX])
{
    char folder[PATH_MAX];
    char path[PATH_MAX * 2];
    int err = own_folder(folder);

    if (err)
        return err;
    for (; *candidates; candidates++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, *candidates);
        if (access(path, mode) == 0 && realpath(path, ret_path))
            return 0;
    }
    return -ENOENT;
}

int parts_find_library(char ret_path[PATH_MAX])
{
    static const char *const candidates[] = {"libspanshim.so", SPANSHIM_LIBDIR_FROM_BINDIR "/libspanshim.so", NULL};

    return find_part(candidates, R_OK, ret_path);
}

int parts_find_agent(char ret_path[PATH_MAX])
{
    static const char *const candidates[] = {"spanshim-agent", NULL};

    return find_part(candidates, X_OK, ret_path);
}

int lib_command(int argc, char **argv)
{
    char path[PATH_MAX];

    if (!cli_no_arguments("lib", argc, argv))
        return CLI_EXIT_USAGE;
    if (parts_find_library(path) != 0) {
        cli_error("libspanshim.so is not where this installation should have it; install spanshim again");
        return CLI_EXIT_FAILED;
    }
    puts(path);
    return fflush(stdout) == 0 ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}
