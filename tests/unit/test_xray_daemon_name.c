/* SPDX-License-Identifier: Apache-2.0 */
/* X-Ray's daemon by name: when it is looked up, and what happens while names fail. */
#include "exporters/xray_way.h"
#include "tests/support/xray_receiver.h"

#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_xray_daemon_has_a_name(void **state)
{
    (void)state;
    receiver_test.name_means = "127.0.0.3 127.0.0.2"; /* nobody listens at the first */
    receiver_listen(&receiver_test.receiver, "127.0.0.2", 0, true);
    receiver_open_sender(NULL);
    receiver_add_document(10);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    receiver_run_until_received(1);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    receiver_run_until_received(2);
    receiver_run_until_looked_up(2); /* for the first had refused */
}

static void test_xray_daemon_is_found_where_it_moves_to(void **state)
{
    (void)state;
    receiver_test.name_means = "127.0.0.2";
    receiver_listen(&receiver_test.receiver, "127.0.0.3", 0, true);
    receiver_listen(&receiver_test.other, "127.0.0.2", receiver_test.receiver.port, true);
    receiver_open_sender(NULL);
    receiver_add_document(10);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    assert_int_equal(receiver_test.lookup_count, 1); /* not before its time */
    receiver_test.name_means = "127.0.0.3";
    receiver_test.clock_offset_ns += 31000000000;
    /* The lookup goes on beside the first; what comes after it goes there. */
    while (receiver_test.receiver.count == 0) {
        assert_int_equal(receiver_send_all(), EXPORTER_SENT);
        assert_true(receiver_test.other.count < 1000);
    }
    assert_int_equal(receiver_test.lookup_count, 2);
}

static void test_xray_daemon_that_refuses_is_looked_up_again(void **state)
{
    (void)state;
    receiver_test.name_means = "127.0.0.2";
    receiver_listen(&receiver_test.receiver, "127.0.0.3", 0, true);
    receiver_open_sender(NULL);
    receiver_add_document(10);
    assert_int_equal(receiver_send_all(), EXPORTER_RETRY);
    receiver_test.name_means = "127.0.0.3";
    while (receiver_send_all() == EXPORTER_RETRY)
        assert_true(receiver_test.lookup_count < 1000);
    receiver_run_until_received(1);
}

static void test_xray_daemon_keeps_its_address_while_names_fail(void **state)
{
    (void)state;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, true);
    receiver_open_sender(NULL);
    receiver_add_document(10);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    receiver_test.name_means = "";
    receiver_test.clock_offset_ns += 31000000000;
    for (unsigned i = 2; i < 5; i++) {
        assert_int_equal(receiver_send_all(), EXPORTER_SENT);
        receiver_run_until_received(i);
    }
    receiver_run_until_looked_up(2);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    receiver_run_until_received(5);
}

static void test_xray_daemon_without_an_address_gets_it_later(void **state)
{
    (void)state;
    receiver_test.name_means = "";
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, true);
    receiver_open_sender(NULL);
    receiver_add_document(10);
    assert_int_equal(receiver_send_all(), EXPORTER_RETRY);
    assert_non_null(strstr(receiver_test.result.error, gai_strerror(EAI_NONAME)));
    receiver_test.name_means = "127.0.0.1";
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    receiver_run_until_received(1);
}

/* send() returns at once; a lookup that outlives the sender frees what it has. */
static void test_xray_daemon_does_not_wait_for_names(void **state)
{
    (void)state;
    receiver_test.is_held = true;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, true);
    receiver_open_sender(NULL);
    receiver_add_document(10);
    receiver_send();
    assert_int_equal(receiver_test.done_count, 0);
    receiver_test.clock_offset_ns += 11000000000;
    receiver_run_until(receiver_is_done);
    assert_int_equal(receiver_test.result.outcome, EXPORTER_RETRY);
    assert_non_null(strstr(receiver_test.result.error, "name servers"));
    receiver_test.done_count = 0;
    receiver_send();
    xray_daemon.close(receiver_test.sender);
    receiver_test.sender = NULL;
    assert_int_equal(sem_post(&receiver_test.let_go), 0);
    assert_int_equal(receiver_test.done_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, receiver_set_up, receiver_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_xray_daemon_has_a_name),
        TEST(test_xray_daemon_is_found_where_it_moves_to),
        TEST(test_xray_daemon_that_refuses_is_looked_up_again),
        TEST(test_xray_daemon_keeps_its_address_while_names_fail),
        TEST(test_xray_daemon_without_an_address_gets_it_later),
        TEST(test_xray_daemon_does_not_wait_for_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
