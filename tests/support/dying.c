/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/dying.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct dying_area *new_area(bool shut, int *ret_fd)
{
    int fd = memfd_create("dying", 0);
    struct dying_area *area;

    if (ftruncate(fd, sizeof(*area)))
        abort();
    area = mmap(NULL, sizeof(*area), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (area == MAP_FAILED)
        abort();
    area->shut = shut;
    *ret_fd = fd;
    return area;
}

static struct dying wait_ready(struct dying dying)
{
    const struct timespec pause = {.tv_nsec = 200000};

    dying.pidfd = (int)syscall(SYS_pidfd_open, dying.pid, 0);
    for (int i = 0; i < 100000 && atomic_load(&dying.area->crash.state) != WIRE_CRASH_READY; i++) {
        siginfo_t info = {0};

        if (!waitid(P_PID, (id_t)dying.pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid) {
            (void)fprintf(stderr, "it died without waiting: %d %d\n", info.si_code, info.si_status);
            abort();
        }
        nanosleep(&pause, NULL);
    }
    return dying;
}

static void leave_no_core(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

struct dying dying_function(void (*body)(void), bool shut)
{
    int fd;
    struct dying dying = {.area = new_area(shut, &fd)};

    dying.pid = fork();
    if (dying.pid == 0) {
        leave_no_core();
        dying_watch(dying.area);
        body();
        _exit(99);
    }
    close(fd);
    return wait_ready(dying);
}

struct dying dying_program(char *const arguments[], bool shut)
{
    int fd;
    struct dying dying = {.area = new_area(shut, &fd)};

    dying.pid = fork();
    if (dying.pid == 0) {
        char number[16];

        leave_no_core();
        (void)snprintf(number, sizeof(number), "%d", fd);
        (void)!chdir(DYING_FOLDER); /* some leave files */
        setenv("DYING_AREA", number, 1);
        setenv("LD_PRELOAD", DYING_WATCH, 1);
        (void)!freopen("/dev/null", "w", stdout); /* crashers say what they do */
        (void)!freopen("/dev/null", "w", stderr);
        execv(arguments[0], arguments);
        _exit(98);
    }
    close(fd);
    return wait_ready(dying);
}

void dying_release(struct dying *dying)
{
    atomic_store(&dying->area->crash.state, WIRE_CRASH_DONE);
}

int dying_end(struct dying *dying)
{
    int status = -1;

    dying_release(dying);
    while (waitpid(dying->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(dying->pidfd);
    munmap(dying->area, sizeof(*dying->area));
    return status;
}
