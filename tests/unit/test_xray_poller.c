/* SPDX-License-Identifier: Apache-2.0 */
/* When X-Ray is asked for rules, and what comes of the answers and of a user's file. Quotas are
 * test_xray_poller_quotas.c's. */
#include "exporters/agent/xray_sampling.h"

#include "preload/sampler.h"
#include "tests/support/xray_fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static void test_xray_poller_publishes_before_it_is_told(void **state)
{
    (void)state;
    xray_fake.is_slow = true;
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    assert_int_equal(xray_fake_published()->count, 1);
    assert_int_equal(xray_fake_published()->rules[0].reservoir, 1);
    assert_int_equal(xray_fake_published()->rules[0].tally, WIRE_XRAY_TALLY_DEFAULT);
    assert_true(xray_fake_published()->rules[0].quota_until_ns == UINT64_MAX);
    assert_true(xray_fake_published()->rules[0].threshold == sampler_threshold(0.05));
    assert_int_equal(xray_fake_published()->rules[0].flags & WIRE_XRAY_RULE_CENTRAL, 0);
    assert_int_equal(xray_fake.call_count, 1);
    assert_string_equal(xray_fake.calls[0].body, "{}");
    xray_fake_answer();
    assert_int_equal(xray_fake_published()->count, 2);
    assert_int_equal(xray_fake_published()->rules[0].reservoir, 3);
    assert_int_equal(xray_fake_published()->rules[0].quota_until_ns, 0); /* to be borrowed from */
    assert_true(xray_fake_published()->rules[0].flags & WIRE_XRAY_RULE_CENTRAL);
    assert_true(xray_fake_published()->rules[0].threshold == sampler_threshold(0.5));
}

static void test_xray_poller_decides_only_where_it_is_asked_to(void **state)
{
    (void)state;
    xray_fake_open_source("OTEL_TRACES_SAMPLER=always_on");
    xray_sampling_add(&xray_fake.source);
    assert_null(xray_fake.source.sampled);
    assert_int_equal(xray_fake.call_count, 0);
    xray_fake_close_source();
    xray_fake_open_source("AWS_XRAY_SDK_ENABLED=false");
    xray_sampling_add(&xray_fake.source);
    assert_null(xray_fake.source.sampled);
    xray_fake_close_source();
    xray_fake_open_source(NULL);
    xray_fake.source.control_size = WIRE_CONTROL_SMALL; /* of an early shim */
    xray_sampling_add(&xray_fake.source);
    assert_null(xray_fake.source.sampled);
}

static void test_xray_poller_asks_at_the_stated_rate(void **state)
{
    uint64_t last_ns = 0;

    (void)state;
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(3100);
    assert_in_range(xray_fake_calls_of(true), 11, 11);
    assert_int_equal(xray_fake_calls_of(false), 0); /* nothing was counted: nothing is reported */
    for (size_t i = 0; i < xray_fake.call_count; i++) {
        if (i > 0)
            assert_in_range(xray_fake.calls[i].at_ns - last_ns, 300 * S, 305 * S);
        last_ns = xray_fake.calls[i].at_ns;
    }
}

static void test_xray_poller_uses_rules_for_an_hour(void **state)
{
    (void)state;
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1);
    xray_fake_set_rules(NULL);
    xray_fake_run_for(3590);
    assert_int_equal(xray_fake_published()->count, 2);
    xray_fake_run_for(20);
    assert_int_equal(xray_fake_published()->count, 1); /* the default */
    assert_int_equal(xray_fake_logged("sampling rules can't be had from daemon:2000: nobody takes connections there"),
                     1);
    assert_int_equal(xray_fake_logged("X-Ray's sampling is by the default"), 1);
    xray_fake_set_rules(XRAY_RECORDS(XRAY_RULE("a", 10, 0.5, 3) "," XRAY_DEFAULT_RULE));
    xray_fake_run_for(306);
    assert_int_equal(xray_fake_published()->count, 2);
    assert_int_equal(xray_fake_published()->rules[0].tally, 0); /* its counts and its quota are there still */
    assert_int_equal(xray_fake_logged("sampling rules come from daemon:2000 again"), 1);
}

/* Soon at first, for a daemon may start after the program; then every five minutes, for ever, with one line. */
static void test_xray_poller_goes_on_asking(void **state)
{
    static const uint64_t expected_s[] = {10, 20, 40, 80, 160, 300, 300};

    (void)state;
    xray_fake_set_rules(NULL);
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1000);
    for (size_t i = 0; i < 7; i++)
        assert_in_range(xray_fake.calls[i + 1].at_ns - xray_fake.calls[i].at_ns, expected_s[i] * S,
                        (expected_s[i] + 5) * S);
    assert_int_equal(xray_fake_logged("can't be had"), 1);
    assert_int_equal(xray_fake_published()->count, 1);
}

