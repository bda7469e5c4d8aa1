/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { ANNE = 61001, BERT = 61002, TABLE = 256 };
static const uint64_t second_ns = UINT64_C(1000000000);

static void test_users_are_served_when_named(void **state)
{
    char error[USERS_ERROR_MAX];

    (void)state;
    assert_false(users_may_connect(ANNE));
    assert_int_equal(users_find(ANNE)->refused_count, 1);
    assert_int_equal(users_serve("nobody,,61001", error), 0);
    assert_true(users_may_connect(ANNE));
    assert_false(users_may_connect(BERT));
    assert_true(users_may_connect(0));
    assert_true(users_may_connect(geteuid()));
    assert_true(users_are_many());
    assert_int_not_equal(users_serve("no-such-user", error), 0);
    assert_int_not_equal(users_serve("12x", error), 0);
    assert_int_not_equal(users_serve("4294967295", error), 0);
    assert_false(users_may_connect(BERT));
    assert_int_equal(users_serve("all", error), 0);
    assert_true(users_may_connect(BERT));
}

static void test_users_see_their_own(void **state)
{
    (void)state;
    assert_true(users_may_see(ANNE, ANNE));
    assert_false(users_may_see(ANNE, BERT));
    assert_false(users_may_see(ANNE, 0));
    assert_true(users_may_see(0, ANNE));
}

static void test_users_have_a_share_of_time(void **state)
{
    const uint64_t burst_ns = USERS_TIME_BURST_MS * UINT64_C(1000000);
    uint64_t now_ns = 1000 * second_ns;

    (void)state;
    assert_true(users_may_take_time(ANNE, now_ns));
    users_took_time(ANNE, now_ns, burst_ns - 1);
    assert_true(users_may_take_time(ANNE, now_ns));
    users_took_time(ANNE, now_ns, second_ns);
    assert_false(users_may_take_time(ANNE, now_ns));
    assert_true(users_may_take_time(BERT, now_ns));
    assert_false(users_may_take_time(ANNE, now_ns + USERS_TIME_PART * second_ns - second_ns));
    assert_true(users_may_take_time(ANNE, now_ns + USERS_TIME_PART * second_ns));
    users_took_time(0, now_ns, second_ns);
    assert_true(users_may_take_time(0, now_ns));
}

static void test_users_have_limits(void **state)
{
    uint64_t now_ns = 1000 * second_ns;

    (void)state;
    for (int i = 0; i < USERS_BURST; i++)
        assert_true(users_may_send(ANNE, 0, now_ns));
    assert_false(users_may_send(ANNE, 0, now_ns));
    assert_true(users_may_send(BERT, 0, now_ns)); /* another's haste is not his */
    now_ns += second_ns;
    for (int i = 0; i < USERS_PER_SECOND; i++)
        assert_true(users_may_send(ANNE, 0, now_ns));
    assert_false(users_may_send(ANNE, 0, now_ns));
    assert_false(users_may_send(BERT, USERS_RINGS_MAX, now_ns));
    assert_int_equal(users_find(ANNE)->limited_count, 2);
    for (int i = 0; i < 2 * USERS_BURST; i++)
        assert_true(users_may_send(0, USERS_RINGS_MAX, now_ns));
}

static void test_users_have_lines_of_the_log_of_their_own(void **state)
{
    uint64_t now_ns = 1000 * second_ns;
    int lines = 0;

    (void)state;
    while (lines < 1000 && users_may_log(ANNE, now_ns))
        lines++;
    assert_in_range(lines, 33, 999); /* a hand-over may have as many complaints */
    assert_true(users_may_log(BERT, now_ns));
    assert_true(users_may_log(ANNE, now_ns + 60 * second_ns));
}

/* The first of all: then nobody is served yet. */
static void test_users_who_are_refused_leave_room(void **state)
{
    (void)state;
    for (uid_t uid = 90000; uid < 90000 + 2 * TABLE; uid++)
        assert_false(users_may_connect(uid));
    assert_int_equal(users_find(90000)->refused_count, 1);
    struct user *anne = users_find(ANNE);
    assert_int_equal(anne->uid, ANNE);
    assert_ptr_not_equal(users_find(BERT), anne);
    assert_int_equal(users_find(BERT)->uid, BERT);
}

static void test_users_share_an_entry_when_the_table_is_full(void **state)
{
    (void)state;
    for (uid_t uid = 70000; uid < 70000 + 2 * TABLE; uid++)
        assert_non_null(users_find(uid));
    assert_non_null(users_at(TABLE - 1));
    assert_null(users_at(TABLE));
    assert_ptr_equal(users_find(80000), users_find(80001));
    assert_int_equal(users_find(70000)->uid, 70000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users_who_are_refused_leave_room),
        cmocka_unit_test(test_users_are_served_when_named),
        cmocka_unit_test(test_users_see_their_own),
        cmocka_unit_test(test_users_have_a_share_of_time),
        cmocka_unit_test(test_users_have_limits),
        cmocka_unit_test(test_users_have_lines_of_the_log_of_their_own),
        cmocka_unit_test(test_users_share_an_entry_when_the_table_is_full),
    };

    return users_init() ? EXIT_FAILURE : cmocka_run_group_tests(tests, NULL, NULL);
}
