/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/foreign.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* In libc's place: this machine has no room for another thread. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *), void *argument)
{
    (void)thread;
    (void)attributes;
    (void)routine;
    (void)argument;
    return EAGAIN;
}

/* Who waits for the end of an answer sees it, and has read the answer before. */
static void test_foreign_hangs_up_without_a_thread(void **state)
{
    char answer[8];
    int ends[2];

    (void)state;
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends));
    assert_int_equal(2, send(ends[0], "ok", 2, 0));
    foreign_hang_up(ends[0]);
    assert_int_equal(2, recv(ends[1], answer, sizeof(answer), 0));
    assert_int_equal(0, recv(ends[1], answer, sizeof(answer), 0));
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_foreign_hangs_up_without_a_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
