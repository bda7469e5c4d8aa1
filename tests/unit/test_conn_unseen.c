/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of which a part goes by where no hook sees it: other processes, io_uring, stdio, system calls by
 * assembly. No span is better than a wrong one, and what is lost is counted. */
#include "preload/conn.h"

#include "preload/fdtab.h"
#include "preload/process.h"
#include "preload/ring.h"
#include "preload/sys.h"
#include "tests/support/shim_traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A TCP connection over the loopback: element 0 is the server's end. */
static void tcp_pair(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    ends[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(ends[1], (struct sockaddr *)&address, length), 0);
    ends[0] = accept(listener, NULL, NULL);
    assert_true(ends[0] >= 0);
    close(listener);
}

/* Happens when the kernel is asked a second time how much was written; NULL: nothing does. */
static void (*meanwhile)(void);
static unsigned asked_count;

/* In socket.c's place. */
bool __real_socket_written(int fd, uint64_t *ret_bytes);
bool __wrap_socket_written(int fd, uint64_t *ret_bytes);

bool __wrap_socket_written(int fd, uint64_t *ret_bytes)
{
    bool is_known = __real_socket_written(fd, ret_bytes);

    if (meanwhile && ++asked_count == 2)
        meanwhile();
    return is_known;
}

static void close_pair(const int ends[2])
{
    conn_closing(ends[0]);
    close(ends[0]);
    close(ends[1]);
}

/* Write without the shim's knowledge. */
static void write_unseen(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void write_seen(int fd, const char *text)
{
    write_unseen(fd, text);
    traffic_send(fd, text);
}

static void test_conn_unseen_says_no_response_only_if_none_was_written(void **state)
{
    int ends[2];

    (void)state;
    tcp_pair(ends);
    conn_accepted(TRAFFIC_LISTENER, ends[0], NULL, 0);
    traffic_receive(ends[0], TRAFFIC_GET);
    write_seen(ends[0], TRAFFIC_OK);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    traffic_receive(ends[0], TRAFFIC_GET);
    close_pair(ends);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 0);
}

static void test_conn_unseen_counts_a_request_answered_by_another_way(void **state)
{
    int ends[2];

    (void)state;
    tcp_pair(ends);
    conn_accepted(TRAFFIC_LISTENER, ends[0], NULL, 0);
    traffic_receive(ends[0], TRAFFIC_GET);
    write_unseen(ends[0], TRAFFIC_OK);
    traffic_receive(ends[0], TRAFFIC_GET);
    traffic_receive_end(ends[0]);
    close_pair(ends);
    traffic_assert_no_span();
    traffic_assert_nothing_open();
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 2);
}

/* The head by a hook's call, the body by another way. */
static void test_conn_unseen_counts_a_response_that_goes_on_unseen(void **state)
{
    int ends[2];

    (void)state;
    tcp_pair(ends);
    conn_accepted(TRAFFIC_LISTENER, ends[0], NULL, 0);
    traffic_receive(ends[0], TRAFFIC_GET);
    write_seen(ends[0], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    write_unseen(ends[0], "hi");
    close_pair(ends);
    traffic_assert_no_span();
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 1);
}

/* What was written before a socket was adopted is none of its requests'. */
static void test_conn_unseen_begins_with_the_adoption(void **state)
{
    int ends[2];

    (void)state;
    tcp_pair(ends);
    write_unseen(ends[0], "somebody else's bytes");
    traffic_receive(ends[0], TRAFFIC_GET);
    close_pair(ends);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 0);
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* From now on this process has had two threads. */
static void make_thread(void)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, do_nothing, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static int exit_ends[2];

static void hook_goes_on(void)
{
    traffic_send(exit_ends[0], TRAFFIC_OK);
}

/* The process ends while another thread is between its call and what the hook makes of it. */
static void test_conn_unseen_exit_waits_for_hooks(void **state)
{
    (void)state;
    make_thread();
    tcp_pair(exit_ends);
    conn_accepted(TRAFFIC_LISTENER, exit_ends[0], NULL, 0);
    traffic_receive(exit_ends[0], TRAFFIC_GET);
    write_unseen(exit_ends[0], TRAFFIC_OK);
    asked_count = 0;
    meanwhile = hook_goes_on;
    conn_at_exit();
    meanwhile = NULL;
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 0);
    close_pair(exit_ends);
}

/* No thread does. */
static void test_conn_unseen_exit_does_not_wait_for_ever(void **state)
{
    (void)state;
    make_thread();
    tcp_pair(exit_ends);
    conn_accepted(TRAFFIC_LISTENER, exit_ends[0], NULL, 0);
    traffic_receive(exit_ends[0], TRAFFIC_GET);
    write_unseen(exit_ends[0], TRAFFIC_OK);
    conn_at_exit();
    traffic_assert_no_span();
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 1);
    close_pair(exit_ends);
}

/* In a sandbox the kernel is not asked, and what hooks saw must do. */
static void test_conn_unseen_asks_nothing_in_a_sandbox(void **state)
{
    int ends[2];

    (void)state;
    tcp_pair(ends);
    conn_accepted(TRAFFIC_LISTENER, ends[0], NULL, 0);
    traffic_receive(ends[0], TRAFFIC_GET);
    write_unseen(ends[0], TRAFFIC_OK);
    atomic_store(&process_sandboxed, 1);
    close_pair(ends);
    atomic_store(&process_sandboxed, 0);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);
}

