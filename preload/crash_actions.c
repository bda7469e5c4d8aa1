/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/crash_actions.h"

#include "preload/real.h"
#include "preload/sys.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif

/* The kernel's struct sigaction. */
struct kernel_action {
    void (*handler)(int signal);
    uint64_t flags;
    void (*restorer)(void);
    uint64_t mask;
};

enum { STUB_SIZE = 16, RACES_MAX = 64 };

#define BIT(signal) (UINT64_C(1) << (signal))
#define OURS        (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGABRT) | BIT(SIGTRAP) | BIT(SIGSYS))

/* Flags that the kernel keeps; it drops others since 5.11. SA_EXPOSE_TAGBITS has no name in older headers. */
#define KEPT_FLAGS                                                                                                     \
    ((uint64_t)(uint32_t)(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | 0x800 | SA_RESTORER | SA_ONSTACK | SA_RESTART |   \
                          SA_NODEFER | SA_RESETHAND))

/* In the kernel's mask a signal's bit is one lower than its number. SIGKILL and SIGSTOP can't be blocked. */
#define UNBLOCKABLE ((BIT(SIGKILL) | BIT(SIGSTOP)) >> 1)

/* While a crash is written down no handler of the program's runs on top of it. A second fault is let through. */
#define CRASH_MASK (~((BIT(SIGSEGV) | BIT(SIGBUS)) >> 1) & ~UNBLOCKABLE)

/* crash_entry.S */
extern char crash_stubs[] __attribute__((visibility("hidden")));
void crash_restorer(void) __attribute__((visibility("hidden")));

struct crash_action crash_actions[CRASH_ACTIONS_MAX];
_Atomic uint64_t crash_signals;

static struct {
    _Atomic uint32_t count;       /* numbers given out; more than there are: none is left */
    _Atomic uint32_t is_done;     /* crash_install() has begun */
    _Atomic uint32_t small_stack; /* the program has set an alternate stack that is too small for us */
    void (*libc_restorer)(void);  /* what libc gives the kernel to return by. Written by crash_install() */
} actions;

static long kernel_set(int signal, const struct kernel_action *action, struct kernel_action *ret_before)
{
    return sys_call4(SYS_rt_sigaction, signal, (long)action, (long)ret_before, sizeof(uint64_t));
}

/* The action's number plus one that a handler of the kernel's stands for; 0: it is none of our stubs. */
static uint32_t number_of(void (*handler)(int))
{
    uintptr_t distance = (uintptr_t)handler - (uintptr_t)crash_stubs;

    return distance < (uintptr_t)CRASH_ACTIONS_MAX * STUB_SIZE ? (uint32_t)(distance / STUB_SIZE) + 1 : 0;
}

static bool is_action(const struct crash_action *action, void (*handler)(int), uint64_t flags, uint64_t mask)
{
    return atomic_load_explicit(&action->is_used, memory_order_acquire) && action->handler == handler &&
           action->flags == flags && action->mask == mask;
}

/* The action's number plus one; 0: none is left. Two threads may each give the same action a number. */
static uint32_t number_for(void (*handler)(int), uint64_t flags, uint64_t mask)
{
    uint32_t count = atomic_load_explicit(&actions.count, memory_order_relaxed);

    for (uint32_t i = 0; i < count && i < CRASH_ACTIONS_MAX; i++)
        if (is_action(&crash_actions[i], handler, flags, mask))
            return i + 1;
    if (count >= CRASH_ACTIONS_MAX)
        return 0;

    uint32_t i = atomic_fetch_add_explicit(&actions.count, 1, memory_order_relaxed);
    if (i >= CRASH_ACTIONS_MAX)
        return 0;
    crash_actions[i].handler = handler;
    crash_actions[i].flags = flags;
    crash_actions[i].mask = mask;
    atomic_store_explicit(&crash_actions[i].is_used, 1, memory_order_release);
    return i + 1;
}

/* What the kernel is given for a numbered action. */
static struct kernel_action stub_of(uint32_t number)
{
    const struct crash_action *action = &crash_actions[number - 1];
    struct kernel_action stub = {
        .handler = (void (*)(int))(void *)(crash_stubs + (size_t)(number - 1) * STUB_SIZE),
        .restorer = crash_restorer,
    };

    if (action->handler == SIG_DFL) {
        stub.flags = SA_SIGINFO | SA_RESTORER | (action->flags & SA_RESTART);
        if (!atomic_load_explicit(&actions.small_stack, memory_order_relaxed))
            stub.flags |= SA_ONSTACK;
        stub.mask = CRASH_MASK;
        return stub;
    }
    /* The kernel would reset to the default action past us. SA_ONSTACK stays, also where the only alternate stack is
     * ours: Go's runtime sets its own past libc, and ends the process when its handler is not on it. */
    stub.flags = (action->flags & ~(uint64_t)(uint32_t)SA_RESETHAND) | SA_RESTORER;
    stub.flags |= SA_SIGINFO; /* without it the kernel leaves out what the signal was about */
    stub.mask = action->mask;
    return stub;
}

/* What the program has set where the kernel has this. SA_RESTART is the kernel's to tell: siginterrupt() changes it. */
static struct kernel_action seen(const struct kernel_action *kernel)
{
    uint32_t number = number_of(kernel->handler);

    if (number == 0)
        return *kernel;

