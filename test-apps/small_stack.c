/* SPDX-License-Identifier: Apache-2.0 */
/* Does socket I/O where stacks are small, each with a page behind it that faults: a coroutine of 4 KiB, an alternate
 * signal stack of 8 KiB, a thread of the smallest size allowed. */
#include <err.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096 };

/* No buffers on the stack: what is used there is the calls' own. */
static int ends[2];
static char bytes[64];
static int good; /* calls that did as they should */
static struct iovec part = {bytes, 5};
static struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

static void talk(void)
{
    good = write(ends[0], "GET /", 5) == 5;
    good += read(ends[1], bytes, sizeof bytes) == 5;
    good += send(ends[0], "GET /", 5, 0) == 5;
    good += recv(ends[1], bytes, sizeof bytes, 0) == 5;
    good += writev(ends[0], &part, 1) == 5;
    good += readv(ends[1], &part, 1) == 5;
    good += sendmsg(ends[0], &message, 0) == 5;
    good += recvmsg(ends[1], &message, 0) == 5;
    good += close(dup(ends[0])) == 0;
}

/* Memory with an inaccessible page before it: stacks grow down. */
static char *guarded(size_t size)
{
    char *memory = mmap(NULL, PAGE + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED || mprotect(memory, PAGE, PROT_NONE) != 0)
        err(1, "stack");
    return memory + PAGE;
}

static void on_signal(int number)
{
    (void)number;
    talk();
}

static void on_signal_stack(size_t size)
{
    stack_t stack = {.ss_sp = guarded(size), .ss_size = size};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};

    if (sigaltstack(&stack, NULL) != 0 || sigaction(SIGUSR1, &action, NULL) != 0)
        err(1, "sigaltstack");
    (void)raise(SIGUSR1);
}

static void in_coroutine(size_t size)
{
    static ucontext_t outside, inside;

    if (getcontext(&inside) != 0)
        err(1, "getcontext");
    inside.uc_stack = (stack_t){.ss_sp = guarded(size), .ss_size = size};
    inside.uc_link = &outside;
    makecontext(&inside, talk, 0);
    if (swapcontext(&outside, &inside) != 0)
        err(1, "swapcontext");
}

static void *in_thread(void *arg)
{
    talk();
    return arg;
}

static void in_small_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;

    (void)pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) != 0 ||
        pthread_create(&thread, &attributes, in_thread, NULL) != 0)
        err(1, "thread");
    (void)pthread_join(thread, NULL);
}

int main(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        err(1, "socketpair");
    in_coroutine(PAGE);
    (void)printf("coroutine: %d of 9\n", good);
    on_signal_stack((size_t)2 * PAGE);
    (void)printf("signal stack: %d of 9\n", good);
    in_small_thread();
    (void)printf("thread: %d of 9\n", good);
    return 0;
}
