/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/threads.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "exporters/agent/clock.h"
#include "exporters/agent/proc.h"

enum { ROUNDS_MAX = 8, STATUS_MAX = 4096, PAUSE_NS = 100000 };

/* The last number of "NSpid:\t17\t3": what the thread calls itself. */
static pid_t last_number(const char *line)
{
    long number = 0;
    char *end;

    while (*line == ' ' || *line == '\t') {
        long next = strtol(line, &end, 10);

        if (end == line)
            break;
        number = next;
        line = end;
    }
    return (pid_t)number;
}

static void read_name(struct thread *thread, const char *status)
{
    const char *name = strncmp(status, "Name:\t", 6) ? "" : status + 6;
    const char *state = strstr(status, "\nState:\t"), *numbers = strstr(status, "\nNSpid:");

    (void)snprintf(thread->name, sizeof(thread->name), "%.*s", (int)strcspn(name, "\n"), name);
    thread->state = state ? state[8] : '\0';
    thread->own_tid = numbers ? last_number(numbers + 7) : thread->tid;
}

static struct thread *find(struct threads *threads, pid_t tid)
{
    for (size_t i = 0; i < threads->count; i++) {
        if (threads->list[i].tid == tid)
            return &threads->list[i];
    }
    return NULL;
}

static void add(struct threads *threads, pid_t number, pid_t tid, pid_t crashed_tid)
{
    struct thread *thread = &threads->list[threads->count];
    char name[64], status[STATUS_MAX];

    *thread = (struct thread){.tid = tid, .missing = "not stopped"};
    (void)snprintf(name, sizeof(name), "task/%d/status", (int)tid);
    if (proc_read(number, name, status, sizeof(status)) < 0)
        return; /* it has ended */
    read_name(thread, status);
    thread->crashed = thread->own_tid == crashed_tid;
    if (thread->crashed && threads->count) {
        struct thread first = threads->list[0];

        threads->list[0] = *thread;
        *thread = first;
    }
    threads->count++;
}

/* How many were added, or -errno. */
static int list_new(struct threads *threads, pid_t number, pid_t crashed_tid)
{
    char path[64];
    size_t before = threads->count;
    struct dirent *entry;
    DIR *folder;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)number);
    folder = opendir(path);
    if (!folder)
        return -errno;
    while ((entry = readdir(folder))) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (tid <= 0 || find(threads, tid))
            continue;
        threads->cut = threads->count == THREADS_MAX;
        if (threads->cut)
            break;
        add(threads, number, tid, crashed_tid);
    }
    closedir(folder);
    return (int)(threads->count - before);
}

int threads_list(struct threads *threads, pid_t number, pid_t crashed_tid)
{
    int n;

    threads->list = calloc(THREADS_MAX, sizeof(*threads->list));
    if (!threads->list)
        return -ENOMEM;
    n = list_new(threads, number, crashed_tid);
    return n < 0 ? n : 0;
}

/* In the kernel, until a disk or a child of vfork() is done: it would not stop, and held by us it could not die. */
static bool is_uninterruptible(pid_t number, const struct thread *thread)
{
    char name[64], status[STATUS_MAX];
    struct thread now = {.state = '\0'};

    if (thread->state != 'D')
        return false;
    (void)snprintf(name, sizeof(name), "task/%d/status", (int)thread->tid);
    if (proc_read(number, name, status, sizeof(status)) > 0)
        read_name(&now, status);
    return now.state == 'D';
}

static void seize(struct thread *thread, pid_t number)
{
    if (is_uninterruptible(number, thread))
        return;
    if (ptrace(PTRACE_SEIZE, thread->tid, NULL, NULL)) {
        thread->missing = errno == EPERM ? "already traced, or not allowed" : "ended";
        return;
    }
    thread->seized = true;
    if (ptrace(PTRACE_INTERRUPT, thread->tid, NULL, NULL))
        thread->missing = "ended";
}

static void take_registers(struct thread *thread)
{
    struct user_regs_struct user;
    struct iovec vector = {.iov_base = &user, .iov_len = sizeof(user)};

    if (ptrace(PTRACE_GETREGSET, thread->tid, (void *)NT_PRSTATUS, &vector)) {
        thread->missing = "ended";
        return;
    }
    thread->missing = NULL;
    memcpy(thread->registers,
           (const uint64_t[REGISTERS]){user.rax, user.rdx, user.rcx, user.rbx, user.rsi, user.rdi, user.rbp, user.rsp,
                                       user.r8, user.r9, user.r10, user.r11, user.r12, user.r13, user.r14, user.r15,
                                       user.rip},
           sizeof(thread->registers));
}

/* True when nothing more is to be waited for. */
static bool has_stopped(struct thread *thread)
{
    int status;
    pid_t pid;

    if (!thread->seized || thread->stopped)
        return true;
    pid = waitpid(thread->tid, &status, __WALL | WNOHANG);
    if (pid == 0)
        return false;
    if (pid < 0 || !WIFSTOPPED(status)) {
        thread->seized = false;
        thread->missing = "ended";
        return true;
    }
    thread->stopped = true;
    /* It may have been stopped with a signal in its hands, before our interrupt came. */
    if (status >> 16 != PTRACE_EVENT_STOP)
        thread->pending = WSTOPSIG(status);
    take_registers(thread);
    return true;
}

static void wait_for_all(struct threads *threads, uint64_t deadline_ns)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    bool all = false;

    while (!all) {
        all = true;
        for (size_t i = 0; i < threads->count; i++)
            all &= has_stopped(&threads->list[i]);
        if (!all && clock_now_ns(CLOCK_MONOTONIC) > deadline_ns)
            return;
        if (!all)
            (void)nanosleep(&pause, NULL);
    }
}

void threads_stop(struct threads *threads, pid_t number, pid_t crashed_tid, uint64_t deadline_ns)
{
    size_t done = 0;

    for (int round = 0; round < ROUNDS_MAX && done < threads->count; round++) {
        for (size_t i = 0; i < threads->count; i++) {
            struct thread *thread = &threads->list[i];

            if (!thread->crashed && !thread->seized && thread->missing)
                seize(thread, number);
        }
        done = threads->count;
        wait_for_all(threads, deadline_ns);
        if (clock_now_ns(CLOCK_MONOTONIC) > deadline_ns)
            return;
        (void)list_new(threads, number, crashed_tid);
    }
}

bool threads_release(struct threads *threads)
{
    bool all = true;

    for (size_t i = 0; i < threads->count; i++) {
        struct thread *thread = &threads->list[i];
        bool settled = has_stopped(thread);

        all &= settled;
        if (!thread->seized || !settled || !thread->stopped)
            continue;
        (void)ptrace(PTRACE_DETACH, thread->tid, NULL, (void *)(intptr_t)thread->pending);
        thread->seized = thread->stopped = false;
        if (!thread->stack.frames)
            thread->missing = "stopped too late";
    }
    return all;
}

void threads_deinit(struct threads *threads)
{
    for (size_t i = 0; i < threads->count; i++)
        free(threads->list[i].stack.frames);
    free(threads->list);
    *threads = (struct threads){0};
}
