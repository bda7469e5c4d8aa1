/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a connection: its descriptors, its end, the processes that share it. */
#include "preload/conn.h"

#include "preload/fdtab.h"
#include "preload/process.h"
#include "preload/ring.h"
#include "tests/support/shim_traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ends */

static void test_conn_ends_a_response_with_the_connection(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_send(TRAFFIC_FD, TRAFFIC_UNTIL_END "some bytes");
    traffic_assert_no_span();
    conn_closing(TRAFFIC_FD);
    assert_int_equal(traffic_assert_span("/one", 200, WIRE_ERROR_NONE).response_body_size, 10);
    traffic_assert_nothing_open();
}

static void test_conn_ends_a_response_with_a_half_close(void **state)
{
    struct conn_ref ref;

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_send(TRAFFIC_FD, TRAFFIC_UNTIL_END "some bytes");
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn_shut_out(&ref);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    conn_closing(TRAFFIC_FD);
    traffic_assert_nothing_open();
}

/* A half-close is no end of a response that has a length. */
static void test_conn_does_not_end_a_counted_response_early(void **state)
{
    struct conn_ref ref;

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_send(TRAFFIC_FD, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi");
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn_shut_out(&ref);
    traffic_assert_no_span();
    conn_closing(TRAFFIC_FD);
    assert_int_equal(traffic_assert_span("/one", 200, WIRE_ERROR_RESPONSE_INCOMPLETE).response_body_size, 2);
}

/* As servers do that close with care: they send their end, then drain what the client had already sent. */
static void test_conn_takes_what_is_drained_for_no_request(void **state)
{
    struct conn_ref ref;

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn_shut_out(&ref);
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_receive_end(TRAFFIC_FD);
    conn_closing(TRAFFIC_FD);
    traffic_assert_nothing_open();
}

static void test_conn_says_how_it_ended(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);

    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_receive_end(TRAFFIC_FD);
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_CLIENT_CLOSED);

    static const int errors[][2] = {{ECONNRESET, WIRE_ERROR_CONNECTION_RESET},
                                    {EPIPE, WIRE_ERROR_CLIENT_CLOSED},
                                    {ETIMEDOUT, WIRE_ERROR_TIMEOUT},
                                    {EAGAIN, WIRE_ERROR_NO_RESPONSE},
                                    {EINTR, WIRE_ERROR_NO_RESPONSE}};
    for (size_t i = 0; i < 2 * sizeof(errors) / sizeof(errors[0]); i++) {
        conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
        traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
        (i % 2 ? traffic_fail_in : traffic_fail_out)(TRAFFIC_FD, errors[i / 2][0]);
        conn_closing(TRAFFIC_FD);
        (void)traffic_assert_span("/one", 0, (enum wire_error)errors[i / 2][1]);
    }
    traffic_assert_nothing_open();
}

/* The client closed its sending side after the request, or at last, and was answered all the same. */
static void test_conn_answers_a_client_that_said_all(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_receive_end(TRAFFIC_FD);
    traffic_send(TRAFFIC_FD, TRAFFIC_UNTIL_END "bytes");
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    traffic_assert_nothing_open();
}

static void test_conn_knows_a_read_of_nothing_from_the_end(void **state)
{
    struct conn_ref ref;
    char bytes[8];
    struct iovec none[] = {{bytes, 0}, {NULL, 0}}, some[] = {{bytes, 0}, {bytes, 8}};

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn_data_in(&ref, bytes, 0, 0);
    conn_data_in_vector(&ref, none, 2, 0);
    conn_data_in_vector(&ref, NULL, 0, 0);
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);

    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn_data_in_vector(&ref, some, 2, 0);
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_CLIENT_CLOSED);
}

static void test_conn_drops_a_head_that_never_ended(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET "GET /two HTTP/1.1\r\nHo");
    assert_int_equal(shim_core_slots_used(traffic_ring, 0), 2);
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);
    traffic_assert_nothing_open();
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
    traffic_receive(TRAFFIC_FD, "GET /three HTT");
    conn_closing(TRAFFIC_FD);
    traffic_assert_nothing_open();
}

