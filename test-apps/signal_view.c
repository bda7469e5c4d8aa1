/* SPDX-License-Identifier: Apache-2.0 */
/* Sets and asks for dispositions and alternate stacks in every way that libc has, and prints each answer. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Unwise to use, and used. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

int __sigaction(int number, const struct sigaction *action, struct sigaction *before);
__sighandler_t bsd_signal(int number, __sighandler_t handler);

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGUSR1, SIGCHLD};
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

static sigjmp_buf back;
static volatile int calls;
static char *own_stack;

static void plain(int number)
{
    (void)number;
    calls++;
}

static void with_info(int number, siginfo_t *info, void *context)
{
    stack_t stack;

    (void)context;
    calls++;
    printf("    in handler: signal %d code %d", number, info->si_code);
    if (sigaltstack(NULL, &stack) == 0)
        printf(" stack flags %d size %zu", stack.ss_flags, stack.ss_size);
    printf(" on own stack: %d\n", (char *)&stack >= own_stack && (char *)&stack < own_stack + 65536);
}

static void jumping(int number)
{
    calls++;
    siglongjmp(back, number);
}

static const char *name_of(void (*handler)(int))
{
    if (handler == SIG_DFL)
        return "default";
    if (handler == SIG_IGN)
        return "ignore";
    if (handler == SIG_ERR)
        return "error";
    if (handler == SIG_HOLD)
        return "hold";
    if (handler == plain)
        return "plain";
    if (handler == jumping)
        return "jumping";
    return (void *)handler == (void *)with_info ? "with_info" : "somebody else's";
}

static void print_action(const char *what, int result, int error, const struct sigaction *action)
{
    uint64_t mask;

    memcpy(&mask, &action->sa_mask, sizeof(mask));
    printf("  %s: %d errno %d, %s flags %x mask %llx\n", what, result, result ? error : 0, name_of(action->sa_handler),
           (unsigned)action->sa_flags, (unsigned long long)mask);
}

static void ask(const char *what, int number)
{
    struct sigaction action;

    memset(&action, 0x5a, sizeof(action));
    errno = 0;
    int result = sigaction(number, NULL, &action);
    print_action(what, result, errno, &action);
}

static void set(int number, void (*handler)(int), int flags, uint64_t mask)
{
    struct sigaction action = {.sa_flags = flags, .sa_handler = handler};
    struct sigaction before;

    memset(&before, 0x5a, sizeof(before));
    memcpy(&action.sa_mask, &mask, sizeof(mask));
    errno = 0;
    int result = sigaction(number, &action, &before);
    print_action("before", result, errno, &before);
    ask("set", number);
}

static void by_sigaction(int number)
{
    struct sigaction both = {.sa_handler = plain};
    struct sigaction *volatile same = &both; /* compilers would complain; programs do it */

    printf("sigaction %d\n", number);
    ask("at first", number);
    set(number, plain, 0, 0);
    set(number, (void (*)(int))(void *)with_info, SA_SIGINFO | SA_RESTART, UINT64_C(0x1234));
    set(number, plain, SA_ONSTACK | SA_NODEFER, ~UINT64_C(0));
    set(number, plain, (int)SA_RESETHAND | SA_NOCLDSTOP | 0x40, 0);
    set(number, SIG_IGN, SA_RESTART, 2);
    set(number, SIG_DFL, SA_NODEFER, 4);
    print_action("before, in the same place", sigaction(number, same, &both), errno, &both);
    print_action("__sigaction", __sigaction(number, NULL, &both), errno, &both);
    print_action("nothing asked", sigaction(number, NULL, NULL), errno, &both);
    set(number, SIG_DFL, 0, 0);
}

