/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/crash_actions.h"

#include "preload/sys.h"
#include "tests/support/shim_core.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* Of the signals of a crash, cmocka has handlers of its own for all but SIGABRT and SIGTRAP. */

/* What the kernel has, past libc and past us. */
struct kernel_action {
    void (*handler)(int);
    uint64_t flags;
    void (*restorer)(void);
    uint64_t mask;
};

static struct kernel_action kernel_has(int signal)
{
    struct kernel_action action;

    assert_int_equal(sys_call4(SYS_rt_sigaction, signal, 0, (long)&action, 8), 0);
    return action;
}

static void handler(int signal)
{
    (void)signal;
}

static struct sigaction view(int signal)
{
    struct sigaction action = {0};

    assert_int_equal(crash_sigaction(signal, NULL, &action), 0);
    return action;
}

static void set(int signal, void (*to)(int), int flags)
{
    struct sigaction action = {.sa_handler = to, .sa_flags = flags};

    assert_int_equal(crash_sigaction(signal, &action, NULL), 0);
}

static void test_crash_actions_are_not_ours_before(void **state)
{
    (void)state;
    assert_false(crash_owns(SIGSEGV));
    assert_ptr_equal(kernel_has(SIGABRT).handler, SIG_DFL);
    assert_int_equal(sigaction(SIGTRAP, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART}, NULL), 0);
    crash_install();
    crash_install();
}

static void test_crash_actions_keep_what_was_set(void **state)
{
    (void)state;
    assert_true(crash_owns(SIGSEGV));
    assert_false(crash_owns(SIGUSR1));
    assert_false(crash_owns(0) || crash_owns(-1) || crash_owns(64) || crash_owns(1000));
    assert_ptr_not_equal(kernel_has(SIGABRT).handler, SIG_DFL);
    assert_ptr_equal(view(SIGABRT).sa_handler, SIG_DFL);
    assert_int_equal(view(SIGABRT).sa_flags, 0);
    assert_ptr_not_equal(kernel_has(SIGTRAP).handler, handler);
    assert_ptr_equal(view(SIGTRAP).sa_handler, handler);
    assert_int_equal(view(SIGTRAP).sa_flags & SA_RESTART, SA_RESTART);
    set(SIGABRT, SIG_IGN, 0);
    assert_ptr_equal(kernel_has(SIGABRT).handler, SIG_IGN);
    assert_ptr_equal(view(SIGABRT).sa_handler, SIG_IGN);
    set(SIGABRT, SIG_DFL, 0);
}

static void test_crash_actions_hide_some_flags(void **state)
{
    const unsigned asked = SA_ONSTACK | SA_NODEFER | SA_RESETHAND;

    (void)state;
    set(SIGTRAP, handler, (int)asked);
    assert_int_equal(kernel_has(SIGTRAP).flags & asked, SA_ONSTACK | SA_NODEFER);
    assert_int_equal((unsigned)view(SIGTRAP).sa_flags & asked, asked);

    assert_int_equal(kernel_has(SIGABRT).flags & asked, SA_ONSTACK);
    crash_avoid_stacks();
    assert_int_equal(kernel_has(SIGABRT).flags & asked, 0);
    assert_int_equal((unsigned)view(SIGABRT).sa_flags & asked, 0);
    assert_int_equal(kernel_has(SIGTRAP).flags & asked, SA_ONSTACK | SA_NODEFER);
}

static void test_crash_actions_give_one_stub_to_one_action(void **state)
{
    (void)state;
    set(SIGTRAP, handler, SA_NODEFER);
    struct kernel_action first = kernel_has(SIGTRAP);
    set(SIGTRAP, SIG_DFL, 0);
    set(SIGABRT, handler, SA_NODEFER);
    assert_ptr_equal(kernel_has(SIGABRT).handler, first.handler);
    assert_ptr_equal(crash_seen_handler(first.handler), handler);
    assert_ptr_equal(crash_seen_handler(handler), handler);

    /* Who has read the stub past us may put it back. */
    set(SIGTRAP, first.handler, SA_NODEFER);
    assert_ptr_equal(view(SIGTRAP).sa_handler, handler);
    set(SIGTRAP, SIG_DFL, 0);
    set(SIGABRT, SIG_DFL, 0);
}