static void test_conn_frees_slots_when_it_turns_passive(void **state)
{
    struct conn_ref ref;

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET TRAFFIC_GET "GET /half HTTP/1.1\r\nHost: ");
    assert_int_equal(shim_core_slots_used(traffic_ring, 0), 3);
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn_give_up(&ref);
    traffic_assert_nothing_open();
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), 2); /* the third was none yet */
    assert_false(traffic_captures(TRAFFIC_FD));
    conn_give_up(&ref);
    assert_int_equal(traffic_counted(WIRE_COUNT_PASSIVE), 1);
    conn_data_in(&ref, TRAFFIC_GET, sizeof(TRAFFIC_GET) - 1,
                 sizeof(TRAFFIC_GET) - 1); /* by a call that had begun before */
    traffic_assert_nothing_open();
    conn_closing(TRAFFIC_FD);
    traffic_assert_nothing_open();
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0); /* its memory is like new for the next one */
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
}

/* descriptors */

static void test_conn_lives_as_long_as_a_descriptor(void **state)
{
    (void)state;
    conn_duplicated(TRAFFIC_FD, TRAFFIC_OTHER_FD);
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    conn_closing(TRAFFIC_FD);
    traffic_assert_no_span();
    traffic_send(TRAFFIC_OTHER_FD, TRAFFIC_OK);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    traffic_receive(TRAFFIC_OTHER_FD, TRAFFIC_GET);
    conn_duplicated(TRAFFIC_OTHER_FD, TRAFFIC_FD);
    conn_closing(TRAFFIC_OTHER_FD);
    traffic_assert_no_span();
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);
    conn_closing(TRAFFIC_FD);
    traffic_assert_nothing_open();
}

static void test_conn_ends_when_another_is_duplicated_over_it(void **state)
{
    (void)state;
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_OTHER_FD, NULL, 0);
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_receive(TRAFFIC_OTHER_FD, "GET /two HTTP/1.1\r\n\r\n");
    conn_duplicated(TRAFFIC_OTHER_FD, TRAFFIC_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    (void)traffic_assert_span("/two", 200, WIRE_ERROR_NONE);
    conn_duplicated(TRAFFIC_FD, TRAFFIC_FD); /* dup2 of a number to itself is no change */
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
}

static void test_conn_duplicates_what_is_no_connection(void **state)
{
    (void)state;
    conn_ignore(TRAFFIC_FD);
    assert_false(traffic_captures(TRAFFIC_FD));
    conn_duplicated(TRAFFIC_FD, TRAFFIC_OTHER_FD);
    assert_false(traffic_captures(TRAFFIC_OTHER_FD));
    conn_forget(TRAFFIC_FD);
    conn_duplicated(TRAFFIC_FD, TRAFFIC_OTHER_FD);
    assert_int_equal(fdtab_value(fdtab_get(TRAFFIC_OTHER_FD)), FDTAB_UNKNOWN);
    conn_duplicated(-1, TRAFFIC_OTHER_FD);
}

static void test_conn_closes_ranges(void **state)
{
    (void)state;
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_OTHER_FD, NULL, 0);
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_receive(TRAFFIC_OTHER_FD, "GET /two HTTP/1.1\r\n\r\n");
    conn_closing_range(0, TRAFFIC_FD - 1);
    conn_closing_range(TRAFFIC_OTHER_FD + 1, ~0u);
    conn_closing_range(FDTAB_LIMIT, ~0u);
    traffic_assert_no_span();
    conn_closing_range(TRAFFIC_FD, TRAFFIC_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);
    conn_closing_range(3, ~0u);
    (void)traffic_assert_span("/two", 0, WIRE_ERROR_NO_RESPONSE);
    traffic_assert_nothing_open();
}

