/* SPDX-License-Identifier: Apache-2.0 */
/* What a process does to itself, or has done to it, before it crashes. */
#include "crash.h"

#include <err.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NOBODY = 65534, MANY_DESCRIPTORS = 1024 };

static void no_descriptors_condition(void)
{
    struct rlimit limit = {.rlim_cur = 3, .rlim_max = 3};

    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        err(1, "setrlimit");
    while (dup(STDOUT_FILENO) >= 0)
        continue;
    crash_fault();
}

static void closed_condition(void)
{
    for (int fd = 0; fd < MANY_DESCRIPTORS; fd++)
        (void)close(fd);
    crash_fault();
}

static void chroot_condition(void)
{
    if (mkdir("empty", 0700) != 0 || chroot("empty") != 0 || chdir("/") != 0)
        err(1, "chroot");
    crash_fault();
}

static void setuid_condition(void)
{
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        err(1, "setuid");
    crash_fault();
}

static void undumpable_condition(void)
{
    if (prctl(PR_SET_DUMPABLE, 0) != 0)
        err(1, "prctl");
    crash_fault();
}

/* A filter that lets through what the program needs from now on, and kills for all else. */
static void allow_list_condition(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_write, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit_group, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof code / sizeof code[0], .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        err(1, "seccomp");
    crash_fault();
}

const struct crash_row crash_conditions[] = {
    {"no_descriptors", no_descriptors_condition},
    {"closed", closed_condition},
    {"chroot", chroot_condition},
    {"setuid", setuid_condition},
    {"undumpable", undumpable_condition},
    {"allow_list", allow_list_condition},
    {NULL, NULL},
};
