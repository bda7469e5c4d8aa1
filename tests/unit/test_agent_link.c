/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/link.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { KEEPER, WORKER };

static struct link_message message;

static int open_link(void **state)
{
    static int ends[2];

    *state = ends;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends);
}

static int close_link(void **state)
{
    int *ends = *state;

    (void)close(ends[KEEPER]);
    (void)close(ends[WORKER]);
    return 0;
}

static void say(int end, uint32_t type, const int *fd)
{
    const struct link_packet packet = {.type = type, .length = 3};

    assert_int_equal(0, link_send(end, &packet, "key", fd, fd ? 1 : 0));
}

static void test_link_hears_who_left_without_listening(void **state)
{
    int *ends = *state;

    say(ends[KEEPER], LINK_STOP, NULL);
    say(ends[WORKER], LINK_KEEP_JOURNAL, &ends[WORKER]);
    say(ends[WORKER], LINK_DROP_JOURNAL, NULL);
    (void)close(ends[WORKER]);
    assert_int_equal(1, link_receive(ends[KEEPER], &message));
    assert_int_equal(LINK_KEEP_JOURNAL, message.packet.type);
    assert_int_equal(1, message.fd_count);
    (void)close(message.fds[0]);
    assert_int_equal(1, link_receive(ends[KEEPER], &message));
    assert_int_equal(LINK_DROP_JOURNAL, message.packet.type);
    assert_int_equal(0, link_receive(ends[KEEPER], &message));
}

/* Let this process have no more descriptors than now. */
static struct rlimit forbid_descriptors(void)
{
    struct rlimit before, none;

    assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &before));
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &none));
    return before;
}

static void test_link_keeps_what_came_without_its_descriptors(void **state)
{
    int *ends = *state, fds[LINK_FDS_MAX];
    struct rlimit before;
    unsigned fd_count = 9;
    char bytes[sizeof(struct link_packet) + 3];
    long length;
    int result;

    say(ends[KEEPER], LINK_JOURNAL, &ends[KEEPER]);
    say(ends[KEEPER], LINK_JOURNAL, &ends[KEEPER]);
    say(ends[KEEPER], LINK_READY, NULL);
    before = forbid_descriptors();
    result = link_receive(ends[WORKER], &message);
    length = link_receive_bytes(ends[WORKER], bytes, sizeof(bytes), fds, &fd_count);
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &before));
    assert_int_equal(1, result);
    assert_true(message.is_cut);
    assert_int_equal(0, message.fd_count);
    assert_memory_equal("key", message.bytes, 3);
    assert_int_equal(-EMFILE, length);
    assert_int_equal(0, fd_count);
    assert_int_equal(1, link_receive(ends[WORKER], &message));
    assert_false(message.is_cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_link_hears_who_left_without_listening, open_link, close_link),
        cmocka_unit_test_setup_teardown(test_link_keeps_what_came_without_its_descriptors, open_link, close_link),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
