/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/crash_helper.h"

#include "exporters/agent/crash_reading.h"
#include "exporters/agent/link.h"
#include "exporters/agent/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOCKET_FD = 3 };

static struct link_message message; /* the helper's only thread */
static unsigned child_count;        /* the same */

/* Its parent's death is its own: nobody would read what it finds. */
static void become_reader(pid_t parent)
{
    sigset_t none;

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_NAME, "spanshim-reader");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
}

static void read_crash(int turns)
{
    struct crash_request request;
    pid_t parent = getpid();
    bool is_request = message.fd_count >= 2 && message.packet.length == sizeof(request);
    pid_t child = is_request ? fork() : -1;

    if (child == 0) {
        become_reader(parent);
        memcpy(&request, message.bytes, sizeof(request));
        crash_reading_run(&request, message.packet.pid, message.fd_count > 2 ? message.fds[2] : -1, message.fds[0],
                          message.fds[1], turns);
        _exit(0);
    }
    child_count += child > 0;
    for (unsigned i = 0; i < message.fd_count; i++) /* the pipe's end tells whoever waits when there is no child */
        (void)close(message.fds[i]);
}

/* The process's user may stop the reader, which has that user's rights: a stopped one would never come to its time
 * limit, so it is killed. */
static void reap(int signals)
{
    struct signalfd_siginfo info;
    pid_t child;
    int status;

    while (read(signals, &info, sizeof(info)) == sizeof(info))
        ;
    while (child_count > 0 && (child = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0)
        if (WIFSTOPPED(status))
            (void)kill(child, SIGKILL);
        else
            child_count--;
}

/* False: the worker is gone. */
static bool serve_next(int socket, int turns)
{
    int result = link_receive(socket, &message);

    if (result == 1)
        read_crash(turns);
    return result == 1 || result == -EAGAIN || result == -EBADMSG;
}

static int serve(int socket)
{
    struct pollfd watched[2] = {{.events = POLLIN}, {.fd = socket}};
    int turns = memfd_create("spanshim-turns", MFD_CLOEXEC); /* -1: readings don't wait for each other */
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    watched[0].fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (watched[0].fd < 0)
        return 1;
    for (;;) {
        watched[1].events = child_count < CRASH_READINGS_MAX ? POLLIN : 0;
        if (poll(watched, 2, -1) < 0 && errno != EINTR)
            return 1;
        reap(watched[0].fd);
        if (watched[1].revents && !serve_next(socket, turns))
            return 0;
    }
}

/* No descriptor of the worker's may stay open here, or its end would not be noticed. */
static void become_helper(int socket)
{
    log_close();
    (void)prctl(PR_SET_NAME, "spanshim-crash");
    (void)signal(SIGINT, SIG_IGN); /* a terminal's */
    if (socket != SOCKET_FD)
        (void)dup3(socket, SOCKET_FD, O_CLOEXEC);
    closefrom(SOCKET_FD + 1);
    _exit(serve(SOCKET_FD));
}

int crash_helper_start(int *ret_socket)
{
    int pair[2];
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
        return -errno;
    child = fork();
    if (child == 0)
        become_helper(pair[1]);
    close(pair[1]);
    if (child < 0) {
        int error = -errno;

        close(pair[0]);
        return error;
    }
    *ret_socket = pair[0];
    return 0;
}
