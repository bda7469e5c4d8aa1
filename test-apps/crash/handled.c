/* SPDX-License-Identifier: Apache-2.0 */
/* Faults that a program handles, as runtimes of languages do, a given number of times: by a jump out of the handler, or
 * by mending what the fault was about. How long each took goes to standard error. */
#include <err.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static sigjmp_buf back;
static volatile char *page;
static volatile long handled;

static void on_jump(int number)
{
    (void)number;
    handled = handled + 1;
    siglongjmp(back, 1);
}

static void on_mend(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    handled = handled + 1;
    (void)mprotect(info->si_addr, PAGE, PROT_READ | PROT_WRITE);
}

static void by_jump(long count)
{
    struct sigaction action = {.sa_handler = on_jump};

    (void)sigaction(SIGSEGV, &action, NULL);
    for (volatile long i = 0; i < count; i++)
        if (sigsetjmp(back, 1) == 0)
            *page = 1;
}

static void by_mending(long count)
{
    struct sigaction action = {.sa_sigaction = on_mend, .sa_flags = SA_SIGINFO};

    (void)sigaction(SIGSEGV, &action, NULL);
    for (long i = 0; i < count; i++) {
        *page = 1;
        (void)mprotect((void *)page, PAGE, PROT_NONE);
    }
}

static double now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

int main(int argc, char **argv)
{
    double start = now_ns();
    long count = argc > 2 ? strtol(argv[2], NULL, 10) : 0;

    /* Between others, so that the kernel has the same work to do whatever is mapped around them. */
    page = mmap(NULL, (size_t)3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (argc < 3 || page == MAP_FAILED)
        errx(2, "usage: crasher_handled jump|mend COUNT");
    page += PAGE;
    if (strcmp(argv[1], "jump") == 0)
        by_jump(count);
    else
        by_mending(count);
    (void)printf("%ld faults were handled\n", handled);
    (void)fprintf(stderr, "%.0f ns each\n", (now_ns() - start) / (double)count);
    return 0;
}
