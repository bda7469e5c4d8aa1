/* SPDX-License-Identifier: Apache-2.0 */
/* odd_stacks NAME: crashes with a stack that is hard to follow, or beside a thread that is hard to stop. Built without
 * optimisation: each function is a frame that test_unwind looks for. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static void write_null(void)
{
    __asm__ volatile("movl $1, 0");
}

static void in_handler(int number)
{
    write_null();
    (void)number;
}

static void before_signal(void)
{
    (void)signal(SIGUSR1, in_handler);
    (void)raise(SIGUSR1);
    __asm__ volatile("");
}

static void clock_to_nowhere(void)
{
    (void)clock_gettime(CLOCK_MONOTONIC, *(struct timespec *volatile *)&(struct timespec *){(void *)8});
    __asm__ volatile("");
}

/* Code without unwind tables, as a compiler at run time makes it: push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp;
 * ret */
static const uint8_t with_frame_pointer[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
/* push %rbx; mov $3,%ebp; call *%rdi; pop %rbx; ret */
static const uint8_t without_frame_pointer[] = {0x53, 0xbd, 3, 0, 0, 0, 0xff, 0xd7, 0x5b, 0xc3};
/* A frame that points to itself: push %rbp; mov %rsp,%rbp; mov %rbp,(%rbp); call *%rdi; pop; ret */
static const uint8_t circle[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0x6d, 0x00, 0xff, 0xd7, 0x5d, 0xc3};

static void call_through(const uint8_t *code, size_t size)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void (*volatile run)(void (*)(void));

    memcpy(memory, code, size);
    memcpy((void *)&run, &memory, sizeof(run));
    run(write_null);
    __asm__ volatile("");
}

static void by_frame_pointer(void)
{
    call_through(with_frame_pointer, sizeof(with_frame_pointer));
}

static void by_scan(void)
{
    call_through(without_frame_pointer, sizeof(without_frame_pointer));
}

static void in_circles(void)
{
    call_through(circle, sizeof(circle));
}

/* The stack pointer leads nowhere at all. */
static void lose_stack(void)
{
    __asm__ volatile("mov $0x1000, %rsp; mov $0x2000, %rbp; movl $1, 0");
}

static int deeper(int depth)
{
    volatile int more = depth + 1;

    return more ? deeper(more) + more : 0;
}

static void recurse(void)
{
    (void)deeper(1);
}

static int ready[2]; /* a pipe: a thread is where it should be */

/* The thread that calls vfork() does not stop until its child is gone. */
static void *wait_in_vfork(void *arg)
{
    pid_t child = vfork();

    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)!write(ready[1], "", 1);
        (void)sleep(60);
        _exit(0);
    }
    return arg;
}

static void crash_beside_vfork(void)
{
    pthread_t thread;
    char byte;

    (void)!pipe(ready);
    (void)pthread_create(&thread, NULL, wait_in_vfork, NULL);
    (void)!read(ready[0], &byte, 1);
    write_null();
}

static void *sleep_long(void *arg)
{
    (void)!write(ready[1], &(pid_t){gettid()}, sizeof(pid_t));
    (void)sleep(60);
    return arg;
}

/* In calls that nothing interrupts, some tenths of a second each. */
static void *read_long(void *arg)
{
    static char block[2 << 20];
    static struct iovec parts[1024];
    int fd = memfd_create("long", 0);

    (void)!ftruncate(fd, (off_t)2 << 30);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        parts[i] = (struct iovec){block, sizeof(block)};
    (void)!write(ready[1], "", 1);
    while (preadv(fd, parts, sizeof(parts) / sizeof(parts[0]), 0) > 0)
        ;
    return arg;
}

static void crash_beside_reading(void)
{
    pthread_t thread;
    char byte;

    (void)!pipe(ready);
    (void)pthread_create(&thread, NULL, read_long, NULL);
    (void)!read(ready[0], &byte, 1);
    write_null();
}

/* Has a thread that a debugger holds. */
static void crash_beside_traced(void)
{
    pthread_t thread;
    pid_t tid, tracer;
    char byte;

    (void)!pipe(ready);
    (void)pthread_create(&thread, NULL, sleep_long, NULL);
    (void)!read(ready[0], &tid, sizeof(tid));
    tracer = fork();
    if (tracer == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!ptrace(PTRACE_SEIZE, tid, NULL, NULL))
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)!write(ready[1], "", 1);
        (void)sleep(60);
        _exit(0);
    }
    (void)!read(ready[0], &byte, 1);
    write_null();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } rows[] = {
        {"before_signal", before_signal},
        {"clock_to_nowhere", clock_to_nowhere},
        {"by_frame_pointer", by_frame_pointer},
        {"by_scan", by_scan},
        {"in_circles", in_circles},
        {"lose_stack", lose_stack},
        {"recurse", recurse},
        {"crash_beside_vfork", crash_beside_vfork},
        {"crash_beside_traced", crash_beside_traced},
        {"crash_beside_reading", crash_beside_reading},
    };

    for (size_t i = 0; argc > 1 && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!strcmp(rows[i].name, argv[1]))
            rows[i].run();
    }
    return 2;
}
