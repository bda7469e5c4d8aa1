/* SPDX-License-Identifier: Apache-2.0 */
/* Where in the program, and in what circumstances, the fault happens. */
#include "crash.h"

#include <dlfcn.h>
#include <err.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, COROUTINE = 4 * PAGE, AT_ONCE = 64, TWENTY = 20, CROWD = 199, SMALL_SIGNAL_STACK = 2048 };

enum crash_moment crash_moment;

static pthread_t start_thread_with(const pthread_attr_t *attributes, void *(*run)(void *))
{
    pthread_t thread;

    if (pthread_create(&thread, attributes, run, NULL) != 0)
        errx(1, "thread");
    return thread;
}

static void *sleep_on(void *arg)
{
    for (;;)
        (void)pause();
    return arg;
}

void crash_sleepers(int count)
{
    for (int i = 0; i < count; i++)
        (void)start_thread_with(NULL, sleep_on);
}

static void *in_thread(void *arg)
{
    crash_fault();
    return arg;
}

static void thread_place(void)
{
    (void)pthread_join(start_thread_with(NULL, in_thread), NULL);
}

static void small_thread_place(void)
{
    pthread_attr_t attributes;

    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
    (void)pthread_join(start_thread_with(&attributes, in_thread), NULL);
}

/* Memory with an inaccessible page before it: stacks grow down. */
static char *guarded(size_t size)
{
    char *memory = mmap(NULL, PAGE + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED || mprotect(memory, PAGE, PROT_NONE) != 0)
        err(1, "stack");
    return memory + PAGE;
}

static void coroutine_place(void)
{
    static ucontext_t outside, inside;

    (void)getcontext(&inside);
    inside.uc_stack = (stack_t){.ss_sp = guarded(COROUTINE), .ss_size = COROUTINE};
    inside.uc_link = &outside;
    makecontext(&inside, crash_fault, 0);
    (void)swapcontext(&outside, &inside);
}

/* A signal stack that the kernel accepts, and on which newer processors' frames have no room. */
static void small_signal_stack_place(void)
{
    stack_t stack = {.ss_sp = guarded(PAGE), .ss_size = SMALL_SIGNAL_STACK};

    if (sigaltstack(&stack, NULL) != 0)
        err(1, "sigaltstack");
    crash_fault();
}

static void print_end(pid_t child)
{
    char line[64];
    int status;

    if (child < 0 || waitpid(child, &status, 0) != child)
        err(1, "child");
    (void)snprintf(line, sizeof line, "child: status %#x", (unsigned)status);
    crash_say(line);
}

static void fork_place(void)
{
    pid_t child = fork();

    if (child == 0) {
        crash_fault();
        _exit(0);
    }
    print_end(child);
}

static void vfork_place(void)
{
    pid_t child = vfork();

    if (child == 0) {
        crash_fault();
        _exit(0);
    }
    print_end(child);
}

static int compare(const void *left, const void *right)
{
    crash_fault();
    return *(const int *)left - *(const int *)right;
}

static void qsort_place(void)
{
    int numbers[] = {3, 1, 2};

    qsort(numbers, 3, sizeof numbers[0], compare);
}

static void destructor_place(void)
{
    crash_moment = CRASH_IN_DESTRUCTOR;
}

static void atexit_place(void)
{
    crash_moment = CRASH_IN_ATEXIT;
}

static pthread_key_t key;

static void end_of_thread(void *value)
{
    (void)value;
    crash_fault();
}

static void *with_value(void *arg)
{
    (void)pthread_setspecific(key, &key);
    return arg;
}

static void thread_exit_place(void)
{
    (void)pthread_key_create(&key, end_of_thread);
    (void)pthread_join(start_thread_with(NULL, with_value), NULL);
}

static void *load_libraries(void *arg)
{
    for (;;) {
        void *library = dlopen("libresolv.so.2", RTLD_NOW);
        if (library)
            (void)dlclose(library);
    }
    return arg;
}

/* Another thread has the loader's lock most of the time. */
static void dlopen_place(void)
{
    (void)start_thread_with(NULL, load_libraries);
    (void)usleep(20000);
    crash_fault();
}

static pthread_barrier_t together;

static void *in_step(void *arg)
{
    (void)pthread_barrier_wait(&together);
    crash_fault();
    return arg;
}

static void at_once_place(void)
{
    (void)pthread_barrier_init(&together, NULL, AT_ONCE);
    for (int i = 1; i < AT_ONCE; i++)
        (void)start_thread_with(NULL, in_step);
    (void)in_step(NULL);
}

static void twenty_place(void)
{
    crash_sleepers(TWENTY - 1);
    crash_fault();
}

static void crowd_place(void)
{
    crash_sleepers(CROWD);
    crash_fault();
}

static void blocked_place(void)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    crash_fault();
}

static void ignored_place(void)
{
    for (const int *number = crash_signals; *number; number++)
        (void)signal(*number, SIG_IGN);
    crash_fault();
}

/* The file that it was started from, a copy, is gone by the time of the crash. */
static void deleted_place(void)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

    if (length < 0)
        err(1, "/proc/self/exe");
    path[length] = '\0';
    if (unlink(path) != 0)
        err(1, "unlink %s", path);
    crash_fault();
}

/* crash.c looks for this one before main. */
static void constructor_place(void)
{
}

const struct crash_row crash_places[] = {
    {"main", crash_fault},
    {"thread", thread_place},
    {"small_thread", small_thread_place},
    {"coroutine", coroutine_place},
    {"small_signal_stack", small_signal_stack_place},
    {"fork", fork_place},
    {"vfork", vfork_place},
    {"qsort", qsort_place},
    {"constructor", constructor_place},
    {"destructor", destructor_place},
    {"atexit", atexit_place},
    {"thread_exit", thread_exit_place},
    {"dlopen", dlopen_place},
    {"at_once", at_once_place},
    {"twenty", twenty_place},
    {"crowd", crowd_place},
    {"blocked", blocked_place},
    {"ignored", ignored_place},
    {"deleted", deleted_place},
    {NULL, NULL},
};
