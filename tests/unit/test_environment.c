/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/environment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static struct environment two_entries(void)
{
    const char *envp[] = {"A=1", "B=", NULL};
    struct environment env;

    environment_init(&env, envp);
    return env;
}

static void test_environment_keeps_order_and_terminator(void **state)
{
    struct environment env = two_entries();

    (void)state;
    environment_set(&env, "C", "3");
    assert_int_equal(env.count, 3);
    assert_string_equal(env.entries[0], "A=1");
    assert_string_equal(env.entries[2], "C=3");
    assert_null(env.entries[3]);
    environment_deinit(&env);
}

static void test_environment_replaces_in_place(void **state)
{
    struct environment env = two_entries();

    (void)state;
    environment_set(&env, "A", "new");
    assert_int_equal(env.count, 2);
    assert_string_equal(env.entries[0], "A=new");
    environment_deinit(&env);
}

static void test_environment_matches_whole_names(void **state)
{
    const char *envp[] = {"AB=1", "NOVALUE", NULL};
    struct environment env;

    (void)state;
    environment_init(&env, envp);
    assert_null(environment_get(&env, "A"));
    assert_null(environment_get(&env, "NOVALUE"));
    assert_string_equal(environment_get(&env, "AB"), "1");
    environment_deinit(&env);
}

static void test_environment_takes_empty_settings_as_unset(void **state)
{
    struct environment env = two_entries();

    (void)state;
    assert_string_equal(environment_get(&env, "B"), "");
    assert_null(environment_get_setting(&env, "B"));
    environment_deinit(&env);
}

static void test_environment_unsets_every_copy(void **state)
{
    const char *envp[] = {"A=1", "B=2", "A=3", NULL};
    struct environment env;

    (void)state;
    environment_init(&env, envp);
    environment_unset(&env, "A");
    assert_int_equal(env.count, 1);
    assert_string_equal(env.entries[0], "B=2");
    assert_null(env.entries[1]);
    environment_deinit(&env);
}

static void test_environment_knows_switches(void **state)
{
    const char *envp[] = {"ONE=1", "TRUE=True", "ZERO=0", "YES=yes", NULL};
    struct environment env;

    (void)state;
    environment_init(&env, envp);
    assert_true(environment_is_on(&env, "ONE"));
    assert_true(environment_is_on(&env, "TRUE"));
    assert_false(environment_is_on(&env, "ZERO"));
    assert_false(environment_is_on(&env, "YES"));
    assert_false(environment_is_on(&env, "UNSET"));
    environment_deinit(&env);
}

static void test_environment_grows(void **state)
{
    struct environment env = {0};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "N%d", i);
        environment_set(&env, name, "v");
    }
    assert_int_equal(env.count, 1000);
    assert_string_equal(env.entries[999], "N999=v");
    assert_null(env.entries[1000]);
    environment_deinit(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment_keeps_order_and_terminator),
        cmocka_unit_test(test_environment_replaces_in_place),
        cmocka_unit_test(test_environment_matches_whole_names),
        cmocka_unit_test(test_environment_takes_empty_settings_as_unset),
        cmocka_unit_test(test_environment_unsets_every_copy),
        cmocka_unit_test(test_environment_knows_switches),
        cmocka_unit_test(test_environment_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
