/* SPDX-License-Identifier: Apache-2.0 */
/* A program's time zone is what libc makes of the same TZ. */
#include "exporters/agent/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define NS_PER_S UINT64_C(1000000000)

/* Winter and summer of 2026, and the last second before Central Europe's summer time. */
static const time_t moments[] = {1795229581, 1784000000, 1774745999, 1774746000};

static void assert_same(struct tm ours, struct tm libc)
{
    assert_int_equal(ours.tm_gmtoff, libc.tm_gmtoff);
    assert_int_equal(ours.tm_year, libc.tm_year);
    assert_int_equal(ours.tm_yday, libc.tm_yday);
    assert_int_equal(ours.tm_hour, libc.tm_hour);
    assert_int_equal(ours.tm_min, libc.tm_min);
    assert_int_equal(ours.tm_sec, libc.tm_sec);
}

static void check(const char *tz)
{
    struct zone *zone = zone_new(tz);

    if (tz)
        setenv("TZ", tz, 1);
    else
        unsetenv("TZ");
    tzset();
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        struct tm libc;

        assert_same(zone_local_time(zone, (uint64_t)moments[i] * NS_PER_S), *localtime_r(&moments[i], &libc));
    }
    zone_free(zone);
}

static void test_zone_is_as_libc_has_it(void **state)
{
    (void)state;
    static const char *const zones[] = {"UTC",
                                        "",
                                        "Europe/Berlin",
                                        ":America/New_York",
                                        "/usr/share/zoneinfo/Asia/Kolkata",
                                        "CET-1CEST,M3.5.0,M10.5.0/3",
                                        "XXX-01:30",
                                        "<+0330>-3:30",
                                        "EST5",
                                        "Nowhere/None",
                                        "America",
                                        "zone.tab"};

    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
        check(zones[i]);
}

static void test_zone_of_the_system_without_one(void **state)
{
    (void)state;
    check(NULL);
    check(":/etc/localtime");
}

/* Whoever the program belongs to, no file of his is opened. */
static void test_zone_opens_no_other_file(void **state)
{
    (void)state;
    static const char *const paths[] = {"/proc/self/mem", "../../../proc/self/mem", ":/dev/zero"};
    struct zone *system = zone_new(NULL);
    struct tm expected = zone_local_time(system, (uint64_t)moments[0] * NS_PER_S);

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct zone *zone = zone_new(paths[i]);

        assert_same(zone_local_time(zone, (uint64_t)moments[0] * NS_PER_S), expected);
        zone_free(zone);
    }
    zone_free(system);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zone_is_as_libc_has_it),
        cmocka_unit_test(test_zone_of_the_system_without_one),
        cmocka_unit_test(test_zone_opens_no_other_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