    const struct crash_action *action = &crash_actions[number - 1];
    uint64_t flags = (action->flags & ~(uint64_t)SA_RESTART) | (kernel->flags & SA_RESTART);

    return (struct kernel_action){action->handler, flags, flags & SA_RESTORER ? actions.libc_restorer : NULL,
                                  action->mask};
}

/* What the kernel is to have for what the program has set: perhaps a stub, which it has found out past us. */
static struct kernel_action hidden(const struct kernel_action *program)
{
    void (*handler)(int) = crash_seen_handler(program->handler);
    uint32_t number = 0;

    if (handler != SIG_IGN)
        number = number_for(handler, program->flags & KEPT_FLAGS, program->mask & ~UNBLOCKABLE);
    return number ? stub_of(number) : *program;
}

static bool is_same(const struct kernel_action *a, const struct kernel_action *b)
{
    return a->handler == b->handler && a->flags == b->flags && a->mask == b->mask && a->restorer == b->restorer;
}

/* Put `next` where `expected` stands. What another thread has set in between is put back: it was set later. */
static void replace(int signal, const struct kernel_action *expected, const struct kernel_action *next)
{
    struct kernel_action awaited = *expected;
    struct kernel_action put = *next;

    for (int race = 0; race < RACES_MAX; race++) {
        struct kernel_action found;

        if (kernel_set(signal, &put, &found) != 0 || is_same(&found, &awaited))
            return;
        awaited = put;
        put = found;
    }
}

/* Make the kernel's action what it is to be now. */
static void adjust(int signal)
{
    struct kernel_action now;

    if (kernel_set(signal, NULL, &now) != 0 || now.handler == SIG_IGN)
        return;

    const struct kernel_action program = seen(&now);
    const struct kernel_action next = hidden(&program);

    if (!is_same(&now, &next))
        replace(signal, &now, &next);
}

/* libc returns from handlers by a function of its own, and says so in what it reports. */
static bool learn_restorer(void)
{
    struct kernel_action before;
    struct kernel_action after = {0};
    struct sigaction same = {0};

    if (kernel_set(SIGSYS, NULL, &before) != 0)
        return false;
    same.sa_handler = before.handler;
    same.sa_flags = (int)before.flags;
    memcpy(&same.sa_mask, &before.mask, sizeof(before.mask));
    if (REAL(sigaction)(SIGSYS, &same, NULL) != 0 || kernel_set(SIGSYS, &before, &after) != 0)
        return false;
    actions.libc_restorer = after.restorer;
    return after.restorer != NULL;
}

void crash_install(void)
{
    if (atomic_exchange_explicit(&actions.is_done, 1, memory_order_relaxed) || !learn_restorer())
        return;
    atomic_store_explicit(&crash_signals, OURS, memory_order_release);
    for (int signal = 1; signal < 64; signal++)
        if (OURS & BIT(signal))
            adjust(signal);
}

void crash_give_back(void)
{
    atomic_store_explicit(&actions.is_done, 1, memory_order_relaxed);
    if (!atomic_exchange_explicit(&crash_signals, 0, memory_order_relaxed))
        return;
    for (int signal = 1; signal < 64; signal++) {
        struct kernel_action now;

        if (!(OURS & BIT(signal)) || kernel_set(signal, NULL, &now) != 0 || number_of(now.handler) == 0)
            continue;
        const struct kernel_action program = seen(&now);
        replace(signal, &now, &program);
    }
}

int crash_sigaction(int signal, const struct sigaction *action, struct sigaction *ret_before)
{
    struct kernel_action before;
    struct kernel_action next = {0};
    long result;

    if (action) {
        next.handler = action->sa_handler;
        next.flags = (uint32_t)action->sa_flags | SA_RESTORER;
        next.restorer = actions.libc_restorer;
        memcpy(&next.mask, &action->sa_mask, sizeof(next.mask));
        next = hidden(&next);
    }
    result = kernel_set(signal, action ? &next : NULL, ret_before ? &before : NULL);
    if (result != 0) {
        errno = (int)-result;
        return -1;
    }
    if (ret_before) {
        before = seen(&before);
        ret_before->sa_handler = before.handler;
        ret_before->sa_flags = (int)before.flags;
        ret_before->sa_restorer = before.restorer;
        memcpy(&ret_before->sa_mask, &before.mask, sizeof(before.mask));
    }
    return 0;
}

void crash_adopt(int signal)
{
    adjust(signal);
}

void (*crash_seen_handler(void (*handler)(int)))(int)
{
    uint32_t number = number_of(handler);

    return number ? crash_actions[number - 1].handler : handler;
}

void crash_avoid_stacks(void)
{
    if (atomic_exchange_explicit(&actions.small_stack, 1, memory_order_relaxed))
        return;
    for (int signal = 1; signal < 64; signal++)
        if (crash_owns(signal))
            adjust(signal);
}

void crash_set_default(int signal)
{
    static const struct kernel_action by_default;

    (void)kernel_set(signal, &by_default, NULL);
}

void crash_reset_action(int signal, uint32_t number)
{
    const struct crash_action *action = &crash_actions[number - 1];
    uint32_t reset = number_for(SIG_DFL, action->flags, action->mask);
    struct kernel_action entered = stub_of(number);
    struct kernel_action next;

    if (!reset)
        return;
    next = stub_of(reset);
    replace(signal, &entered, &next);
}
