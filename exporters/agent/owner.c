/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/owner.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/proc.h"
#include "exporters/agent/source.h"
#include "preload/wire.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TICKS_SLACK = 1 };

static int pidfd_open(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd < 0 ? -errno : fd;
}

/* A number of /proc/PID/stat. */
static uint64_t stat_field(pid_t pid, int pidfd, int wanted)
{
    char text[1024];
    const char *field;

    if (proc_read(proc_number(pid, pidfd), "stat", text, sizeof(text)) < 0)
        return 0;
    field = strrchr(text, ')'); /* the name may hold blanks and parentheses; field 3 follows */
    for (int n = 2; field && n < wanted; n++)
        field = strchr(field + 1, ' ');
    return field ? strtoull(field + 1, NULL, 10) : 0;
}

uint64_t owner_start_ticks(pid_t pid, int pidfd)
{
    return stat_field(pid, pidfd, 22);
}

static uint64_t tick_ns(void)
{
    return 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
}

uint64_t owner_start_unix_ns(uint64_t start_ticks)
{
    uint64_t boot_ns = clock_now_ns(CLOCK_BOOTTIME);
    uint64_t start_ns = start_ticks ? start_ticks * tick_ns() : boot_ns;

    return clock_now_ns(CLOCK_REALTIME) - (boot_ns > start_ns ? boot_ns - start_ns : 0);
}

uint64_t owner_stack_start(pid_t pid, int pidfd)
{
    return stat_field(pid, pidfd, 28);
}

bool owner_is_dead(int pidfd)
{
    struct pollfd poller = {.fd = pidfd, .events = POLLIN};

    return poll(&poller, 1, 0) == 1;
}

/* The last number of the NSpid line: what the process calls itself. */
static uint32_t own_number(pid_t pid)
{
    char text[4096];
    const char *line, *last = NULL;

    if (proc_read(pid, "status", text, sizeof(text)) < 0)
        return 0;
    line = strstr(text, "\nNSpid:");
    if (!line)
        return 0;
    for (line += 7; *line && *line != '\n'; line++)
        if (*line == '\t')
            last = line + 1;
    return last ? (uint32_t)strtoul(last, NULL, 10) : 0;
}

void owner_compare_namespaces(struct source *source)
{
    pid_t number = proc_number(source->pid, source->pidfd);

    source->same_pids = source->own_pid == source->pid && proc_shares_namespace(number, "pid");
    source->pids_visible = own_number(source->pid) == (uint32_t)source->own_pid;
    source->same_clock = proc_shares_namespace(number, "time");
}

static bool is_neighbour(const struct source *source, pid_t pid)
{
    char path[64];
    struct stat first, other;

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)source->pid);
    if (stat(path, &first))
        return true;
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
    return stat(path, &other) == 0 && first.st_ino == other.st_ino;
}

/* A number of another pid namespace in ours, 0 when nobody there has it. */
static pid_t translate(const struct source *source, uint32_t own_pid)
{
    const struct dirent *entry;
    pid_t found = 0;
    DIR *proc;

    if (source->same_pids || source->pid == 0)
        return (pid_t)own_pid;
    if (own_pid == (uint32_t)source->own_pid)
        return source->pid;
    proc = opendir("/proc");
    while (!found && proc && (entry = readdir(proc))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (pid > 0 && own_number(pid) == own_pid && is_neighbour(source, pid))
            found = pid;
    }
    if (proc)
        closedir(proc);
    return found;
}

/* Another user's process can't have this ring, unless root gave it to one. */
static bool may_own(const struct source *source, pid_t pid, int pidfd)
{
    char path[64];
    struct stat status;

    (void)snprintf(path, sizeof(path), "/proc/%d", (int)proc_number(pid, pidfd));
    return source->uid == 0 || stat(path, &status) || status.st_uid == source->uid || status.st_uid == 0;
}

/* Did it start after the claim? Then it isn't the one that claimed. */
static bool started_later(const struct source *source, uint64_t start_ticks, uint64_t claimed_boot_ns)
{
    return source->same_clock && start_ticks && start_ticks * tick_ns() > claimed_boot_ns + TICKS_SLACK * tick_ns();
}

enum owner_state owner_identify(const struct source *source, uint32_t pid, uint64_t claimed_boot_ns,
                                struct owner *ret_owner)
{
    struct owner owner = {.pidfd = -1};
    bool believed;

    *ret_owner = owner;
    if (pid == WIRE_PID_UNKNOWN)
        return OWNER_UNKNOWN;
    if (claimed_boot_ns == 0)
        return OWNER_UNCLEAR;
    owner.pid = translate(source, pid);
    if (owner.pid <= 0)
        return source->pids_visible ? OWNER_DEAD : OWNER_UNKNOWN;
    ret_owner->pid = owner.pid;
    owner.pidfd = pidfd_open(owner.pid);
    if (owner.pidfd < 0)
        return owner.pidfd == -ESRCH ? OWNER_DEAD : OWNER_UNKNOWN;
    owner.start_ticks = owner_start_ticks(owner.pid, owner.pidfd);
    believed = !started_later(source, owner.start_ticks, claimed_boot_ns) && may_own(source, owner.pid, owner.pidfd);
    if (!believed) {
        close(owner.pidfd);
        return OWNER_DEAD;
    }
    *ret_owner = owner;
    return OWNER_ALIVE;
}
