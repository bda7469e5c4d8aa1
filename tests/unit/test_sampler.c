/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/sampler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "preload/propagation.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NONE         (UINT64_C(1) << 56)

static void test_sampler_parses_settings(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *arg;
        enum sampler_problem problem;
        bool parent_based;
        uint64_t threshold;
    } rows[] = {
        {NULL, NULL, SAMPLER_OK, true, 0},
        {"", "0.5", SAMPLER_OK, true, 0},
        {"always_on", NULL, SAMPLER_OK, false, 0},
        {" Always_Off ", NULL, SAMPLER_OK, false, NONE},
        {"traceidratio", NULL, SAMPLER_OK, false, 0},
        {"traceidratio", "", SAMPLER_OK, false, 0},
        {"traceidratio", "1", SAMPLER_OK, false, 0},
        {"traceidratio", "1.000", SAMPLER_OK, false, 0},
        {"traceidratio", "0", SAMPLER_OK, false, NONE},
        {"traceidratio", "0.0", SAMPLER_OK, false, NONE},
        {"traceidratio", "0.5", SAMPLER_OK, false, UINT64_C(0x80000000000000)},
        {"traceidratio", " .25 ", SAMPLER_OK, false, UINT64_C(0xc0000000000000)},
        {"traceidratio", "25e-2", SAMPLER_OK, false, UINT64_C(0xc0000000000000)},
        {"traceidratio", "0.000000000000000001", SAMPLER_OK, false, NONE - 1},
        {"traceidratio", "1e-30", SAMPLER_OK, false, NONE - 1},
        {"parentbased_always_on", NULL, SAMPLER_OK, true, 0},
        {"parentbased_always_off", "0.5", SAMPLER_OK, true, NONE},
        {"parentbased_traceidratio", "0.5", SAMPLER_OK, true, UINT64_C(0x80000000000000)},
        {"traceidratio", "1.1", SAMPLER_BAD_ARG, false, 0},
        {"traceidratio", "-0.5", SAMPLER_BAD_ARG, false, 0},
        {"traceidratio", "half", SAMPLER_BAD_ARG, false, 0},
        {"traceidratio", "0.5x", SAMPLER_BAD_ARG, false, 0},
        {"traceidratio", "0,5", SAMPLER_BAD_ARG, false, 0},
        {"traceidratio", "1e-", SAMPLER_BAD_ARG, false, 0},
        {"traceidratio", "1e5", SAMPLER_BAD_ARG, false, 0},
        {"traceidratio", ".", SAMPLER_BAD_ARG, false, 0},
        {"parentbased_traceidratio", "nan", SAMPLER_BAD_ARG, true, 0},
        {"jaeger_remote", NULL, SAMPLER_BAD_NAME, true, 0},
        {"parentbased_", NULL, SAMPLER_BAD_NAME, true, 0},
        {"parentbased_always_maybe", NULL, SAMPLER_BAD_NAME, true, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sampler sampler;
        enum sampler_problem problem = sampler_parse(rows[i].name, rows[i].arg, &sampler);
        if (problem != rows[i].problem || sampler.parent_based != rows[i].parent_based ||
            sampler.threshold != rows[i].threshold)
            fail_msg("%s %s: %d %d %llx", rows[i].name, rows[i].arg, (int)problem, sampler.parent_based,
                     (unsigned long long)sampler.threshold);
    }
}

static void test_sampler_threshold_follows_the_56_bit_rule(void **state)
{
    (void)state;
    struct sampler sampler;
    (void)sampler_parse("traceidratio", "0.1", &sampler);
    assert_int_equal(sampler.threshold >> 40, 0xe666);
    (void)sampler_parse("traceidratio", "0.01", &sampler);
    assert_int_equal(sampler.threshold >> 36, 0xfd70a);
}

/* A trace id whose last 56 bits are this. */
static const uint8_t *id(uint64_t randomness)
{
    static uint8_t bytes[16];
    memset(bytes, 0xff, sizeof(bytes));
    for (size_t i = 0; i < 7; i++)
        bytes[15 - i] = (uint8_t)(randomness >> 8 * i);
    return bytes;
}

static void test_sampler_decides_by_the_last_7_bytes(void **state)
{
    (void)state;
    struct sampler half = {.threshold = NONE / 2}, all = {0}, none = {.threshold = NONE};
    assert_false(sampler_decide(&half, NULL, id(0)));
    assert_false(sampler_decide(&half, NULL, id(NONE / 2 - 1)));
    assert_true(sampler_decide(&half, NULL, id(NONE / 2)));
    assert_true(sampler_decide(&half, NULL, id(NONE - 1)));
    assert_true(sampler_decide(&all, NULL, id(0)));
    assert_false(sampler_decide(&none, NULL, id(NONE - 1)));
}

static void test_sampler_follows_a_parent_if_parent_based(void **state)
{
    (void)state;
    struct sampler follows = {.parent_based = true, .threshold = NONE}, ignores = {.threshold = 0};
    struct trace_context parent = {.decided = true, .flags = PROPAGATION_FLAG_RANDOM};
    assert_false(sampler_decide(&follows, &parent, id(0)));
    assert_true(sampler_decide(&ignores, &parent, id(0)));
    parent.flags |= PROPAGATION_FLAG_SAMPLED;
    assert_true(sampler_decide(&follows, &parent, id(0)));
    parent.decided = false;
    assert_false(sampler_decide(&follows, &parent, id(0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sampler_parses_settings),
        cmocka_unit_test(test_sampler_threshold_follows_the_56_bit_rule),
        cmocka_unit_test(test_sampler_decides_by_the_last_7_bytes),
        cmocka_unit_test(test_sampler_follows_a_parent_if_parent_based),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