/* A call that blocked while its descriptor was closed, and perhaps given to another connection. */
static void test_conn_is_not_touched_by_a_stale_reference(void **state)
{
    struct conn_ref stale, fresh;

    (void)state;
    assert_true(conn_capture(&stale, TRAFFIC_FD));
    conn_closing(TRAFFIC_FD);
    conn_data_in(&stale, TRAFFIC_GET, sizeof(TRAFFIC_GET) - 1, sizeof(TRAFFIC_GET) - 1);
    traffic_assert_nothing_open();
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
    assert_true(conn_capture(&fresh, TRAFFIC_FD));
    assert_ptr_equal(fresh.conn, stale.conn); /* the same memory */
    conn_data_in(&stale, TRAFFIC_GET, sizeof(TRAFFIC_GET) - 1, sizeof(TRAFFIC_GET) - 1);
    conn_data_out(&stale, TRAFFIC_OK, sizeof(TRAFFIC_OK) - 1);
    conn_data_in(&stale, "", 1, 0);
    errno = ECONNRESET;
    conn_data_out(&stale, TRAFFIC_OK, -1);
    conn_give_up(&stale);
    conn_shut_out(&stale);
    traffic_assert_nothing_open();
    traffic_receive(TRAFFIC_FD, "GET /two HTTP/1.1\r\n\r\n");
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/two", 0, WIRE_ERROR_NO_RESPONSE);
}

static void test_conn_counts_descriptors_beyond_the_table(void **state)
{
    (void)state;
    conn_accepted(TRAFFIC_LISTENER, FDTAB_LIMIT + 5, NULL, 0);
    assert_int_equal(traffic_dropped(WIRE_DROP_FD_LIMIT), 1);
    assert_false(traffic_captures(FDTAB_LIMIT + 5));
    conn_closing(FDTAB_LIMIT + 5);
}

static void assert_ip(const struct wire_address *address, enum wire_family family, uint16_t port, const char *ip)
{
    uint8_t bytes[16];

    assert_int_equal(address->family, family);
    assert_int_equal(address->port, port);
    assert_int_equal(inet_pton(family == WIRE_FAMILY_INET ? AF_INET : AF_INET6, ip, bytes), 1);
    assert_memory_equal(address->ip, bytes, family == WIRE_FAMILY_INET ? 4 : 16);
}

static void test_conn_knows_both_ends(void **state)
{
    struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_port = htons(8080)}, mapped = local;
    struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    struct wire_request request;

    (void)state;
    inet_pton(AF_INET6, "2001:db8::1", &local.sin6_addr);
    inet_pton(AF_INET6, "::ffff:10.1.2.3", &mapped.sin6_addr);
    conn_bound(TRAFFIC_LISTENER, (struct sockaddr *)&local, sizeof(local));
    assert_false(traffic_captures(TRAFFIC_LISTENER));
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, (struct sockaddr *)&mapped, sizeof(mapped));
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_ip(&request.local, WIRE_FAMILY_INET6, 8080, "2001:db8::1");
    assert_ip(&request.peer, WIRE_FAMILY_INET, 8080, "10.1.2.3");
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, (struct sockaddr *)&path, sizeof(path));
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    assert_int_equal(traffic_assert_span("/one", 200, WIRE_ERROR_NONE).peer.family, WIRE_FAMILY_UNIX);
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, (struct sockaddr *)&local, sizeof(local.sin6_family)); /* cut off */
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    assert_int_equal(traffic_assert_span("/one", 200, WIRE_ERROR_NONE).peer.family, WIRE_FAMILY_NONE);
}

/* sockets that came another way */

static void adopt(int fd, const char *bytes)
{
    struct conn_ref ref;

    assert_true(conn_capture(&ref, fd));
    assert_null(ref.conn);
    conn_data_in(&ref, bytes, strlen(bytes), (ssize_t)strlen(bytes));
}

static void test_conn_adopts_a_socket_that_speaks_http(void **state)
{
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    adopt(pair[0], TRAFFIC_GET);
    assert_int_equal(traffic_counted(WIRE_COUNT_CONNECTIONS), 2);
    traffic_send(pair[0], TRAFFIC_OK);
    assert_int_equal(traffic_assert_span("/one", 200, WIRE_ERROR_NONE).peer.family, WIRE_FAMILY_UNIX);
    adopt(pair[1], "hello");
    assert_false(traffic_captures(pair[1]));
    conn_closing(pair[0]);
    conn_closing(pair[1]);
    assert_true(traffic_captures(pair[1])); /* the number may be anything again */
    close(pair[0]);
    close(pair[1]);
}

