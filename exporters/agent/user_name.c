/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/user_name.h"

#include "exporters/agent/proc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 256 << 10 };

static char text[FILE_MAX]; /* loop only */

/* name:password:number:... */
static bool find_line(uid_t uid, char name[USER_NAME_MAX])
{
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t name_length = strcspn(line, ":\n");
        const char *rest = line + name_length;
        char *end;

        if (*rest != ':')
            continue;
        rest += 1 + strcspn(rest + 1, ":\n");
        if (*rest != ':' || strtoul(rest + 1, &end, 10) != uid || *end != ':' || end == rest + 1)
            continue;
        (void)snprintf(name, USER_NAME_MAX, "%.*s", (int)name_length, line);
        return name_length > 0;
    }
    return false;
}

void user_name_find(pid_t number, uid_t uid, char name[USER_NAME_MAX])
{
    long length = proc_read_in_root(number, "etc/passwd", text, sizeof(text));

    /* A process that changed its user may not be looked into by an ordinary user's agent; but most processes share
     * our mount namespace, and so our file. */
    if ((length == -EACCES || length == -EPERM) && proc_shares_namespace(number, "mnt"))
        length = proc_read_path("/etc/passwd", text, sizeof(text));
    if (length <= 0 || !find_line(uid, name))
        (void)snprintf(name, USER_NAME_MAX, "%u", (unsigned)uid);
}