static void by_others(int number)
{
    printf("others %d\n", number);
    printf("  signal: %s\n", name_of(signal(number, plain)));
    ask("signal", number);
    printf("  bsd_signal: %s\n", name_of(bsd_signal(number, jumping)));
    ask("bsd_signal", number);
    printf("  ssignal: %s\n", name_of(ssignal(number, SIG_IGN)));
    ask("ssignal", number);
    printf("  sysv_signal: %s\n", name_of(sysv_signal(number, jumping)));
    ask("sysv_signal", number);
    printf("  __sysv_signal: %s\n", name_of(__sysv_signal(number, plain)));
    ask("__sysv_signal", number);
    printf("  siginterrupt: %d\n", siginterrupt(number, 1));
    ask("siginterrupt 1", number);
    printf("  signal: %s\n", name_of(signal(number, jumping)));
    ask("signal, interrupting", number);
    printf("  siginterrupt: %d\n", siginterrupt(number, 0));
    ask("siginterrupt 0", number);
    printf("  sigset: %s\n", name_of(sigset(number, plain)));
    ask("sigset", number);
    printf("  sigset: %s\n", name_of(sigset(number, SIG_HOLD)));
    ask("sigset hold", number);
    printf("  sigset: %s\n", name_of(sigset(number, SIG_DFL)));
    ask("sigset default", number);
    printf("  sigignore: %d\n", sigignore(number));
    ask("sigignore", number);
    printf("  signal: %s\n", name_of(signal(number, SIG_DFL)));
    ask("signal default", number);
    printf("  siginterrupt: %d\n", siginterrupt(number, 0));
    ask("siginterrupt 0 of the default", number);
}

static void by_mistake(void)
{
    static const int wrong[] = {0, -1, 65, 1000, SIGKILL, SIGSTOP, 32, 33};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        printf("wrong %d\n", wrong[i]);
        set(wrong[i], plain, 0, 0);
        errno = 0;
        printf("  signal: %s", name_of(signal(wrong[i], plain)));
        printf(" errno %d\n", errno);
        errno = 0;
        printf("  siginterrupt: %d", siginterrupt(wrong[i], 1));
        printf(" errno %d\n", errno);
    }
    errno = 0;
    printf("signal SIG_ERR: %s", name_of(signal(SIGSEGV, SIG_ERR)));
    printf(" errno %d\n", errno);
    ask("after it", SIGSEGV);
}

static void print_stack(const char *what, int result, const stack_t *stack)
{
    int error = result ? errno : 0;

    printf("  %s: %d errno %d, %s flags %x size %zu\n", what, result, error,
           stack->ss_sp == NULL        ? "none"
           : stack->ss_sp == own_stack ? "own"
                                       : "somebody else's",
           (unsigned)stack->ss_flags, stack->ss_size);
}

static void change_stack(const char *what, void *at, size_t size, int flags)
{
    stack_t stack = {.ss_sp = at, .ss_size = size, .ss_flags = flags};
    stack_t before = {0};

    printf(" %s\n", what);
    print_stack("before", sigaltstack(&stack, &before), &before);
    print_stack("now", sigaltstack(NULL, &stack), &stack);
}

static void *alternate_stacks(void *name)
{
    stack_t both = {.ss_flags = SS_DISABLE};
    stack_t *volatile same = &both;

    printf("stacks of %s\n", (char *)name);
    change_stack("none there", NULL, 0, SS_DISABLE);
    set(SIGSEGV, (void (*)(int))(void *)with_info, SA_SIGINFO | SA_ONSTACK, 0);
    raise(SIGSEGV);
    change_stack("own", own_stack, 65536, 0);
    raise(SIGSEGV);
    set(SIGSEGV, (void (*)(int))(void *)with_info, SA_SIGINFO, 0);
    raise(SIGSEGV);
    change_stack("tiny", own_stack, 100, 0);
    change_stack("wrong flags", own_stack, 65536, 0x77);
    change_stack("disarmed by itself", own_stack, 65536, (int)SS_AUTODISARM);
    change_stack("small", own_stack, 2048, 0);
    print_stack("given up", sigaltstack(same, &both), &both);
    print_stack("now", sigaltstack(NULL, &both), &both);
    errno = 0;
    printf("  bad pointers: %d", sigaltstack((stack_t *)8, NULL));
    printf(" errno %d\n", errno);
    errno = 0;
    printf("  bad pointers: %d", sigaltstack(NULL, (stack_t *)8));
    printf(" errno %d\n", errno);
    signal(SIGSEGV, SIG_DFL);
    return NULL;
}