static void test_conn_adopts_no_file_and_no_pipe(void **state)
{
    int pipes[2], datagrams[2], file = open("/proc/self/exe", O_RDONLY);

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams), 0);
    adopt(file, TRAFFIC_GET);
    adopt(pipes[0], TRAFFIC_GET);
    adopt(datagrams[0], TRAFFIC_GET);
    assert_false(traffic_captures(file));
    assert_false(traffic_captures(pipes[0]));
    assert_false(traffic_captures(datagrams[0]));
    traffic_assert_nothing_open();
    conn_closing_range(3, 99);
    close(file);
    close(pipes[0]);
    close(pipes[1]);
    close(datagrams[0]);
    close(datagrams[1]);
}

static void test_conn_leaves_alone_who_speaks_first(void **state)
{
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    traffic_send(pair[0], "220 ready\r\n");
    assert_false(traffic_captures(pair[0]));
    traffic_receive(pair[1], "\x16\x03\x01");
    assert_false(traffic_captures(pair[1]));
    conn_closing_range(3, 99);
    traffic_receive_end(pair[0]); /* nothing is decided by an end or by an error */
    traffic_fail_in(pair[0], EAGAIN);
    adopt(pair[0], TRAFFIC_GET);
    assert_true(traffic_captures(pair[0]));
    conn_closing_range(3, 99);
    atomic_store(&process_sandboxed, 1);
    traffic_receive(pair[0], TRAFFIC_GET); /* to tell a socket from a file takes a system call */
    atomic_store(&process_sandboxed, 0);
    assert_int_equal(fdtab_value(fdtab_get(pair[0])), FDTAB_UNKNOWN);
    conn_closing_range(0, ~0u);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);
    traffic_assert_nothing_open();
    close(pair[0]);
    close(pair[1]);
}

/* A descriptor that means something else by the time that the call returns. */
static void test_conn_adopts_nothing_that_was_closed_meanwhile(void **state)
{
    struct conn_ref ref;
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(conn_capture(&ref, pair[0]));
    conn_accepted(TRAFFIC_LISTENER, pair[0], NULL, 0);
    conn_data_in(&ref, TRAFFIC_GET, sizeof(TRAFFIC_GET) - 1, sizeof(TRAFFIC_GET) - 1);
    traffic_assert_nothing_open();
    assert_true(traffic_captures(pair[0]));
    conn_closing(pair[0]);
    close(pair[0]);
    close(pair[1]);
}

/* processes */

/* Run in a forked child; parent_notices: the fork went through the hook. */
static void in_child(void (*run)(void), bool parent_notices)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        run();
        _exit(0);
    }
    if (parent_notices)
        atomic_fetch_add(&process_page->forks, 1);
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void close_it(void)
{
    conn_closing(TRAFFIC_FD);
}

static void answer_and_close(void)
{
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    conn_closing(TRAFFIC_FD);
}

/* A server forks per connection: the parent closes its copy, the child answers. One span, by the child. */
static void test_conn_is_the_childs_that_answers(void **state)
{
    union shim_record record;
    size_t length;

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    in_child(answer_and_close, true);
    conn_closing(TRAFFIC_FD);
    traffic_assert_no_span();
    assert_int_equal(shim_core_take(traffic_ring, 1, &record, &length), WIRE_RECORD_REQUEST);
    traffic_assert_path(&record.request, "/one");
    assert_int_equal(record.request.status, 200);
    assert_int_equal(shim_core_slots_used(traffic_ring, 0), 0);
    assert_int_equal(shim_core_slots_used(traffic_ring, 1), 0);
}

/* A child that got a copy by the way (a worker, a script) and closes it: the request is still the parent's. */
static void test_conn_stays_the_parents_when_a_child_closes_it(void **state)
{
    union shim_record record;
    size_t length;

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    in_child(close_it, false);
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_int_equal(shim_core_take(traffic_ring, 1, &record, &length), WIRE_RECORD_NONE);
    traffic_assert_nothing_open();
}

