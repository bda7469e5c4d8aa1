/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/agent_start.h"

#include "exporters/cli/agent_client.h"
#include "exporters/cli/cli.h"
#include "exporters/cli/deadline.h"
#include "exporters/cli/environment.h"
#include "exporters/cli/memory.h"
#include "exporters/cli/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long a start is waited for: while the agent is at it, which takes its time on a busy machine; and when it has
 * closed its standard error, which it does when it listens, or has ended. */
enum { START_TIMEOUT_MS = 10000, SILENT_TIMEOUT_MS = 1000, COMPLAINT_MAX = 512 };

/* What of a program's environment the agent reads itself; settings come with each hand-over. */
static bool agent_wants(const char *entry)
{
    static const char *const wanted[] = {
        "HOME=",          "PATH=",         "LANG=",     "LC_ALL=",          "TZ=",
        "TMPDIR=",        "USER=",         "LOGNAME=",  "XDG_RUNTIME_DIR=", "XDG_STATE_HOME=",
        "SSL_CERT_FILE=", "SSL_CERT_DIR=", "SPANSHIM_", "OTEL_LOG_LEVEL="};
    static const char *const unwanted[] = {"SPANSHIM_SESSION=", "SPANSHIM_EXPORTERS=", "SPANSHIM_CONSOLE="};

    for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++)
        if (strncmp(entry, unwanted[i], strlen(unwanted[i])) == 0)
            return false;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (strncmp(entry, wanted[i], strlen(wanted[i])) == 0)
            return true;
    return false;
}

/* The entries are borrowed from `env`; the array is ours. */
static char **select_environment(const struct environment *env)
{
    char **entries = memory_resize(NULL, (env->count + 1) * sizeof(*entries));
    size_t count = 0;

    for (size_t i = 0; i < env->count; i++)
        if (agent_wants(env->entries[i]))
            entries[count++] = env->entries[i];
    entries[count] = NULL;
    return entries;
}

/* In the child: nothing of the launcher stays but the pipe for complaints, as standard error. */
static void exec_agent(const char *agent, char *const *envp, int complaints)
{
    char *const argv[] = {(char *)(uintptr_t)agent, (char *)(uintptr_t) "--background",
                          (char *)(uintptr_t) "--if-absent", NULL};
    sigset_t none;
    int nothing = open("/dev/null", O_RDWR);

    if (nothing >= 0) {
        (void)dup2(nothing, STDIN_FILENO);
        (void)dup2(nothing, STDOUT_FILENO);
    }
    (void)dup2(complaints, STDERR_FILENO);
    closefrom(STDERR_FILENO + 1);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execve(agent, argv, envp);
    _exit(CLI_EXIT_NOT_EXECUTABLE);
}

/* Forked twice: a child that stayed would turn up in the wait() of the program that this process becomes. */
static int spawn_agent(const char *agent, char *const *envp, int complaints)
{
    pid_t between = fork();

    if (between < 0)
        return -errno;
    if (between == 0) {
        if (fork() == 0)
            exec_agent(agent, envp, complaints);
        _exit(0);
    }
    while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

/* Read what is there into the rest of `text`; false at the end. */
static bool collect(int complaints, char text[COMPLAINT_MAX], size_t *len)
{
    char discarded[256];
    bool full = *len >= COMPLAINT_MAX - 1;
    ssize_t n = read(complaints, full ? discarded : text + *len, full ? sizeof(discarded) : COMPLAINT_MAX - 1 - *len);

    if (n > 0 && !full)
        *len += (size_t)n;
    text[*len] = '\0';
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Until the socket answers; an agent that gives up closes its standard error after it has said why. */
static int await_agent(const char *path, int complaints, char text[COMPLAINT_MAX])
{
    uint64_t deadline = deadline_in_ms(START_TIMEOUT_MS);
    struct pollfd poller = {.fd = complaints, .events = POLLIN};
    size_t len = 0;
    int pause_ms = 1;

    *text = '\0';
    for (;;) {
        int connection = agent_client_connect(path);

        if (connection >= 0) {
            (void)close(connection);
            return 0;
        }
        if (connection == -EPERM || deadline_remaining_ms(deadline) == 0)
            return connection;
        if (poller.fd < 0 && len > 0)
            return connection;
        if (poll(&poller, 1, pause_ms) > 0 && !collect(complaints, text, &len)) {
            poller.fd = -1; /* poll passes over it and only waits */
            deadline = deadline_in_ms(SILENT_TIMEOUT_MS);
        }
        pause_ms = pause_ms < 16 ? pause_ms * 2 : 16;
    }
}

static int start_agent(const struct environment *env, const char *path, char complaint[COMPLAINT_MAX])
{
    char agent[PATH_MAX];
    int complaints[2];
    int err = parts_find_agent(agent);

    if (err) {
        strcpy(complaint, "spanshim-agent is not beside spanshim; install spanshim again");
        return err;
    }
    if (pipe2(complaints, O_CLOEXEC | O_NONBLOCK) != 0)
        return -errno;
    char **entries = select_environment(env);
    err = spawn_agent(agent, entries, complaints[1]);
    free(entries);
    (void)close(complaints[1]);
    if (!err)
        err = await_agent(path, complaints[0], complaint);
    (void)close(complaints[0]);
    return err;
}

/* The first line of what the agent said, without its own "spanshim-agent: ". */
static const char *first_line(char *complaint)
{
    static const char prefix[] = "spanshim-agent: ";

    complaint[strcspn(complaint, "\n")] = '\0';
    return strncmp(complaint, prefix, sizeof(prefix) - 1) == 0 ? complaint + sizeof(prefix) - 1 : complaint;
}

int agent_start_if_absent(const struct environment *env, const char *path)
{
    char complaint[COMPLAINT_MAX] = "";
    int connection = agent_client_connect(path);

    if (connection >= 0) {
        (void)close(connection);
        return 0;
    }
    int err = connection == -EPERM ? -EPERM : start_agent(env, path, complaint);
    if (err == -EPERM)
        cli_warning("%s belongs to another user and is not used: no traces are exported; set SPANSHIM_RUNTIME_DIR to a "
                    "folder of your own",
                    path);
    else if (err)
        cli_warning("the agent did not start: no traces are exported (%s)",
                    *complaint ? first_line(complaint) : strerror(-err));
    return err;
}
