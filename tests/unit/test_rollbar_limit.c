/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/rollbar_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static void test_rollbar_limit_counts_what_it_holds_back(void **state)
{
    struct rollbar_limit *limit = rollbar_limit_new(60, 5);
    uint64_t suppressed = 99;

    (void)state;
    for (uint64_t i = 0; i < 5; i++) {
        assert_true(rollbar_limit_pass(limit, "a", (1000 + i) * S, &suppressed));
        assert_int_equal(suppressed, 0);
    }
    for (uint64_t i = 0; i < 7; i++)
        assert_false(rollbar_limit_pass(limit, "a", 1010 * S, &suppressed));
    assert_true(rollbar_limit_pass(limit, "b", 1010 * S, &suppressed));
    assert_int_equal(suppressed, 0);
    /* The oldest of the five is a minute ago. */
    assert_false(rollbar_limit_pass(limit, "a", 1060 * S - 1, &suppressed));
    assert_true(rollbar_limit_pass(limit, "a", 1060 * S, &suppressed));
    assert_int_equal(suppressed, 8);
    assert_false(rollbar_limit_pass(limit, "a", 1060 * S, &suppressed));
    assert_true(rollbar_limit_pass(limit, "a", 1061 * S, &suppressed));
    assert_int_equal(suppressed, 1);
    rollbar_limit_free(limit);
}

static void test_rollbar_limit_holds_for_all_together(void **state)
{
    struct rollbar_limit *limit = rollbar_limit_new(60, 5);
    uint64_t suppressed;
    char name[16];
    unsigned passed = 0;

    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof(name), "%u", i % 100);
        passed += rollbar_limit_pass(limit, name, 1000 * S + i, &suppressed);
    }
    assert_int_equal(passed, 60);
    rollbar_limit_free(limit);
}

static void test_rollbar_limit_can_be_turned_off(void **state)
{
    struct rollbar_limit *limit = rollbar_limit_new(0, 0);
    uint64_t suppressed;

    (void)state;
    for (unsigned i = 0; i < 500; i++)
        assert_true(rollbar_limit_pass(limit, "a", 1000 * S, &suppressed));
    rollbar_limit_free(limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollbar_limit_counts_what_it_holds_back),
        cmocka_unit_test(test_rollbar_limit_holds_for_all_together),
        cmocka_unit_test(test_rollbar_limit_can_be_turned_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
