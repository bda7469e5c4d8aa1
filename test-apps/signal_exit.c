/* SPDX-License-Identifier: Apache-2.0 */
/* A fault is handled, in the way that is named; then the program exits from a function whose frame lies over the
 * handler's, and which has not written there. */
#include <err.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { UD2_LENGTH = 2, STATUS = 7 };

static sigjmp_buf back;
static ucontext_t elsewhere;

static void returning(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += UD2_LENGTH;
}

static void jumping(int number, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    siglongjmp(back, number);
}

static void switching(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    (void)context;
    setcontext(&elsewhere);
}

static void handle_by(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_flags = SA_SIGINFO, .sa_sigaction = handler};

    sigaction(SIGILL, &action, NULL);
}

__attribute__((noinline)) static void leave(void)
{
    volatile char untouched[65536];

    untouched[0] = 1;
    _exit(STATUS);
    untouched[1] = untouched[0];
}

int main(int argc, char **argv)
{
    volatile int switched = 0;

    if (argc < 2)
        errx(2, "usage: signal_exit return|jump|switch");
    if (strcmp(argv[1], "return") == 0) {
        handle_by(returning);
        __asm__ volatile("ud2");
    } else if (strcmp(argv[1], "jump") == 0) {
        handle_by(jumping);
        if (sigsetjmp(back, 1) == 0)
            __asm__ volatile("ud2");
    } else {
        handle_by(switching);
        getcontext(&elsewhere);
        if (switched++ == 0)
            __asm__ volatile("ud2");
    }
    leave();
}