/* A number that is another thing now, though nobody closed it: its connection's end is not known. */
static void test_conn_unseen_close_makes_no_span(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
    traffic_receive(TRAFFIC_FD, "GET /two HTTP/1.1\r\n\r\n");
    conn_forget(TRAFFIC_FD);
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
    traffic_receive(TRAFFIC_FD, "GET /three HTTP/1.1\r\n\r\n");
    conn_ignore(TRAFFIC_FD);
    traffic_assert_no_span();
    traffic_assert_nothing_open();
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 3);
}

/* The same while another descriptor still names it, and between requests: nothing is lost. */
static void test_conn_unseen_close_of_a_copy_loses_nothing(void **state)
{
    (void)state;
    conn_duplicated(TRAFFIC_FD, TRAFFIC_OTHER_FD);
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    conn_forget(TRAFFIC_FD);
    traffic_send(TRAFFIC_OTHER_FD, TRAFFIC_OK);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    conn_forget(TRAFFIC_OTHER_FD);
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 0);
}

static void test_conn_unseen_when_passed_within_a_request(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    conn_passed(TRAFFIC_FD);
    assert_false(traffic_captures(TRAFFIC_FD));
    conn_closing(TRAFFIC_FD);
    traffic_assert_no_span();
    traffic_assert_nothing_open();
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 1);
}

/* Between requests it is whoever's reads the next one: also ours again. */
static void test_conn_unseen_when_passed_between_requests(void **state)
{
    int ends[2];

    (void)state;
    tcp_pair(ends);
    conn_accepted(TRAFFIC_LISTENER, ends[0], NULL, 0);
    conn_passed(ends[0]);
    assert_int_equal(fdtab_value(fdtab_get(ends[0])), FDTAB_UNKNOWN);
    traffic_receive(ends[0], TRAFFIC_GET);
    write_seen(ends[0], TRAFFIC_OK);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    close_pair(ends);
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 0);
}

/* Who takes a connection over within a request answers it first. */
static void test_conn_unseen_request_is_answered_here(void **state)
{
    int ends[2];

    (void)state;
    tcp_pair(ends);
    write_seen(ends[0], TRAFFIC_OK);
    traffic_assert_no_span();
    traffic_receive(ends[0], TRAFFIC_GET);
    write_seen(ends[0], TRAFFIC_OK);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    close_pair(ends);
}

/* inetd: what is read from one standard descriptor is answered on another. */
static void test_conn_unseen_standard_descriptors_are_one(void **state)
{
    int ends[2], kept[3];

    (void)state;
    tcp_pair(ends);
    for (int fd = 0; fd <= 2; fd++) {
        kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 200);
        assert_int_equal(sys_call2(SYS_dup2, fd == 2 ? kept[0] : ends[0], fd), fd);
    }
    traffic_receive(0, TRAFFIC_GET);
    traffic_send(1, TRAFFIC_OK);
    for (int fd = 0; fd <= 2; fd++) {
        assert_int_equal(sys_call2(SYS_dup2, kept[fd], fd), fd);
        close(kept[fd]);
    }
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_int_equal(fdtab_value(fdtab_get(2)), FDTAB_UNKNOWN); /* a log file */
    conn_closing(0);
    conn_closing(1);
    close_pair(ends);
}

/* A stream (FILE) on a socket that nothing was known of, and on what is no socket. */
static void test_conn_unseen_streams_are_counted(void **state)
{
    struct conn_ref ref;
    int ends[2], file = open("/dev/null", O_RDWR);

    (void)state;
    tcp_pair(ends);
    assert_true(conn_capture(&ref, file));
    conn_give_up(&ref);
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 0);
    assert_true(conn_capture(&ref, ends[0]));
    conn_give_up(&ref);
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 1);
    assert_false(traffic_captures(ends[0]));
    assert_false(traffic_captures(file));
    conn_closing(file);
    close(file);
    close_pair(ends);
}

/* After its own shutdown(SHUT_RD) the program reads an end that says nothing of the client. */
static void test_conn_unseen_end_of_ones_own_making(void **state)
{
    struct conn_ref ref;

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn_shut_in(&ref);
    traffic_receive_end(TRAFFIC_FD);
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, traffic_setup, traffic_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_conn_unseen_says_no_response_only_if_none_was_written),
        TEST(test_conn_unseen_counts_a_request_answered_by_another_way),
        TEST(test_conn_unseen_counts_a_response_that_goes_on_unseen),
        TEST(test_conn_unseen_begins_with_the_adoption),
        TEST(test_conn_unseen_exit_waits_for_hooks),
        TEST(test_conn_unseen_exit_does_not_wait_for_ever),
        TEST(test_conn_unseen_asks_nothing_in_a_sandbox),
        TEST(test_conn_unseen_close_makes_no_span),
        TEST(test_conn_unseen_close_of_a_copy_loses_nothing),
        TEST(test_conn_unseen_when_passed_within_a_request),
        TEST(test_conn_unseen_when_passed_between_requests),
        TEST(test_conn_unseen_request_is_answered_here),
        TEST(test_conn_unseen_standard_descriptors_are_one),
        TEST(test_conn_unseen_streams_are_counted),
        TEST(test_conn_unseen_end_of_ones_own_making),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
