/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/proc.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char text[4096];

/* A child that has entered these namespaces; 0: it may not. */
static pid_t start_child(int namespaces)
{
    int ready[2];
    char is_entered = 0;

    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        is_entered = namespaces == 0 || unshare(namespaces) == 0;
        (void)!write(ready[1], &is_entered, 1);
        (void)pause();
    }
    (void)!read(ready[0], &is_entered, 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    if (is_entered)
        return child;
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    return 0;
}

static void end_child(pid_t child)
{
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}

static void test_proc_reads_in_the_root_of_a_process(void **state)
{
    pid_t child = start_child(0);

    (void)state;
    assert_true(proc_read_in_root(child, "etc/passwd", text, sizeof(text)) > 0);
    assert_true(proc_read_in_root(child, "etc", text, sizeof(text)) < 0);
    assert_string_equal(text, "");
    end_child(child);
}

/* Who is root there may have put anything in the place of a file. */
static void test_proc_reads_nothing_there_for_root_in_another_user_namespace(void **state)
{
    pid_t child = start_child(CLONE_NEWUSER);

    (void)state;
    if (child == 0 || geteuid() != 0) {
        if (child)
            end_child(child);
        print_message("only root is careful, and user namespaces are needed\n");
        skip();
    }
    assert_int_equal(proc_read_in_root(child, "etc/passwd", text, sizeof(text)), -EPERM);
    end_child(child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proc_reads_in_the_root_of_a_process),
        cmocka_unit_test(test_proc_reads_nothing_there_for_root_in_another_user_namespace),
    };

    return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
