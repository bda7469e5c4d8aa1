/* SPDX-License-Identifier: Apache-2.0 */
/* What X-Ray is told of requests that were counted, and the quotas that it grants for that. */
#include "exporters/agent/xray_sampling.h"

#include "preload/sampler.h"
#include "tests/support/xray_fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static void test_xray_poller_reports_what_was_counted(void **state)
{
    (void)state;
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1);
    xray_fake_count(0, 100, 30, 5);
    xray_fake_count(1, 7, 7, 1);
    xray_fake_run_for(10);
    assert_int_equal(xray_fake_calls_of(false), 1);
    assert_int_equal(xray_fake_number(xray_fake_statistics(1, 0), "RequestCount"), 100);
    assert_int_equal(xray_fake_number(xray_fake_statistics(1, 0), "SampledCount"), 30);
    assert_int_equal(xray_fake_number(xray_fake_statistics(1, 0), "BorrowCount"), 5);
    assert_int_equal(strlen(json_string_value(json_object_get(xray_fake_statistics(1, 0), "ClientID"))), 24);
    assert_in_range(xray_fake_number(xray_fake_statistics(1, 0), "Timestamp"), time(NULL) - 100, time(NULL) + 100);
    assert_string_equal(json_string_value(json_object_get(xray_fake_statistics(1, 1), "RuleName")), "Default");
    xray_fake_count(1, 3, 0, 0);
    xray_fake_run_for(60);
    assert_int_equal(xray_fake_calls_of(false), 2);
    assert_int_equal(xray_fake_number(xray_fake_statistics(2, 0), "RequestCount"), 3); /* since the last one */
    assert_null(xray_fake_statistics(2, 1));
}

static void test_xray_poller_reports_again_what_was_not_taken(void **state)
{
    (void)state;
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1);
    xray_fake_count(0, 100, 30, 5);
    xray_fake.is_busy = true;
    xray_fake_run_for(10);
    assert_int_equal(xray_fake_logged("sampling quotas can't be had from daemon:2000: it answers 429"), 1);
    xray_fake.is_busy = false;
    xray_fake_count(0, 1, 1, 0);
    xray_fake_run_for(10);
    assert_int_equal(xray_fake_calls_of(false), 2);
    assert_int_equal(xray_fake_number(xray_fake_statistics(2, 0), "RequestCount"), 101);
    assert_int_equal(xray_fake_logged("sampling quotas come from daemon:2000 again"), 1);
}

/* The counts wrap around, and a request may be counted as sampled after the report in which it is a request. */
static void test_xray_poller_reports_differences(void **state)
{
    (void)state;
    xray_fake_open_source(NULL);
    atomic_store(&source_ring(&xray_fake.source)->xray_tallies[0].requests, UINT32_MAX - 1);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1);
    xray_fake_count(0, 5, 4, 0);
    xray_fake_run_for(10);
    assert_int_equal(xray_fake_number(xray_fake_statistics(1, 0), "RequestCount"), 5);
    xray_fake_count(0, 1, 2, 2);
    xray_fake_run_for(10);
    assert_int_equal(xray_fake_number(xray_fake_statistics(2, 0), "SampledCount"), 1);
    assert_int_equal(xray_fake_number(xray_fake_statistics(2, 0), "BorrowCount"), 1);
    xray_fake_count(0, 1, 0, 0);
    xray_fake_run_for(10);
    assert_int_equal(xray_fake_number(xray_fake_statistics(3, 0), "SampledCount"), 1); /* told later */
}

