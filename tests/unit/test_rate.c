/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/rate.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

/* How many of `tries` were given at this moment. */
static unsigned take(struct rate *rate, uint32_t limit, uint64_t now_ns, unsigned tries)
{
    unsigned count = 0;

    while (tries-- > 0)
        count += rate_take(rate, limit, now_ns);
    return count;
}

static void test_rate_gives_a_seconds_worth_at_once(void **state)
{
    static const uint32_t limits[] = {1, 2, 3, 7, 100, 999, 300007, 1000000};

    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct rate rate = {0};

        assert_int_equal(take(&rate, limits[i], 5 * SECOND, limits[i] + 10), limits[i]);
        assert_int_equal(take(&rate, limits[i], 5 * SECOND + 900, 10), 0);
        assert_int_equal(take(&rate, limits[i], 7 * SECOND, limits[i] + 10), limits[i]); /* and no more after a pause */
    }
}

static void test_rate_fills_up_evenly(void **state)
{
    struct rate rate = {0};
    uint64_t now_ns = 100 * SECOND;

    (void)state;
    assert_int_equal(take(&rate, 10, now_ns, 20), 10);
    for (int i = 0; i < 50; i++) {
        now_ns += SECOND / 10;
        assert_int_equal(take(&rate, 10, now_ns, 5), 1);
    }
    now_ns += SECOND / 2;
    assert_int_equal(take(&rate, 10, now_ns, 20), 5);
}

/* Asked every millisecond, for ten seconds. */
static void test_rate_holds_over_a_long_time(void **state)
{
    struct rate rate = {0};
    unsigned count = 0;

    (void)state;
    for (uint64_t ms = 0; ms < 10000; ms++)
        count += take(&rate, 300, 50 * SECOND + ms * 1000000, 3);
    assert_in_range(count, 300 + 2990, 300 + 3000);
}

/* A thread that read the clock before others took theirs. */
static void test_rate_bears_late_clocks(void **state)
{
    struct rate rate = {0};

    (void)state;
    assert_int_equal(take(&rate, 4, 10 * SECOND, 2), 2);
    assert_int_equal(take(&rate, 4, 10 * SECOND - 1000, 10), 1);
    assert_int_equal(take(&rate, 4, 10 * SECOND, 10), 1);
}

static struct rate shared;

static void *take_shared(void *arg)
{
    *(unsigned *)arg = take(&shared, 100000, 10 * SECOND, 60000);
    return NULL;
}

static void test_rate_is_exact_between_threads(void **state)
{
    pthread_t threads[4];
    unsigned counts[4], sum = 0;

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_shared, &counts[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        sum += counts[i];
    }
    assert_int_equal(sum, 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_gives_a_seconds_worth_at_once), cmocka_unit_test(test_rate_fills_up_evenly),
        cmocka_unit_test(test_rate_holds_over_a_long_time),        cmocka_unit_test(test_rate_bears_late_clocks),
        cmocka_unit_test(test_rate_is_exact_between_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
