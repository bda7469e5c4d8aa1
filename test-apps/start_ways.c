/* SPDX-License-Identifier: Apache-2.0 */
/* A server that answers with what a program prints that it starts for the request: `env`, which prints its environment.
 * The path is /WAY/ENVIRONMENT: by which function, after fork or vfork or beside us; and what it is given. One request
 * after the other, or with "threads" as the argument each in a thread of its own. */
#include "listener.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/env"

enum { ANSWER_MAX = 1 << 20, MANY = 6000 };

static char *argv_of_env[] = {"env", NULL};

/* What a program is given, by name. */
static char **environment_named(const char *name)
{
    static char *own[] = {"A=1", NULL, "TRACEPARENT=00-11111111111111111111111111111111-2222222222222222-01", NULL};
    static char *odd[] = {"no equals sign", "=", "", NULL, "A=1", "A=2", NULL};
    static char *without[] = {"A=1", NULL};
    static char *custom[] = {"A=1", NULL, "BAGGAGE=mine=1", NULL};
    static char *many[MANY + 1];
    static char *none[] = {NULL};
    char *preload = getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") - strlen("LD_PRELOAD=") : "LD_PRELOAD=";

    own[1] = custom[1] = odd[3] = many[0] = preload;
    for (int i = 1; i < MANY; i++)
        many[i] = "MANY=1";
    return strcmp(name, "own") == 0       ? own
           : strcmp(name, "odd") == 0     ? odd
           : strcmp(name, "without") == 0 ? without
           : strcmp(name, "custom") == 0  ? custom
           : strcmp(name, "many") == 0    ? many
           : strcmp(name, "none") == 0    ? none
           : strcmp(name, "null") == 0    ? NULL
                                          : environ;
}

/* Become the program. First in a way that fails: that changes nothing. */
static void become(const char *way, char **envp)
{
    int fd;

    if (execve("/nowhere/to/be/found", argv_of_env, envp) != -1 || errno != ENOENT)
        _exit(3);
    if (strcmp(way, "execve") == 0)
        (void)execve(PROGRAM, argv_of_env, envp);
    else if (strcmp(way, "execv") == 0)
        (void)execv(PROGRAM, argv_of_env);
    else if (strcmp(way, "execvp") == 0)
        (void)execvp("env", argv_of_env);
    else if (strcmp(way, "execvpe") == 0)
        (void)execvpe("env", argv_of_env, envp);
    else if (strcmp(way, "execl") == 0)
        (void)execl(PROGRAM, "env", "-u", "1", "-u", "2", "-u", "3", "-u", "4", (char *)NULL);
    else if (strcmp(way, "execle") == 0)
        (void)execle(PROGRAM, "env", "-u", "1", "-u", "2", "-u", "3", "-u", "4", (char *)NULL, envp);
    else if (strcmp(way, "execlp") == 0)
        (void)execlp("env", "env", (char *)NULL);
    else if (strcmp(way, "fexecve") == 0 && (fd = open(PROGRAM, O_RDONLY | O_CLOEXEC)) >= 0)
        (void)fexecve(fd, argv_of_env, envp);
    else if (strcmp(way, "execveat") == 0 && (fd = open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC)) >= 0)
        (void)execveat(fd, "bin/env", argv_of_env, envp, 0);
    _exit(4);
}