static void test_xray_poller_takes_quotas(void **state)
{
    char *text;

    (void)state;
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1);
    xray_fake_count(0, 1, 1, 1);
    assert_true(asprintf(&text,
                         "{\"SamplingTargetDocuments\":[{\"RuleName\":\"a\",\"FixedRate\":0.25,\"ReservoirQuota\":17,"
                         "\"ReservoirQuotaTTL\":%lld,\"Interval\":30},{\"RuleName\":\"unknown\",\"FixedRate\":1}],"
                         "\"LastRuleModification\":1000}",
                         (long long)time(NULL) + 120) > 0);
    xray_fake_set_targets(text);
    free(text);
    xray_fake_run_for(10);
    assert_int_equal(xray_fake_published()->rules[0].reservoir, 17);
    assert_true(xray_fake_published()->rules[0].threshold == sampler_threshold(0.25));
    assert_in_range(xray_fake_published()->rules[0].quota_until_ns, xray_fake.now_ns + 105 * S,
                    xray_fake.now_ns + 125 * S);

    /* Every third round from now on; what an answer lacks stays as it was. */
    xray_fake_set_targets(
        "{\"SamplingTargetDocuments\":[{\"RuleName\":\"a\",\"FixedRate\":0.75}],\"LastRuleModification\":1000}");
    xray_fake_count(0, 1, 1, 1);
    xray_fake_run_for(20);
    assert_int_equal(xray_fake_calls_of(false), 1);
    xray_fake_run_for(11);
    assert_int_equal(xray_fake_calls_of(false), 2);
    assert_int_equal(xray_fake_published()->rules[0].reservoir, 17);
    assert_true(xray_fake_published()->rules[0].threshold == sampler_threshold(0.75));

    /* Loaded anew, the rule keeps its quota and its counts, and has its own rate. */
    xray_fake_set_targets("{\"SamplingTargetDocuments\":[],\"LastRuleModification\":2000}");
    xray_fake_set_rules(XRAY_RECORDS(XRAY_RULE("new", 5, 1, 0) "," XRAY_RULE("a", 10, 0.125, 3) "," XRAY_DEFAULT_RULE));
    xray_fake_count(0, 1, 1, 1);
    xray_fake_run_for(20);
    assert_int_equal(xray_fake_calls_of(true), 1);
    xray_fake_run_for(11);
    assert_int_equal(xray_fake_calls_of(true), 2); /* the rules have been changed: not after five minutes, but now */
    assert_int_equal(xray_fake_published()->count, 3);
    assert_int_equal(xray_fake_published()->rules[1].reservoir, 17);
    assert_int_equal(xray_fake_published()->rules[1].tally, 0);
    assert_int_equal(xray_fake_published()->rules[0].tally, 2);
    assert_true(xray_fake_published()->rules[1].threshold == sampler_threshold(0.125));
    xray_fake_count(1, 1, 1, 0);
    xray_fake_run_for(100); /* once, though it is said again */
    assert_int_equal(xray_fake_calls_of(false), 4);
    assert_int_equal(xray_fake_calls_of(true), 2);

    /* The quota has run out. */
    assert_int_equal(xray_fake_published()->rules[1].reservoir, 3);
    assert_int_equal(xray_fake_published()->rules[1].quota_until_ns, 0);
}

static void test_xray_poller_takes_no_quota_that_has_long_run_out(void **state)
{
    (void)state;
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1);
    xray_fake_count(0, 1, 1, 1);
    xray_fake_set_targets(
        "{\"SamplingTargetDocuments\":[{\"RuleName\":\"a\",\"ReservoirQuota\":17,\"ReservoirQuotaTTL\":1}]}");
    xray_fake_run_for(10); /* the machine was started long after that second */
    assert_int_equal(xray_fake_calls_of(false), 1);
    assert_int_equal(xray_fake_published()->rules[0].reservoir, 3);
    assert_int_equal(xray_fake_published()->rules[0].quota_until_ns, 0);
}

static void test_xray_poller_reports_25_rules_in_a_call(void **state)
{
    char text[64 * 512] = "";
    size_t length = 0;

    (void)state;
    for (int i = 0; i < 60; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length,
                                   "%s{\"SamplingRule\":{\"RuleName\":\"r%02d\",\"Priority\":1,\"FixedRate\":1,"
                                   "\"ReservoirSize\":1,\"ServiceName\":\"*\",\"ServiceType\":\"*\",\"Host\":\"*\","
                                   "\"HTTPMethod\":\"*\",\"URLPath\":\"/%d\",\"ResourceARN\":\"*\",\"Version\":1},"
                                   "\"ModifiedAt\":1000}",
                                   i > 0 ? "," : "{\"SamplingRuleRecords\":[", i, i);
    (void)snprintf(text + length, sizeof(text) - length, "]}");
    xray_fake_set_rules(text);
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1);
    assert_int_equal(xray_fake_published()->count, 60);
    for (uint32_t i = 0; i < 60; i++)
        xray_fake_count(i, i + 1, 0, 0);
    xray_fake_run_for(10);
    assert_int_equal(xray_fake_calls_of(false), 3);
    assert_non_null(xray_fake_statistics(1, 24));
    assert_null(xray_fake_statistics(1, 25));
    assert_int_equal(xray_fake_number(xray_fake_statistics(3, 9), "RequestCount"), 60);
    assert_null(xray_fake_statistics(3, 10));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_xray_poller_##name, xray_fake_set_up, xray_fake_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reports_what_was_counted),
        TEST(reports_again_what_was_not_taken),
        TEST(reports_differences),
        TEST(takes_quotas),
        TEST(takes_no_quota_that_has_long_run_out),
        TEST(reports_25_rules_in_a_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
