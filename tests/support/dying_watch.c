/* SPDX-License-Identifier: Apache-2.0 */
/* The child's side: a handler that does what the shim's does. As a preloaded object it starts by itself. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/support/dying.h"

static struct dying_area *shared; /* set before any crash */

static const int caught[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

/* What can be read from the address up; reads through the kernel, which refuses instead of faulting. */
static uint32_t copy_memory(uint64_t address, uint8_t *out, size_t size)
{
    struct iovec here = {.iov_base = out, .iov_len = size};
    struct iovec there = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
    ssize_t n = process_vm_readv(getpid(), &here, 1, &there, 1, 0);

    return n > 0 ? (uint32_t)n : 0;
}

static uint32_t copy_maps(uint8_t *out, size_t size)
{
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t n;

    while ((n = read(fd, out + length, size - length)) > 0)
        length += (size_t)n;
    close(fd);
    return (uint32_t)length;
}

/* A pointer to { size, text } in glibc, for those who read a core. */
static void copy_abort_text(struct wire_crash *crash)
{
    const char *const *message = dlsym(RTLD_DEFAULT, "__abort_msg");

    if (message && *message)
        crash->text_length = (uint32_t)snprintf(crash->text, sizeof(crash->text), "%s", *message + sizeof(uint32_t));
}

static void fill(struct wire_crash *crash, int signal_number, const siginfo_t *info, const ucontext_t *context)
{
    uint64_t stack = (uint64_t)context->uc_mcontext.gregs[REG_RSP] - 128;
    size_t maps_at;

    crash->pid = (uint32_t)getpid();
    crash->tid = (uint32_t)gettid();
    crash->death_signal = signal_number;
    crash->thread_pointer = (uint64_t)(uintptr_t)__builtin_thread_pointer();
    memcpy(crash->siginfo, info, sizeof(crash->siginfo));
    memcpy(crash->registers, context->uc_mcontext.gregs, sizeof(crash->registers));
    crash->stack_at = crash->copy_at = stack;
    crash->stack_length = copy_memory(stack, crash->stack, sizeof(crash->stack));
    crash->copy_length = copy_memory(stack, shared->copy, WIRE_CRASH_COPY_SIZE / 2);
    if (shared->shut)
        copy_abort_text(crash);
    maps_at = (crash->copy_length + 7u) & ~7u;
    crash->maps_length = copy_maps(shared->copy + maps_at, WIRE_CRASH_COPY_SIZE - maps_at);
}

static void handle(int signal_number, siginfo_t *info, void *context)
{
    struct wire_crash *crash = &shared->crash;
    uint32_t none = WIRE_CRASH_NONE;
    struct timespec now;

    if (atomic_compare_exchange_strong(&crash->state, &none, WIRE_CRASH_FILLING)) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        crash->mono_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        fill(crash, signal_number, info, context);
        if (shared->shut)
            prctl(PR_SET_DUMPABLE, 0);
        atomic_store(&crash->state, WIRE_CRASH_READY);
    }
    while (atomic_load(&crash->state) != WIRE_CRASH_DONE)
        usleep(500);
    signal(signal_number, SIG_DFL);
    syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), signal_number, info);
}

void dying_watch(struct dying_area *area)
{
    static uint8_t stack[64 << 10];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};

    shared = area;
    action.sa_sigaction = handle;
    sigaltstack(&alternate, NULL);
    for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        sigaction(caught[i], &action, NULL);
}

__attribute__((constructor)) static void watch_preloaded(void)
{
    const char *fd = getenv("DYING_AREA");

    if (fd)
        dying_watch(
            mmap(NULL, sizeof(struct dying_area), PROT_READ | PROT_WRITE, MAP_SHARED, (int)strtol(fd, NULL, 10), 0));
}
