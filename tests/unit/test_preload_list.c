/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/preload_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#define OURS "/opt/lib/libspanshim.so"

static void assert_composed(const char *old, const char *runtime, const char *expected)
{
    char *list = preload_list_compose(old, OURS, runtime);

    assert_string_equal(list, expected);
    free(list);
}

static void test_preload_list_puts_ours_in_front(void **state)
{
    (void)state;
    assert_composed(NULL, NULL, OURS);
    assert_composed("", NULL, OURS);
    assert_composed("/usr/lib/libjemalloc.so.2", NULL, OURS ":/usr/lib/libjemalloc.so.2");
    assert_composed("a.so b.so:c.so", NULL, OURS ":a.so:b.so:c.so");
}

static void test_preload_list_has_ours_once(void **state)
{
    (void)state;
    assert_composed(OURS, NULL, OURS);
    assert_composed("a.so:" OURS ":b.so:" OURS, NULL, OURS ":a.so:b.so");
    assert_composed("/elsewhere/libspanshim.so:a.so", NULL, OURS ":a.so");
}

static void test_preload_list_leaves_sanitizers_first(void **state)
{
    (void)state;
    assert_composed("a.so:/usr/lib/libasan.so.8", NULL, "/usr/lib/libasan.so.8:" OURS ":a.so");
    assert_composed("libasan.so.8:libubsan.so.1:a.so", NULL, "libasan.so.8:libubsan.so.1:" OURS ":a.so");
    assert_composed("/x/libclang_rt.asan-x86_64.so", NULL, "/x/libclang_rt.asan-x86_64.so:" OURS);
}

static void test_preload_list_adds_the_runtime_a_program_needs(void **state)
{
    (void)state;
    assert_composed(NULL, "libasan.so.8", "libasan.so.8:" OURS);
    assert_composed("/usr/lib/libasan.so.8", "libasan.so.8", "/usr/lib/libasan.so.8:" OURS);
}

static void test_preload_list_knows_what_it_cannot_hold(void **state)
{
    (void)state;
    assert_true(preload_list_can_hold(OURS));
    assert_false(preload_list_can_hold("/my projects/libspanshim.so"));
    assert_false(preload_list_can_hold("/a:b/libspanshim.so"));
    assert_false(preload_list_can_hold("/$LIB/libspanshim.so"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preload_list_puts_ours_in_front),
        cmocka_unit_test(test_preload_list_has_ours_once),
        cmocka_unit_test(test_preload_list_leaves_sanitizers_first),
        cmocka_unit_test(test_preload_list_adds_the_runtime_a_program_needs),
        cmocka_unit_test(test_preload_list_knows_what_it_cannot_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
