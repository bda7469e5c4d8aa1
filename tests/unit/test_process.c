/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/process.h"

#include "preload/ids.h"
#include "preload/ring.h"
#include "preload/wire.h"
#include "tests/support/shim_core.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static pid_t plain_fork(void)
{
    return fork();
}

/* Past libc, and so past its fork handlers. */
static pid_t raw_clone(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/* In a child: what it finds before it has looked, and after. */
static int look_around(const struct wire_lane *parents, const uint8_t parents_next[8])
{
    uint8_t id[8];

    if (atomic_load(&process_page->valid) || atomic_load(&process_page->forks))
        return 1;
    process_check_fork();
    if (!atomic_load(&process_page->valid) || process_pid() != (uint32_t)syscall(SYS_getpid))
        return 2;
    if (ring_lane() == parents || !ring_lane() || (uint32_t)ring_lane()->owner != process_pid())
        return 3;
    ids_make_span(ids_next(), id);
    if (memcmp(id, parents_next, 8) == 0)
        return 4;
    process_check_fork(); /* once is enough */
    return ring_lane() == parents ? 5 : 0;
}

static void assert_child_is_cut_loose(pid_t (*make_child)(void))
{
    struct wire_ring *ring = shim_core_ring(2, 64, 64);
    struct wire_lane *lane = ring_lane();
    uint8_t next[8], seen[8];
    int channel[2], status;
    pid_t child;

    assert_ptr_equal(lane, shim_core_lane(ring, 0));
    atomic_store(&process_page->forks, 7);
    assert_int_equal(pipe(channel), 0);
    child = make_child();
    if (child == 0) {
        if (read(channel[0], seen, sizeof(seen)) != sizeof(seen))
            _exit(9);
        _exit(look_around(lane, seen));
    }
    ids_make_span(ids_next(), next); /* what a copy of our sequence would make */
    assert_int_equal(write(channel[1], next, sizeof(next)), sizeof(next));
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(process_page->forks, 7);
    assert_ptr_equal(ring_lane(), lane);
    close(channel[0]);
    close(channel[1]);
}

static void test_process_notices_any_fork(void **state)
{
    (void)state;
    assert_child_is_cut_loose(plain_fork);
    assert_child_is_cut_loose(raw_clone);
}

static void test_process_does_not_ask_in_a_sandbox(void **state)
{
    int status;
    pid_t child;

    (void)state;
    assert_int_equal(process_pid(), getpid());
    atomic_store(&process_sandboxed, 1);
    child = fork();
    if (child == 0) {
        process_check_fork();
        _exit(process_pid() != WIRE_PID_UNKNOWN);
    }
    atomic_store(&process_sandboxed, 0);
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process_notices_any_fork),
        cmocka_unit_test(test_process_does_not_ask_in_a_sandbox),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