/* Left to a child, unless it is known that nobody will answer any more. */
static void test_conn_is_left_to_a_child(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    in_child(close_it, true);
    conn_closing(TRAFFIC_FD);
    traffic_assert_no_span();
    assert_int_equal(shim_core_slots_used(traffic_ring, 0),
                     1); /* in the table until this process ends, or leaves many more */

    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
    traffic_receive(TRAFFIC_FD, "GET /two HTTP/1.1\r\n\r\n");
    atomic_fetch_add(&process_page->forks, 1);
    traffic_receive_end(TRAFFIC_FD);
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/two", 0, WIRE_ERROR_CLIENT_CLOSED);

    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
    traffic_receive(TRAFFIC_FD, "GET /three HTTP/1.1\r\n\r\n");
    atomic_fetch_add(&process_page->forks, 1);
    traffic_send(TRAFFIC_FD, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi");
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/three", 200, WIRE_ERROR_RESPONSE_INCOMPLETE);

    atomic_fetch_add(&process_page->forks, 1); /* before it was made */
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
    traffic_receive(TRAFFIC_FD, "GET /four HTTP/1.1\r\n\r\n");
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/four", 0, WIRE_ERROR_NO_RESPONSE);
}

static void answer(void)
{
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
}

/* The child answers one request, the parent the next: neither takes the other's answer for its own. */
static void test_conn_goes_on_after_a_childs_answer(void **state)
{
    union shim_record record;
    size_t length;

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    in_child(answer, true);
    assert_int_equal(shim_core_take(traffic_ring, 1, &record, &length), WIRE_RECORD_REQUEST);
    traffic_assert_path(&record.request, "/one");

    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD + 1, NULL, 0); /* gets the slot that is free now */
    traffic_receive(TRAFFIC_FD + 1, "GET /other HTTP/1.1\r\n\r\n");
    traffic_receive(TRAFFIC_FD, "GET /two HTTP/1.1\r\n\r\n");
    traffic_send(TRAFFIC_FD, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    (void)traffic_assert_span("/two", 404, WIRE_ERROR_NONE);
    traffic_send(TRAFFIC_FD + 1, TRAFFIC_OK);
    (void)traffic_assert_span("/other", 200, WIRE_ERROR_NONE);
    conn_closing(TRAFFIC_FD + 1);
    conn_closing(TRAFFIC_FD);
    traffic_assert_nothing_open();
}

/* Children that execute a program without hooks never end what was left to them: that must not fill the table. */
static void test_conn_keeps_few_requests_for_others(void **state)
{
    enum { REQUESTS = 100, KEPT = 64 };

    (void)state;
    for (int i = 0; i < REQUESTS; i++) {
        conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
        traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
        atomic_fetch_add(&process_page->forks, 1);
        conn_closing(TRAFFIC_FD);
    }
    assert_int_equal(shim_core_slots_used(traffic_ring, 0), KEPT);
    conn_at_exit();
    assert_int_equal(traffic_dropped(WIRE_DROP_BLIND), REQUESTS);
    traffic_assert_nothing_open();
    traffic_assert_no_span();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, traffic_setup, traffic_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_conn_ends_a_response_with_the_connection),
        TEST(test_conn_ends_a_response_with_a_half_close),
        TEST(test_conn_does_not_end_a_counted_response_early),
        TEST(test_conn_takes_what_is_drained_for_no_request),
        TEST(test_conn_says_how_it_ended),
        TEST(test_conn_answers_a_client_that_said_all),
        TEST(test_conn_knows_a_read_of_nothing_from_the_end),
        TEST(test_conn_drops_a_head_that_never_ended),
        TEST(test_conn_frees_slots_when_it_turns_passive),
        TEST(test_conn_lives_as_long_as_a_descriptor),
        TEST(test_conn_ends_when_another_is_duplicated_over_it),
        TEST(test_conn_duplicates_what_is_no_connection),
        TEST(test_conn_closes_ranges),
        TEST(test_conn_is_not_touched_by_a_stale_reference),
        TEST(test_conn_counts_descriptors_beyond_the_table),
        TEST(test_conn_knows_both_ends),
        TEST(test_conn_adopts_a_socket_that_speaks_http),
        TEST(test_conn_adopts_no_file_and_no_pipe),
        TEST(test_conn_leaves_alone_who_speaks_first),
        TEST(test_conn_adopts_nothing_that_was_closed_meanwhile),
        TEST(test_conn_is_the_childs_that_answers),
        TEST(test_conn_stays_the_parents_when_a_child_closes_it),
        TEST(test_conn_is_left_to_a_child),
        TEST(test_conn_goes_on_after_a_childs_answer),
        TEST(test_conn_keeps_few_requests_for_others),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