#define ODD_TARGETS                                                                                                    \
    "{\"SamplingTargetDocuments\":[7,{},{\"RuleName\":\"a\",\"FixedRate\":-1,\"ReservoirQuota\":1e99,"                 \
    "\"ReservoirQuotaTTL\":-5,\"Interval\":1e300}],\"UnprocessedStatistics\":[{},{\"ErrorCode\":\"500\"}]}"

static void test_xray_poller_survives_any_answer(void **state)
{
    static const char *const answers[] = {
        "",
        "[]",
        "nonsense",
        "{}",
        "{\"SamplingRuleRecords\":7}",
        "{\"SamplingRuleRecords\":[7,null,{},{\"SamplingRule\":{}}]}",
        "{\"SamplingRuleRecords\":[],\"NextToken\":\"again\"}", /* for ever */
        "{\"SamplingTargetDocuments\":7,\"LastRuleModification\":\"now\",\"UnprocessedStatistics\":3}",
        ODD_TARGETS,
    };

    (void)state;
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        xray_fake_set_rules(XRAY_RECORDS(XRAY_RULE("a", 10, 0.5, 3) "," XRAY_DEFAULT_RULE));
        xray_fake_set_targets(answers[i]);
        xray_fake_run_for(400);
        xray_fake_count(0, 1, 1, 0);
        xray_fake_run_for(20);
        xray_fake_set_rules(answers[i]);
        xray_fake_run_for(10000);
    }
    assert_true(xray_fake_logged("did not take the statistics of the sampling rule") > 0);
    xray_fake_set_rules(XRAY_RECORDS(XRAY_RULE("a", 10, 0.5, 3) "," XRAY_DEFAULT_RULE));
    xray_fake_run_for(306);
    assert_int_equal(xray_fake_published()->count, 2);
    assert_true(xray_fake_published()->rules[0].threshold == sampler_threshold(0.5));
    assert_int_equal(xray_fake_published()->rules[0].reservoir, 3);
}

static void test_xray_poller_puts_pages_together(void **state)
{
    (void)state;
    xray_fake.is_slow = true;
    xray_fake_set_rules("{\"SamplingRuleRecords\":[" XRAY_DEFAULT_RULE "],\"NextToken\":\"7\"}");
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_answer();
    assert_string_equal(xray_fake.calls[1].body, "{\"NextToken\":\"7\"}");
    assert_int_equal(xray_fake_published()->count, 1);
    xray_fake_set_rules(XRAY_RECORDS(XRAY_RULE("a", 10, 0.5, 3)));
    xray_fake_answer();
    assert_int_equal(xray_fake_published()->count, 2);
    assert_int_equal(xray_fake_published()->rules[0].reservoir, 3); /* by priority, not as they came */
}

/* Far more than an account can have, and there would be another page. */
static void test_xray_poller_takes_a_thousand_rules_at_most(void **state)
{
    static const char record[] = XRAY_RULE("a", 10, 0.5, 3) ",";
    static const char beginning[] = "{\"SamplingRuleRecords\":[", rest[] = XRAY_DEFAULT_RULE "],\"NextToken\":\"2\"}";
    char *text = malloc(sizeof(beginning) + 1200 * strlen(record) + sizeof(rest));
    char *end = text;

    (void)state;
    assert_non_null(text);
    end = stpcpy(end, beginning);
    for (int i = 0; i < 1200; i++)
        end = stpcpy(end, record);
    (void)stpcpy(end, rest);
    xray_fake_set_rules(text);
    free(text);
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1);
    assert_int_equal(xray_fake_calls_of(true), 1);
    assert_int_equal(xray_fake_logged(": 1000, and 201 that are passed over"), 1);
}

/* A script that runs for a moment, again and again. */
static void test_xray_poller_reads_no_answer_that_is_too_long(void **state)
{
    static const char rules[] = XRAY_RECORDS(XRAY_RULE("a", 10, 0.5, 3));
    const size_t length = (1 << 20) + 1;
    char *text = malloc(length + 1);

    (void)state;
    assert_non_null(text);
    memset(text, ' ', length);
    memcpy(text, rules, strlen(rules));
    text[length] = '\0';
    xray_fake_set_rules(text);
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1);
    assert_int_equal(xray_fake_logged("its answer is too long"), 1);
    text[length - 1] = '\0';
    xray_fake_set_rules(text);
    free(text);
    xray_fake_run_for(16);
    assert_int_equal(xray_fake_logged("come from daemon:2000 again"), 1);
    assert_int_equal(xray_fake_published()->count, 1);
}

