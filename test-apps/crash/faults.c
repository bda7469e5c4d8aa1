/* SPDX-License-Identifier: Apache-2.0 */
/* What goes wrong. Each function is named as its row: the tests look for the name in the crashed thread's frames. */
#undef NDEBUG
#undef _FORTIFY_SOURCE
#define _FORTIFY_SOURCE 2
#include "crash.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, NONCANONICAL_WORDS = 8 };

/* What the compiler must not see through. */
static int *volatile nowhere;
static volatile int zero;
static volatile size_t much = 64;
static const uintptr_t noncanonical = 0x4141414141414141;

static void call(uintptr_t address)
{
    void (*volatile function)(void);

    memcpy((void *)&function, &address, sizeof function);
    function();
}

static void null_read(void)
{
    zero = *nowhere;
}

static void null_write(void)
{
    *nowhere = 1;
}

static void null_call(void)
{
    call(0);
}

static void heap_jump(void)
{
    char *volatile code = malloc(64);

    memset(code, 0xc3, 64); /* ret: but for the protection it would do */
    call((uintptr_t)code);
}

static void noncanonical_read(void)
{
    zero = *(volatile int *)noncanonical;
}

static void noncanonical_jump(void)
{
    call(noncanonical);
}

static void constant_write(void)
{
    static const char text[] = "constant";
    volatile char *volatile place = (volatile char *)(uintptr_t)text;

    *place = 'k';
}

static int overflow_deeper(volatile char *above)
{
    volatile char space[1024];

    space[0] = *above;
    if (much == 0)
        return 0;
    return overflow_deeper(space) + space[0];
}

static void overflow(void)
{
    volatile char first = 0;

    zero = overflow_deeper(&first);
}

__attribute__((no_stack_protector)) static void smashed_return(void)
{
    volatile uintptr_t *frame = __builtin_frame_address(0);

    for (int i = 1; i <= NONCANONICAL_WORDS; i++)
        frame[i] = noncanonical;
}

/* libc sees a heap that is broken while it holds the heap's lock, which it takes when there is another thread. */
static void malloc_lock(void)
{
    size_t words = (size_t)PAGE * 4 / sizeof(size_t) + 1;
    volatile size_t *volatile block;
    void *volatile more;

    crash_sleepers(1);
    block = malloc(words * sizeof(size_t));
    block[words] = SIZE_MAX - 15; /* where the size of the free rest stands */
    more = malloc((size_t)PAGE * 8);
    (void)more;
}

static void double_free(void)
{
    void *volatile block = malloc(100);

    free(block);
    free(block);
}

static void failed_assert(void)
{
    assert(zero == 1 && "one is zero");
}

static void fortify(void)
{
    char buffer[8];

    memset(buffer, 'f', much);
    crash_say(buffer);
}

static void fill(volatile char *buffer)
{
    for (size_t i = 0; i < much / 2; i++)
        buffer[i] = 's';
}

static void stack_protector(void)
{
    volatile char buffer[16];

    fill(buffer);
}

static void divide(void)
{
    zero = (int)much / zero;
}

static void ud2(void)
{
    __asm__ volatile("ud2");
}

static void int3(void)
{
    __asm__ volatile("int3");
}

static void cut_file(void)
{
    int file = open("cut.file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    volatile char *bytes;

    if (file < 0 || ftruncate(file, PAGE) != 0)
        err(1, "cut.file");
    bytes = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED || ftruncate(file, 0) != 0)
        err(1, "cut.file");
    zero = bytes[0];
}

/* A call that the program's own filter forbids: the kernel sends SIGSYS. */
static void forbidden_call(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof code / sizeof code[0], .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        err(1, "seccomp");
    (void)getppid();
}

static void call_abort(void)
{
    abort();
}

static void send_abort(void)
{
    (void)raise(SIGABRT);
}

static void send_raise(void)
{
    (void)raise(SIGSYS);
}

static void send_kill(void)
{
    (void)kill(getpid(), SIGBUS);
}

static void send_tgkill(void)
{
    (void)syscall(SYS_tgkill, getpid(), gettid(), SIGFPE);
}

static void send_sigqueue(void)
{
    (void)sigqueue(getpid(), SIGILL, (union sigval){.sival_int = 42});
}

/* Until the signal has done its work; not longer than any test waits. */
static void await_death(void)
{
    for (int i = 0; i < 20; i++)
        (void)sleep(1);
}

/* Until the process's main thread sleeps: in await_death(), for there is nothing else that it waits for. */
static void await_sleep(pid_t pid)
{
    char path[32], text[256] = "";

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    for (int i = 0; i < 20000 && !strstr(text, ") S "); i++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = read(fd, text, sizeof(text) - 1);

        text[length > 0 ? length : 0] = '\0';
        (void)close(fd);
        (void)usleep(1000);
    }
}

static void *kill_main(void *arg)
{
    pthread_t main_thread = *(pthread_t *)arg;

    await_sleep(getpid());
    (void)pthread_kill(main_thread, SIGTRAP);
    await_death();
    return NULL;
}

static void send_other_thread(void)
{
    pthread_t self = pthread_self(), other;

    if (pthread_create(&other, NULL, kill_main, &self) != 0)
        err(1, "thread");
    await_death();
}

static void send_other_process(void)
{
    pid_t parent = getpid(), child = fork();

    if (child == 0) {
        await_sleep(parent);
        (void)kill(parent, SIGSEGV);
        _exit(0);
    }
    await_death();
}

/* By who isn't asked to die by others: the shell's way to end a server. */
static void send_term(void)
{
    (void)kill(getpid(), SIGTERM);
    await_death();
}

static void send_sigkill(void)
{
    (void)kill(getpid(), SIGKILL);
    await_death();
}

static void none(void)
{
}

const struct crash_row crash_faults[] = {
    {"null_read", null_read},
    {"null_write", null_write},
    {"null_call", null_call},
    {"heap_jump", heap_jump},
    {"noncanonical_read", noncanonical_read},
    {"noncanonical_jump", noncanonical_jump},
    {"constant_write", constant_write},
    {"overflow", overflow},
    {"smashed_return", smashed_return},
    {"malloc_lock", malloc_lock},
    {"double_free", double_free},
    {"failed_assert", failed_assert},
    {"fortify", fortify},
    {"stack_protector", stack_protector},
    {"divide", divide},
    {"ud2", ud2},
    {"int3", int3},
    {"cut_file", cut_file},
    {"forbidden_call", forbidden_call},
    {"call_abort", call_abort},
    {"send_abort", send_abort},
    {"send_raise", send_raise},
    {"send_kill", send_kill},
    {"send_tgkill", send_tgkill},
    {"send_sigqueue", send_sigqueue},
    {"send_other_thread", send_other_thread},
    {"send_other_process", send_other_process},
    {"send_term", send_term},
    {"send_sigkill", send_sigkill},
    {"none", none},
    {NULL, NULL},
};
