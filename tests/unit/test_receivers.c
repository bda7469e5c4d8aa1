/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/receivers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct receivers receivers;

static void set(const char *const *entries)
{
    receivers = (struct receivers){0};
    while (*entries)
        receivers_add(&receivers, *entries++);
    receivers_settle(&receivers);
}

static bool matches(const char *host, uint16_t port, const char *path)
{
    return receivers_match(&receivers, (struct slice){host, strlen(host)}, port, (struct slice){path, strlen(path)});
}

static void test_receivers_are_the_defaults_of_their_libraries(void **state)
{
    (void)state;
    set((const char *const[]){NULL});
    assert_true(matches("localhost", 4318, "/v1/traces"));
    assert_true(matches("LocalHost", 4318, "/v1/metrics"));
    assert_true(matches("127.0.0.1", 4318, "/v1/logs"));
    assert_true(matches("::1", 4318, "/v1/logs"));
    assert_true(matches("127.0.0.1", 2000, "/GetSamplingRules"));
    assert_true(matches("api.rollbar.com", 443, "/api/1/item/"));
    assert_true(matches("api.honeycomb.io", 443, "/1/batch/shop"));
    assert_false(matches("localhost", 4318, "/orders"));
    assert_false(matches("localhost", 80, "/v1/traces"));
    assert_false(matches("localhost", 2000, "/"));
    assert_false(matches("collector", 4318, "/v1/traces"));
    assert_false(matches("api.rollbar.com", 443, "/api/1/items"));
    assert_false(matches("", 0, ""));
}

static void test_receivers_are_those_that_are_set(void **state)
{
    (void)state;
    set((const char *const[]){"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318/", "PATH=/bin",
                              "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=https://user:pass@metrics.example/in/?key=x",
                              "OTEL_EXPORTER_OTLP_ENDPOINTS=http://other/", NULL});
    assert_true(matches("collector", 4318, "/v1/traces"));
    assert_true(matches("collector", 4318, "/"));
    assert_true(matches("Metrics.Example", 443, "/in"));
    assert_true(matches("metrics.example", 443, "/in/deeper"));
    assert_false(matches("metrics.example", 443, "/inner"));
    assert_false(matches("metrics.example", 443, "/"));
    assert_false(matches("metrics.example", 80, "/in"));
    assert_false(matches("other", 80, "/"));
    assert_false(matches("localhost", 4318, "/v1/traces")); /* the default is not in force */
}

static void test_receivers_have_many_forms(void **state)
{
    (void)state;
    set((const char *const[]){"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317",
                              "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=HTTP://[2001:db8::1]:4318/v1/traces",
                              "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT= http://logs ",
                              "AWS_XRAY_DAEMON_ADDRESS=tcp:10.0.0.1:2000 udp:10.0.0.2:2001", NULL});
    assert_true(matches("collector", 4317, "/v1/traces"));
    assert_true(matches("2001:db8::1", 4318, "/v1/traces"));
    assert_false(matches("2001:db8::1", 4318, "/v1/logs"));
    assert_true(matches("logs", 80, "/v1/logs"));
    assert_true(matches("10.0.0.1", 2000, "/SamplingTargets"));
    assert_false(matches("10.0.0.2", 2001, "/SamplingTargets"));
}

static void test_receivers_pass_over_nonsense(void **state)
{
    char many[RECEIVERS_MAX * 8] = "AWS_XRAY_DAEMON_ADDRESS=";

    (void)state;
    set((const char *const[]){"OTEL_EXPORTER_OTLP_ENDPOINT=http://", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=a:99999",
                              "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=", "HONEYCOMB_API_ENDPOINT=///", "ROLLBAR_ENDPOINT",
                              NULL});
    assert_false(matches("localhost", 4318, "/v1/traces"));
    assert_false(matches("a", 80, "/"));
    assert_true(matches("api.rollbar.com", 443, "/api/1/item/"));
    while (strlen(many) < sizeof(many) - 4)
        strcat(many, "a:1 ");
    set((const char *const[]){many, NULL});
    assert_int_equal(receivers.count, RECEIVERS_MAX);
    assert_true(matches("a", 1, "/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receivers_are_the_defaults_of_their_libraries),
        cmocka_unit_test(test_receivers_are_those_that_are_set),
        cmocka_unit_test(test_receivers_have_many_forms),
        cmocka_unit_test(test_receivers_pass_over_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