static void test_xray_poller_keeps_rules_for_the_next_program(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        xray_fake_open_source(NULL);
        xray_sampling_add(&xray_fake.source);
        xray_fake_answer_all();
        assert_int_equal(xray_fake_published()->count, 2);
        if (i < 99)
            xray_fake_close_source();
        xray_fake_run_for(2);
    }
    assert_int_equal(xray_fake_calls_of(true), 1);
}

static void test_xray_poller_forgets_a_program_while_it_is_asked_for(void **state)
{
    (void)state;
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1);
    xray_fake_count(0, 1, 1, 0);
    xray_fake.is_slow = true;
    xray_fake_run_for(10);
    assert_non_null(xray_fake.path);
    xray_fake_close_source();
    xray_fake_answer();
    xray_fake_open_source(NULL);
    xray_sampling_add(&xray_fake.source);
    assert_int_equal(xray_fake_published()->count, 2);
}

/* The rules that the worker before had published count until it is known whether there are newer ones. */
static void test_xray_poller_leaves_what_stands_there_after_a_restart(void **state)
{
    (void)state;
    xray_fake.is_slow = true;
    xray_fake_open_source(NULL);
    atomic_store(&xray_fake.source.control->xray_generation, 5);
    xray_sampling_add(&xray_fake.source);
    assert_int_equal(atomic_load(&xray_fake.source.control->xray_generation), 5);
    xray_fake_answer();
    assert_int_equal(atomic_load(&xray_fake.source.control->xray_generation), 6);
    assert_int_equal(xray_fake_published()->count, 2);
}

static void test_xray_poller_reads_the_users_file(void **state)
{
    char name[] = "/tmp/spanshim-rules-XXXXXX";
    char entry[128];
    int fd = mkstemp(name);
    static const char text[] = "{\"version\":2,\"default\":{\"fixed_target\":4,\"rate\":0},\"rules\":[]}";

    (void)state;
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)snprintf(entry, sizeof(entry), "SPANSHIM_XRAY_SAMPLING_RULES=%s", name);
    xray_fake_set_rules(NULL);
    xray_fake_open_source(entry);
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(1);
    assert_int_equal(xray_fake_published()->count, 1);
    assert_int_equal(xray_fake_published()->rules[0].reservoir, 4);
    assert_true(xray_fake_published()->rules[0].threshold == SAMPLER_THRESHOLD_NONE);
    assert_int_equal(settings_complaint_count(xray_fake.source.settings), 0);
    xray_fake_close_source();
    assert_int_equal(ftruncate(fd, 5), 0);
    xray_fake_open_source(entry);
    xray_sampling_add(&xray_fake.source);
    assert_int_equal(xray_fake_published()->rules[0].reservoir, 1);
    assert_int_equal(settings_complaint_count(xray_fake.source.settings), 1);
    assert_non_null(strstr(settings_complaint(xray_fake.source.settings, 0), name));
    (void)close(fd);
    (void)unlink(name);
}

static void test_xray_poller_shows_what_is_in_force(void **state)
{
    json_t *status;
    const json_t *rule;

    (void)state;
    xray_fake_open_source(NULL);
    assert_null(xray_sampling_status(&xray_fake.source));
    xray_sampling_add(&xray_fake.source);
    xray_fake_run_for(7);
    xray_fake_count(0, 9, 3, 1);
    status = xray_sampling_status(&xray_fake.source);
    rule = json_array_get(json_object_get(status, "rules"), 0);
    assert_string_equal(json_string_value(json_object_get(status, "from")), "xray");
    assert_int_equal(xray_fake_number(status, "age_s"), 7);
    assert_string_equal(json_string_value(json_object_get(rule, "name")), "a");
    assert_int_equal(xray_fake_number(rule, "requests"), 9);
    assert_int_equal(xray_fake_number(rule, "sampled"), 3);
    assert_int_equal(xray_fake_number(rule, "borrowed"), 1);
    assert_true(json_real_value(json_object_get(rule, "rate")) == 0.5);
    json_decref(status);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_xray_poller_##name, xray_fake_set_up, xray_fake_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(publishes_before_it_is_told),
        TEST(decides_only_where_it_is_asked_to),
        TEST(asks_at_the_stated_rate),
        TEST(uses_rules_for_an_hour),
        TEST(goes_on_asking),
        TEST(survives_any_answer),
        TEST(puts_pages_together),
        TEST(takes_a_thousand_rules_at_most),
        TEST(reads_no_answer_that_is_too_long),
        TEST(keeps_rules_for_the_next_program),
        TEST(forgets_a_program_while_it_is_asked_for),
        TEST(leaves_what_stands_there_after_a_restart),
        TEST(reads_the_users_file),
        TEST(shows_what_is_in_force),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
