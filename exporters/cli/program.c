/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/program.h"

#include "exporters/cli/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
    SCRIPT_DEPTH_MAX = 5, /* the kernel gives up at the same depth */
    SCRIPT_LINE_MAX = 256,
};

static int check_executable(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : -errno;
}

/* The first executable of this name in `path_list`. One that may not be executed is passed over, but remembered. */
static int search(const char *path_list, const char *name, char ret_path[PATH_MAX])
{
    int result = -ENOENT;

    for (const char *at = path_list;; at++) {
        size_t len = strcspn(at, ":");
        char candidate[PATH_MAX];
        int n = len ? snprintf(candidate, sizeof(candidate), "%.*s/%s", (int)len, at, name)
                    : snprintf(candidate, sizeof(candidate), "./%s", name); /* an empty entry is the current folder */

        if (n > 0 && (size_t)n < sizeof(candidate)) {
            int err = check_executable(candidate);

            if (err == 0) {
                memcpy(ret_path, candidate, (size_t)n + 1);
                return 0;
            }
            if (err == -EACCES)
                result = -EACCES;
        }
        at += len;
        if (*at == '\0')
            return result;
    }
}

int program_find(struct program *program, const char *name, const struct environment *env)
{
    const char *path_list = environment_get(env, "PATH");

    *program = (struct program){0};
    if (!*name)
        return -ENOENT;
    if (!strchr(name, '/'))
        return search(path_list ? path_list : "/bin:/usr/bin", name, program->path);
    if (strlen(name) >= sizeof(program->path))
        return -ENAMETOOLONG;
    memcpy(program->path, name, strlen(name) + 1);
    return check_executable(name);
}

/* `line` is cut into the interpreter and its one argument (NULL: none), both within it. */
static char *split_script_line(char *line, char **ret_argument)
{
    char *interpreter = line + strspn(line, " \t");
    char *end = interpreter + strcspn(interpreter, " \t");

    *ret_argument = NULL;
    if (*end) {
        *end++ = '\0';
        end += strspn(end, " \t");
        if (*end)
            *ret_argument = end;
    }
    return interpreter;
}

/* "#!/usr/bin/env python3": what env will execute. NULL when its argument isn't a plain name. */
static const char *program_of_env(const char *interpreter, char *argument)
{
    const char *slash = strrchr(interpreter, '/');

    if (!argument || strcmp(slash ? slash + 1 : interpreter, "env") != 0)
        return NULL;
    if (strncmp(argument, "-S", 2) == 0)
        argument += 2 + strspn(argument + 2, " \t");
    argument[strcspn(argument, " \t")] = '\0';
    return *argument && *argument != '-' && !strchr(argument, '=') ? argument : NULL;
}

/* The interpreter named by the first line of a script; false when the file isn't one. */
static bool follow_script(int fd, char image[PATH_MAX], const struct environment *env)
{
    char line[SCRIPT_LINE_MAX];
    ssize_t len = pread(fd, line, sizeof(line) - 1, 0);
    char *argument;

    if (len < 3 || line[0] != '#' || line[1] != '!')
        return false;
    line[len] = '\0';
    line[strcspn(line, "\r\n")] = '\0';

    char *interpreter = split_script_line(line + 2, &argument);
    const char *by_env = program_of_env(interpreter, argument);
    const char *path_list = environment_get(env, "PATH");

    if (by_env && path_list && search(path_list, by_env, image) == 0)
        return true;
    if (!*interpreter)
        return false;
    memcpy(image, interpreter, strlen(interpreter) + 1);
    return true;
}

unsigned program_marks(const char *path)
{
    struct stat status;
    struct statvfs mount;
    unsigned marks = 0;

    if (stat(path, &status) != 0 || (statvfs(path, &mount) == 0 && (mount.f_flag & ST_NOSUID)))
        return 0;
    if (status.st_mode & S_ISUID)
        marks |= PROGRAM_SETUID;
    if ((status.st_mode & S_ISGID) && (status.st_mode & S_IXGRP))
        marks |= PROGRAM_SETGID;
    if (getxattr(path, "security.capability", NULL, 0) > 0)
        marks |= PROGRAM_CAPABILITIES;
    return marks;
}

/* The loader drops LD_PRELOAD when executing the file changes ids or adds capabilities. */
static bool is_privileged(const char *path)
{
    unsigned marks = program_marks(path);
    struct stat status;

    if (!marks || stat(path, &status) != 0)
        return false;
    return ((marks & PROGRAM_SETUID) && status.st_uid != geteuid()) ||
           ((marks & PROGRAM_SETGID) && status.st_gid != getegid()) ||
           ((marks & PROGRAM_CAPABILITIES) && geteuid() != 0);
}

enum program_blindness program_judge(const struct elf_facts *facts)
{
    if (!facts->is_elf)
        return PROGRAM_SEEN; /* the kernel or a shell knows how to run it */
    if (facts->is_broken)
        return PROGRAM_BROKEN;
    if (facts->is_foreign)
        return PROGRAM_FOREIGN;
    if (facts->is_go)
        return PROGRAM_GO;
    return facts->is_dynamic ? PROGRAM_SEEN : PROGRAM_STATIC;
}

void program_inspect(struct program *program, const struct environment *env)
{
    memcpy(program->image, program->path, sizeof(program->image));
    for (int depth = 0; depth < SCRIPT_DEPTH_MAX; depth++) {
        int fd = open(program->image, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

        if (fd < 0) {
            program->blindness = is_privileged(program->image) ? PROGRAM_PRIVILEGED : PROGRAM_SEEN;
            return;
        }
        if (!follow_script(fd, program->image, env)) {
            elf_inspect(fd, &program->facts);
            program->blindness = program_judge(&program->facts);
            if (program->blindness == PROGRAM_SEEN && program->facts.is_elf && is_privileged(program->image))
                program->blindness = PROGRAM_PRIVILEGED;
            depth = SCRIPT_DEPTH_MAX;
        } else {
            program->is_script = true;
        }
        (void)close(fd);
    }
}

const char *program_blindness_text(enum program_blindness blindness)
{
    switch (blindness) {
    case PROGRAM_SEEN:
        return NULL;
    case PROGRAM_STATIC:
        return "is linked statically, so no shim can be loaded: it runs without traces; a dynamically linked build has "
               "them";
    case PROGRAM_FOREIGN:
        return "is built for another architecture than the shim: it runs without traces";
    case PROGRAM_BROKEN:
        return "is damaged or cut short: its headers cannot be read";
    case PROGRAM_GO:
        return "is a Go program, which makes its system calls itself: it runs without traces";
    case PROGRAM_PRIVILEGED:
        return "is set-user-id, set-group-id or has file capabilities, so the loader drops the shim: it runs without "
               "traces; start it as the user or with the capabilities it needs instead";
    }
    return NULL;
}
