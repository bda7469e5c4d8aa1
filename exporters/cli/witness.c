/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/witness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* On a busy machine it may get no processor for long, and the program would get the signal twice. What is stopped costs
 * so much once. */
enum { ANSWER_TIMEOUT_MS = 2000 };

/* `pkill spanshim` and `pkill -f "spanshim run"` mean the launcher; a witness that they hit as well would testify that
 * the group was meant. So it carries neither name nor command line. */
static void become_nameless(void)
{
    char *start = program_invocation_name;
    char *end = environ && *environ ? *environ : start + strlen(start);

    (void)prctl(PR_SET_NAME, "signal-witness");
    if (end > start)
        memset(start, '\0', (size_t)(end - start));
}

/* Signals stay pending until somebody asks. */
static void testify(int channel)
{
    unsigned char signo;

    while (read(channel, &signo, 1) == 1) {
        sigset_t one;
        unsigned char seen;

        sigemptyset(&one);
        sigaddset(&one, signo);
        seen = sigtimedwait(&one, NULL, &(struct timespec){0}) == signo;
        if (write(channel, &seen, 1) != 1)
            break;
    }
    _exit(0);
}

int witness_start(struct witness *witness)
{
    int pair[2];
    pid_t launcher = getpid();

    *witness = (struct witness){.channel = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != launcher)
            _exit(0);
        (void)dup2(pair[1], STDIN_FILENO);
        closefrom(STDIN_FILENO + 1);
        become_nameless();
        testify(STDIN_FILENO);
    }
    (void)close(pair[1]);
    if (pid < 0) {
        (void)close(pair[0]);
        return -EAGAIN;
    }
    *witness = (struct witness){.pid = pid, .channel = pair[0]};
    return 0;
}

bool witness_saw(struct witness *witness, int signo)
{
    unsigned char question = (unsigned char)signo;
    unsigned char seen = 0;
    struct pollfd poller = {.fd = witness->channel, .events = POLLIN};

    if (witness->pid == 0 || send(witness->channel, &question, 1, MSG_NOSIGNAL) != 1)
        return false;
    if (poll(&poller, 1, ANSWER_TIMEOUT_MS) != 1 || read(witness->channel, &seen, 1) != 1) {
        witness_stop(witness); /* stopped or gone: a later answer would be to an older question */
        return false;
    }
    return seen;
}

void witness_stop(struct witness *witness)
{
    if (witness->pid == 0)
        return;
    (void)close(witness->channel);
    (void)kill(witness->pid, SIGKILL);
    while (waitpid(witness->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *witness = (struct witness){.channel = -1};
}
