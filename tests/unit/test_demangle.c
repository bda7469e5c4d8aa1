/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "exporters/crash/demangle.h"

static void test_demangle_of_each_language(void **state)
{
    static const struct {
        const char *symbol, *shown;
    } cases[] = {
        {"main", "main"},
        {"_start", "_start"},
        {"__GI_abort", "abort"},
        {"_ZN4shop5Order5totalERKSt6vectorIiSaIiEEm", "shop::Order::total"},
        {"_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int> >::push_back"},
        {"_ZN12_GLOBAL__N_16hiddenEv", "(anonymous namespace)::hidden"},
        {"_ZN4core9panicking5panic17h0123456789abcdefE", "core::panicking::panic"},
        {"_RNvCs1234_7mycrate3foo", "mycrate::foo"},
        {"_Z", "_Z"},
        {"_ZN", "_ZN"},
        {"", ""},
    };
    char shown[256];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        demangle_symbol(cases[i].symbol, shown, sizeof(shown));
        assert_string_equal(shown, cases[i].shown);
    }
}

static void test_demangle_of_types(void **state)
{
    char shown[256];

    (void)state;
    demangle_type("St12out_of_range", shown, sizeof(shown));
    assert_string_equal(shown, "std::out_of_range");
    demangle_type("i", shown, sizeof(shown));
    assert_string_equal(shown, "int");
    demangle_type("PKc", shown, sizeof(shown));
    assert_string_equal(shown, "char const*");
    demangle_type("N4shop7RefusedE", shown, sizeof(shown));
    assert_string_equal(shown, "shop::Refused");
}

/* Hostile names: very long, or short ones that would become very long or nest very deep. */
static void test_demangle_is_bounded(void **state)
{
    size_t length = 1 << 20;
    char *symbol = malloc(length + 1), shown[64];

    (void)state;
    memset(symbol, 'P', length);
    memcpy(symbol, "_Z1f", 4);
    symbol[length] = '\0';
    demangle_symbol(symbol, shown, sizeof(shown));
    assert_int_equal(strlen(shown), sizeof(shown) - 1); /* cut */
    symbol[4000] = '\0';
    demangle_symbol(symbol, shown, sizeof(shown)); /* pointers to pointers, to no end */
    demangle_type(symbol + 4, shown, sizeof(shown));
    assert_true(strlen(shown) < sizeof(shown));
    free(symbol);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demangle_of_each_language),
        cmocka_unit_test(test_demangle_of_types),
        cmocka_unit_test(test_demangle_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