/* What handlers do: come back, come once, jump away, fault for real. */
static void handled(void)
{
    struct sigaction once = {.sa_handler = plain, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    struct sigaction jump = {.sa_handler = jumping};

    calls = 0;
    sigaction(SIGFPE, &once, NULL);
    raise(SIGFPE);
    ask("after a handler for once", SIGFPE);
    sigaction(SIGSEGV, &jump, NULL);
    for (int i = 0; i < 100; i++)
        if (sigsetjmp(back, 1) == 0)
            *(volatile int *)(uintptr_t)(16 + 4096 * i) = 1;
    printf("handled: %d\n", calls);
    ask("after jumps", SIGSEGV);
    signal(SIGSEGV, SIG_DFL);
}

static void children(void)
{
    int status;

    signal(SIGSEGV, plain);
    signal(SIGBUS, SIG_IGN);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        ask("a child has", SIGSEGV);
        signal(SIGSEGV, SIG_DFL);
        ask("a child has", SIGSEGV);
        ask("a child has", SIGBUS);
        (void)fflush(stdout);
        raise(SIGSEGV);
        _exit(1);
    }
    waitpid(child, &status, 0);
    printf("fork: %x\n", (unsigned)status);
    child = vfork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        syscall(SYS_tgkill, getpid(), getpid(), SIGBUS);
        _exit(1);
    }
    waitpid(child, &status, 0);
    printf("vfork: %x\n", (unsigned)status);
    ask("the parent has", SIGSEGV);
    ask("the parent has", SIGBUS);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    printf("system: %x\n", (unsigned)system("kill -SEGV $$"));
}

static void *toggle(void *handler)
{
    struct sigaction action = {.sa_handler = (void (*)(int))handler};
    struct sigaction before;
    long strange = 0;

    for (int i = 0; i < 20000; i++) {
        if (i % 3 == 0)
            before.sa_handler = signal(SIGILL, (void (*)(int))handler);
        else
            sigaction(SIGILL, i % 3 == 1 ? &action : NULL, &before);
        strange += before.sa_handler != SIG_DFL && before.sa_handler != plain && before.sa_handler != jumping;
    }
    return (void *)strange;
}

static void race(void)
{
    pthread_t threads[3];
    void (*const handlers[3])(int) = {plain, jumping, SIG_DFL};
    void *strange[3];

    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, toggle, (void *)handlers[i]);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], &strange[i]);
    printf("race: %ld %ld %ld strange answers\n", (long)strange[0], (long)strange[1], (long)strange[2]);
    signal(SIGILL, SIG_DFL);
}

int main(int argc, char **argv)
{
    pthread_t thread;

    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    own_stack = malloc(65536);
    if (argc > 1 && strcmp(argv[1], "late") == 0)
        for (int i = 0; i < SIGNALS; i++)
            signal(signals[i], i % 2 ? plain : SIG_DFL);
    if (socket(AF_INET, SOCK_STREAM, 0) < 0)
        err(1, "socket");
    for (int i = 0; i < SIGNALS; i++)
        by_sigaction(signals[i]);
    for (int i = 0; i < SIGNALS; i++)
        by_others(signals[i]);
    by_mistake();
    handled();
    race();
    children();
    alternate_stacks("the first thread");
    if (pthread_create(&thread, NULL, alternate_stacks, "another thread") != 0 || pthread_join(thread, NULL) != 0)
        errx(1, "thread");
    return 0;
}
