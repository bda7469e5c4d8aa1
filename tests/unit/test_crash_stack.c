/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/crash_stack.h"

#include "tests/support/shim_core.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* AddressSanitizer unmaps the alternate stack that a thread has at its end, whoever's it is: here no hook is
 * between. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "use_sigaltstack=0";
}

static stack_t kernel_has(void)
{
    stack_t stack;

    assert_int_equal(syscall(SYS_sigaltstack, NULL, &stack), 0);
    return stack;
}

static stack_t view(void)
{
    stack_t stack;

    memset(&stack, 0x5a, sizeof(stack));
    assert_int_equal(crash_sigaltstack(NULL, &stack), 0);
    return stack;
}

static void assert_none(stack_t stack)
{
    assert_int_equal(stack.ss_flags, SS_DISABLE);
    assert_null(stack.ss_sp);
    assert_int_equal(stack.ss_size, 0);
}

static void test_crash_stack_is_there_and_not_seen(void **state)
{
    (void)state;
    crash_stack_init();
    assert_int_equal(kernel_has().ss_flags, 0);
    assert_none(view());
}

/* A handler that needs more room faults. What the kernel is asked to read tells it without a fault. */
static void test_crash_stack_has_a_guard_below(void **state)
{
    const char *bottom = kernel_has().ss_sp;
    int pipe_fds[2];

    (void)state;
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(write(pipe_fds[1], bottom, 1), 1);
    errno = 0;
    assert_int_equal(write(pipe_fds[1], bottom - 1, 1), -1);
    assert_int_equal(errno, EFAULT);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void test_crash_stack_makes_way_for_the_programs(void **state)
{
    static char own[65536];
    void *ours = kernel_has().ss_sp;
    stack_t before = {0};

    (void)state;
    assert_int_equal(crash_sigaltstack(&(stack_t){.ss_sp = own, .ss_size = sizeof(own)}, &before), 0);
    assert_none(before);
    assert_ptr_equal(kernel_has().ss_sp, own);
    assert_ptr_equal(view().ss_sp, own);

    assert_int_equal(crash_sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, &before), 0);
    assert_ptr_equal(before.ss_sp, own);
    assert_ptr_equal(kernel_has().ss_sp, ours);
    assert_none(view());

    errno = 0;
    assert_int_equal(crash_sigaltstack(&(stack_t){.ss_sp = own, .ss_size = 100}, NULL), -1);
    assert_int_equal(errno, ENOMEM);
    assert_ptr_equal(kernel_has().ss_sp, ours);
}

static void *thread(void *number)
{
    crash_stack_use((uint32_t)(uintptr_t)number);
    return kernel_has().ss_sp;
}

static void *live_thread(void *gate)
{
    pthread_barrier_wait(gate);
    pthread_barrier_wait(gate);
    return NULL;
}

static void test_crash_stack_of_a_thread_that_is_gone_is_used_again(void **state)
{
    enum { THREADS = 500 };
    uint32_t highest = 0;

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        uint32_t number = crash_stack_take();
        pthread_t made;
        void *stack;

        assert_int_not_equal(number, 0);
        highest = number > highest ? number : highest;
        assert_int_equal(pthread_create(&made, NULL, thread, (void *)(uintptr_t)number), 0);
        assert_int_equal(pthread_join(made, &stack), 0);
        assert_non_null(stack);
    }
    assert_in_range(highest, 2, 40); /* join comes a moment before the kernel forgets the thread */
}

static void test_crash_stack_that_was_not_used_is_given_again(void **state)
{
    uint32_t numbers[8];

    (void)state;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 8; i++) {
            numbers[i] = crash_stack_take();
            for (int j = 0; j < i; j++)
                assert_int_not_equal(numbers[i], numbers[j]);
            assert_in_range(numbers[i], 2, 60);
        }
        for (int i = 0; i < 8; i++)
            crash_stack_put(numbers[i]);
    }
    crash_stack_put(0);
}

/* More than there are stacks: the rest has none. */
static void test_crash_stack_may_be_used_up(void **state)
{
    int taken = 0;
    pthread_barrier_t gate;
    pthread_t alive;

    (void)state;
    pthread_barrier_init(&gate, NULL, 2);
    assert_int_equal(pthread_create(&alive, NULL, live_thread, &gate), 0);
    pthread_barrier_wait(&gate);
    while (crash_stack_take() != 0)
        taken++;
    assert_in_range(taken, 4000, 4096);
    assert_int_equal(crash_stack_take(), 0);
    pthread_barrier_wait(&gate);
    assert_int_equal(pthread_join(alive, NULL), 0);
}

static void test_crash_stack_stays_with_a_forks_child(void **state)
{
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        crash_stack_after_fork();
        _exit(kernel_has().ss_flags == 0 && view().ss_flags == SS_DISABLE ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_stack_is_there_and_not_seen),
        cmocka_unit_test(test_crash_stack_has_a_guard_below),
        cmocka_unit_test(test_crash_stack_makes_way_for_the_programs),
        cmocka_unit_test(test_crash_stack_of_a_thread_that_is_gone_is_used_again),
        cmocka_unit_test(test_crash_stack_that_was_not_used_is_given_again),
        cmocka_unit_test(test_crash_stack_stays_with_a_forks_child),
        cmocka_unit_test(test_crash_stack_may_be_used_up),
    };

    if (!shim_core_init((char *const[]){NULL}))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