static void test_crash_actions_are_adopted(void **state)
{
    (void)state;
    assert_ptr_not_equal(signal(SIGTRAP, handler), SIG_ERR); /* libc's own */
    assert_ptr_equal(kernel_has(SIGTRAP).handler, handler);
    crash_adopt(SIGTRAP);
    assert_ptr_not_equal(kernel_has(SIGTRAP).handler, handler);
    assert_ptr_equal(view(SIGTRAP).sa_handler, handler);
    set(SIGTRAP, SIG_DFL, 0);
}

static void test_crash_actions_emulate_a_handler_for_once(void **state)
{
    (void)state;
    set(SIGTRAP, handler, (int)SA_RESETHAND);
    struct kernel_action entered = kernel_has(SIGTRAP);
    uint32_t number = 0;

    while (crash_actions[number].handler != handler || !(crash_actions[number].flags & (uint32_t)SA_RESETHAND) ||
           crash_actions[number].flags & SA_NODEFER)
        number++;
    crash_reset_action(SIGTRAP, number + 1);
    assert_ptr_equal(view(SIGTRAP).sa_handler, SIG_DFL);
    assert_int_equal(view(SIGTRAP).sa_flags & (int)SA_RESETHAND, (int)SA_RESETHAND);
    assert_ptr_not_equal(kernel_has(SIGTRAP).handler, entered.handler);

    /* Another thread has set something in between: that was later. */
    set(SIGTRAP, handler, SA_NODEFER);
    crash_reset_action(SIGTRAP, number + 1);
    assert_ptr_equal(view(SIGTRAP).sa_handler, handler);
    set(SIGTRAP, SIG_DFL, 0);
}

static void test_crash_actions_tell_errors(void **state)
{
    struct sigaction action = {0};

    (void)state;
    errno = 0;
    assert_int_equal(crash_sigaction(SIGKILL, &action, NULL), -1);
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_int_equal(crash_sigaction(65, NULL, &action), -1);
    assert_int_equal(errno, EINVAL);
}

/* More actions than there are stubs: the rest is not followed, and works. */
static void test_crash_actions_run_out(void **state)
{
    char *code = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    for (size_t i = 0; i < 2 * CRASH_ACTIONS_MAX; i++) {
        void (*own)(int) = (void (*)(int))(void *)(code + i);

        set(SIGTRAP, own, 0);
        assert_ptr_equal(view(SIGTRAP).sa_handler, own);
    }
    assert_ptr_equal(kernel_has(SIGTRAP).handler, code + 2 * CRASH_ACTIONS_MAX - 1);
    set(SIGTRAP, SIG_DFL, 0);
    assert_ptr_equal(view(SIGTRAP).sa_handler, SIG_DFL);
}

static void test_crash_actions_are_given_back(void **state)
{
    (void)state;
    set(SIGTRAP, handler, SA_NODEFER);
    crash_give_back();
    assert_false(crash_owns(SIGABRT));
    assert_ptr_equal(kernel_has(SIGABRT).handler, SIG_DFL);
    assert_ptr_equal(kernel_has(SIGTRAP).handler, handler);
    crash_install(); /* once and for ever */
    assert_ptr_equal(kernel_has(SIGABRT).handler, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_actions_are_not_ours_before),
        cmocka_unit_test(test_crash_actions_keep_what_was_set),
        cmocka_unit_test(test_crash_actions_hide_some_flags),
        cmocka_unit_test(test_crash_actions_give_one_stub_to_one_action),
        cmocka_unit_test(test_crash_actions_are_adopted),
        cmocka_unit_test(test_crash_actions_emulate_a_handler_for_once),
        cmocka_unit_test(test_crash_actions_tell_errors),
        cmocka_unit_test(test_crash_actions_run_out),
        cmocka_unit_test(test_crash_actions_are_given_back),
    };

    if (!shim_core_init((char *const[]){NULL}))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
