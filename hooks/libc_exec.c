/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that are started: in this process's place, or beside it. libc's functions call each other by internal names,
 * so each is hooked; and those that pass on `environ` are given it by us. */
#include "hooks/hook.h"

#include "preload/cgi.h"
#include "preload/child_env.h"
#include "preload/crash.h"

#include <alloca.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A call that becomes another program, if it succeeds. */
struct exec {
    int (*call)(const struct exec *exec, char *const *envp);
    int fd, flags;
    const char *path;
    char *const *argv;
};

static int by_execve(const struct exec *exec, char *const *envp)
{
    return REAL(execve)(exec->path, exec->argv, envp);
}

static int by_execvpe(const struct exec *exec, char *const *envp)
{
    return REAL(execvpe)(exec->path, exec->argv, envp);
}

static int by_fexecve(const struct exec *exec, char *const *envp)
{
    return REAL(fexecve)(exec->fd, exec->argv, envp);
}

static int by_execveat(const struct exec *exec, char *const *envp)
{
    return REAL(execveat)(exec->fd, exec->path, exec->argv, envp, exec->flags);
}

static void before_exec(void)
{
    if (crash_is_pending())
        crash_before_exit();
    if (hook_active())
        conn_at_exec();
}

/* What is too long only with the context in it goes without. */
static int become(const struct exec *exec, char *const *envp)
{
    int saved_errno = errno;
    struct child_env *env;
    int result;

    before_exec();
    cgi_shares_output();
    env = child_env_make(envp, CHILD_ENV_IN_PLACE);
    errno = saved_errno;
    cgi_before_exec();
    result = exec->call(exec, env ? env->entries : envp);
    if (env && errno == E2BIG)
        result = exec->call(exec, envp);
    child_env_free(env);
    cgi_after_exec();
    return result;
}

HOOK
int execve(const char *path, char *const argv[], char *const envp[])
{
    return become(&(struct exec){.call = by_execve, .path = path, .argv = argv}, envp);
}

HOOK
int execv(const char *path, char *const argv[])
{
    return become(&(struct exec){.call = by_execve, .path = path, .argv = argv}, environ);
}

HOOK
int execvp(const char *file, char *const argv[])
{
    return become(&(struct exec){.call = by_execvpe, .path = file, .argv = argv}, environ);
}

HOOK
int execvpe(const char *file, char *const argv[], char *const envp[])
{
    return become(&(struct exec){.call = by_execvpe, .path = file, .argv = argv}, envp);
}

HOOK
int fexecve(int fd, char *const argv[], char *const envp[])
{
    return become(&(struct exec){.call = by_fexecve, .fd = fd, .argv = argv}, envp);
}

HOOK
int execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags)
{
    return become(&(struct exec){.call = by_execveat, .fd = fd, .path = path, .argv = argv, .flags = flags}, envp);
}

/* The list as an array on the stack, as libc's functions have it. execle() has the environment behind it. */
static int become_by_list(struct exec *exec, const char *first, va_list list, bool has_envp)
{
    const char *argument = first;
    size_t count = 1;
    va_list again;

    va_copy(again, list);
    for (; argument; count++)
        argument = va_arg(again, const char *);
    va_end(again);

    char **argv = alloca(count * sizeof(*argv));
    argv[0] = (char *)(uintptr_t)first;
    for (size_t i = 1; i < count; i++)
        argv[i] = va_arg(list, char *);
    exec->argv = argv;
    return become(exec, has_envp ? va_arg(list, char *const *) : environ);
}

HOOK
int execl(const char *path, const char *first, ...)
{
    struct exec exec = {.call = by_execve, .path = path};
    va_list list;

    va_start(list, first);
    int result = become_by_list(&exec, first, list, false);
    va_end(list);
    return result;
}

HOOK
int execlp(const char *file, const char *first, ...)
{
    struct exec exec = {.call = by_execvpe, .path = file};
    va_list list;

    va_start(list, first);
    int result = become_by_list(&exec, first, list, false);
    va_end(list);
    return result;
}

HOOK
int execle(const char *path, const char *first, ...)
{
    struct exec exec = {.call = by_execve, .path = path};
    va_list list;

    va_start(list, first);
    int result = become_by_list(&exec, first, list, true);
    va_end(list);
    return result;
}

/* posix_spawn and its like: a program beside this process. The call returns its number, or the number of an error. */
static int spawn(__typeof__(&posix_spawn) call, pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    cgi_shares_output();
    struct child_env *env = child_env_make(envp, CHILD_ENV_BESIDE);
    int error = call(pid, path, actions, attributes, argv, env ? env->entries : envp);

    if (env && error == E2BIG)
        error = call(pid, path, actions, attributes, argv, envp);
    child_env_free(env);
    return error;
}

HOOK
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    return spawn(REAL(posix_spawn), pid, path, actions, attributes, argv, envp);
}

HOOK
int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    return spawn(REAL(posix_spawnp), pid, file, actions, attributes, argv, envp);
}

/* system() and popen() start the shell by libc's inside, with `environ`. */
HOOK
int system(const char *command)
{
    cgi_shares_output();
    struct child_env *env = child_env_exchange();
    int status = REAL(system)(command);

    child_env_restore(env);
    return status;
}

HOOK
FILE *popen(const char *command, const char *mode)
{
    cgi_shares_output();
    struct child_env *env = child_env_exchange();
    FILE *stream = REAL(popen)(command, mode);

    child_env_restore(env);
    return stream;
}
