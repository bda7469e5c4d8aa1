/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers that programs have for their own crashes. */
#include "crash.h"

#include <err.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIGNAL_STACK = 64 * 1024 };

static sigjmp_buf back;

static void log_signal(int number, const siginfo_t *info)
{
    char line[64];

    (void)snprintf(line, sizeof line, "handler: signal %d, code %d", number, info->si_code);
    crash_say(line);
}

static void install(void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

    for (const int *number = crash_signals; *number; number++)
        if (sigaction(*number, &action, NULL) != 0)
            err(1, "sigaction");
}

static void on_raise(int number, siginfo_t *info, void *context)
{
    (void)context;
    log_signal(number, info);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void raise_handler(void)
{
    install(on_raise, 0);
}

static void raise_nodefer_handler(void)
{
    install(on_raise, SA_NODEFER);
}

/* As runtimes do that mean to survive a stack overflow. */
static void raise_on_stack_handler(void)
{
    stack_t stack = {.ss_sp = malloc(SIGNAL_STACK), .ss_size = SIGNAL_STACK};

    if (!stack.ss_sp || sigaltstack(&stack, NULL) != 0)
        err(1, "sigaltstack");
    install(on_raise, SA_ONSTACK);
}

static void on_log(int number, siginfo_t *info, void *context)
{
    (void)context;
    log_signal(number, info);
}

/* Returns also from a SIGABRT: abort() ends the process then. */
static void log_handler(void)
{
    install(on_log, 0);
}

/* The fault is repeated after the handler's return, with nobody to handle it. */
static void once_handler(void)
{
    install(on_log, SA_RESETHAND);
}

static void on_reset(int number, siginfo_t *info, void *context)
{
    (void)context;
    log_signal(number, info);
    (void)signal(number, SIG_DFL);
}

static void reset_handler(void)
{
    install(on_reset, 0);
}

static void on_quick_exit(int number, siginfo_t *info, void *context)
{
    (void)context;
    log_signal(number, info);
    _exit(3);
}

static void quick_exit_handler(void)
{
    install(on_quick_exit, 0);
}

static void on_exit_in_order(int number, siginfo_t *info, void *context)
{
    (void)context;
    log_signal(number, info);
    exit(4);
}

static void exit_handler(void)
{
    install(on_exit_in_order, 0);
}

static void on_abort(int number, siginfo_t *info, void *context)
{
    (void)context;
    log_signal(number, info);
    (void)signal(SIGABRT, SIG_DFL);
    abort();
}

static void abort_handler(void)
{
    install(on_abort, 0);
}

static void on_crash(int number, siginfo_t *info, void *context)
{
    static int *volatile nowhere;

    (void)context;
    log_signal(number, info);
    *nowhere = 1;
}

/* abort() in a fault's handler; the one for SIGABRT only logs. */
static void on_log_and_abort(int number, siginfo_t *info, void *context)
{
    (void)context;
    log_signal(number, info);
    if (number != SIGABRT)
        abort();
}

static void log_and_abort_handler(void)
{
    install(on_log_and_abort, 0);
}

static void crash_handler(void)
{
    install(on_crash, 0);
}

/* It falls over something else, which nobody handles. */
static void on_divide(int number, siginfo_t *info, void *context)
{
    volatile int zero = 0;

    (void)context;
    log_signal(number, info);
    (void)signal(SIGFPE, SIG_DFL);
    zero = number / zero;
}

static void divide_handler(void)
{
    install(on_divide, 0);
}

static void on_jump(int number, siginfo_t *info, void *context)
{
    (void)context;
    log_signal(number, info);
    siglongjmp(back, 1);
}

/* A program that survives its faults. */
static void jump_handler(void)
{
    install(on_jump, 0);
    if (sigsetjmp(back, 1) == 0)
        return;
    crash_say("jumped back");
    _exit(0);
}

/* signal(): the handler gets the number only. */
static void on_plain(int number)
{
    crash_say("plain handler");
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void plain_handler(void)
{
    for (const int *number = crash_signals; *number; number++)
        if (signal(*number, on_plain) == SIG_ERR)
            err(1, "signal");
}

const struct crash_row crash_handlers[] = {
    {"raise", raise_handler},
    {"raise_nodefer", raise_nodefer_handler},
    {"raise_on_stack", raise_on_stack_handler},
    {"log", log_handler},
    {"once", once_handler},
    {"reset", reset_handler},
    {"quick_exit", quick_exit_handler},
    {"exit", exit_handler},
    {"abort", abort_handler},
    {"log_and_abort", log_and_abort_handler},
    {"crash", crash_handler},
    {"divide", divide_handler},
    {"jump", jump_handler},
    {"plain", plain_handler},
    {NULL, NULL},
};