/* Start it with the pipe as its output; returns the child, or -1 when it has been waited for. */
static pid_t start(const char *way, char **envp, int output)
{
    posix_spawn_file_actions_t actions;
    pid_t child = -1;
    int error;

    if (strncmp(way, "vfork-", 6) == 0 || strncmp(way, "fork-", 5) == 0) {
        child = *way == 'v' ? vfork() : fork();
        if (child == 0) {
            if (dup2(output, STDOUT_FILENO) < 0)
                _exit(2);
            become(strchr(way, '-') + 1, envp);
        }
        return child;
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    error = (strcmp(way, "posix_spawn") == 0 ? posix_spawn : posix_spawnp)(&child, PROGRAM, &actions, NULL, argv_of_env,
                                                                           envp);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (error)
        errx(1, "%s: %s", way, strerror(error));
    return child;
}

static size_t read_all(int fd, char *text)
{
    size_t length = 0;
    ssize_t n;

    while ((n = read(fd, text + length, ANSWER_MAX - length)) > 0)
        length += (size_t)n;
    return length;
}

static sigjmp_buf after_system;

static void jump(int signal)
{
    siglongjmp(after_system, signal);
}

/* The kernel gives the signal to any thread that has it not blocked, and only the one in system() may jump. */
static void block_alarm(int how)
{
    sigset_t alarm;

    (void)sigemptyset(&alarm);
    (void)sigaddset(&alarm, SIGALRM);
    (void)pthread_sigmask(how, &alarm, NULL);
}

/* system() that ends, or that a signal's handler leaves by a jump as soon as the program has run. */
static void start_by_system(bool jumps, int output, int input)
{
    char command[128];

    (void)snprintf(command, sizeof command, PROGRAM " >&%d %d>&-%s", output, input, jumps ? "; kill -ALRM $PPID" : "");
    if (!jumps) {
        if (system(command) != 0)
            errx(1, "system");
        return;
    }
    (void)signal(SIGALRM, jump);
    block_alarm(SIG_UNBLOCK);
    if (sigsetjmp(after_system, 1) == 0)
        errx(1, "system() has returned: %d", system(command));
    block_alarm(SIG_BLOCK);
    (void)wait(NULL); /* system() may have done it */
}

static size_t output_of(const char *way, char **envp, char *text)
{
    int ends[2], status = -1;
    size_t length;

    if (strcmp(way, "popen") == 0) {
        FILE *stream = popen(PROGRAM, "r");

        length = stream ? fread(text, 1, ANSWER_MAX, stream) : 0;
        if (!stream || pclose(stream) != 0)
            err(1, "popen");
        return length;
    }
    if (pipe2(ends, strncmp(way, "system", 6) == 0 ? 0 : O_CLOEXEC) < 0)
        err(1, "pipe");
    if (strncmp(way, "system", 6) == 0) {
        start_by_system(strcmp(way, "system-jump") == 0, ends[1], ends[0]);
        (void)close(ends[1]);
        length = read_all(ends[0], text);
    } else {
        pid_t child = start(way, envp, ends[1]);

        (void)close(ends[1]);
        length = read_all(ends[0], text);
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            errx(1, "%s: %x", way, (unsigned)status);
    }
    (void)close(ends[0]);
    return length;
}

static void answer(int fd)
{
    char head[16384] = "", way[32], environment[32];
    char **before = environ;
    size_t length = 0;
    ssize_t n;

    while (!strstr(head, "\r\n\r\n") && (n = read(fd, head + length, sizeof head - 1 - length)) > 0)
        head[length += (size_t)n] = '\0';
    if (sscanf(head, "GET /%31[^/ ]/%31[^/ ] ", way, environment) == 2) {
        char *text = malloc(ANSWER_MAX);

        length = text ? output_of(way, environment_named(environment), text) : 0;
        if (environ != before)
            errx(1, "the environment has changed");
        n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", length);
        if (write(fd, head, (size_t)n) != n || write(fd, text, length) != (ssize_t)length)
            warn("write");
        free(text);
    }
    (void)close(fd);
}

static void *answer_in_thread(void *fd)
{
    answer((int)(long)fd);
    return NULL;
}

int main(int argc, char **argv)
{
    bool threads = argc > 1 && strcmp(argv[1], "threads") == 0;
    int listener = listener_tcp(0, 0), fd;
    pthread_t thread;

    block_alarm(SIG_BLOCK);
    listener_announce(listener);
    while ((fd = listener_accept(listener, SOCK_CLOEXEC)) >= 0)
        if (!threads)
            answer(fd);
        else if (pthread_create(&thread, NULL, answer_in_thread, (void *)(long)fd) == 0)
            (void)pthread_detach(thread);
    return 1;
}
