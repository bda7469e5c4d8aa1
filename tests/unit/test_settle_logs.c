/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/settle_logs.h"

#include "tests/support/read_settings.h"

#include <stdint.h>
#include <string.h>

#define GROUP "SPANSHIM_CLOUDWATCH_LOG_GROUP=/shop"

/* Where logs go, and what is complained of (NULL: nothing). */
static void check(const char *const *entries, const char *exporters, const char *complaint)
{
    struct settings *settings = read_settings(entries);
    char list[256] = "";

    for (size_t i = 0; i < settings->log_exporter_count; i++) {
        strcat(list, i > 0 ? "," : "");
        strcat(list, settings->log_exporters[i]);
    }
    assert_string_equal(list, exporters);
    assert_int_equal(settings_complaint_count(settings), complaint != NULL);
    if (complaint != NULL)
        assert_string_equal(settings_complaint(settings, 0), complaint);
    settings_unref(settings);
}

static void test_settle_logs_goes_where_it_is_told(void **state)
{
    (void)state;
    check(ENTRIES("OTHER=1"), "", NULL);
    check(ENTRIES("OTEL_LOGS_EXPORTER=none"), "", NULL);
    check(ENTRIES("OTEL_LOGS_EXPORTER=otlp"), "otlp_logs", NULL);
    check(ENTRIES("OTEL_LOGS_EXPORTER=otlp", GROUP), "otlp_logs,cloudwatch", NULL);
    check(ENTRIES("OTEL_LOGS_EXPORTER=none", GROUP), "cloudwatch", NULL);
    check(ENTRIES("OTEL_SDK_DISABLED=true", GROUP), "", NULL);
}

static void test_settle_logs_wants_a_group(void **state)
{
    char long_name[600] = "SPANSHIM_CLOUDWATCH_LOG_GROUP=";
    size_t length = strlen(long_name);

    (void)state;
    check(ENTRIES("AWS_ACCESS_KEY_ID=i", "AWS_SECRET_ACCESS_KEY=s", "AWS_REGION=eu-west-1"), "", NULL);
    check(ENTRIES(GROUP, "OTEL_LOGS_EXPORTER=cloudwatch", "SPANSHIM_EXPORTERS=cloudwatch"), "cloudwatch", NULL);
    check(ENTRIES("OTEL_LOGS_EXPORTER=cloudwatch"), "",
          "OTEL_LOGS_EXPORTER: cloudwatch is left out: it wants SPANSHIM_CLOUDWATCH_LOG_GROUP");
    check(ENTRIES("SPANSHIM_EXPORTERS=cloudwatch"), "",
          "SPANSHIM_EXPORTERS: cloudwatch is left out: it wants SPANSHIM_CLOUDWATCH_LOG_GROUP");
    check(ENTRIES("SPANSHIM_CLOUDWATCH_LOG_GROUP=aws/x"), "",
          "cloudwatch is left out: SPANSHIM_CLOUDWATCH_LOG_GROUP can't be used");
    check(ENTRIES("SPANSHIM_CLOUDWATCH_LOG_GROUP=a b"), "",
          "cloudwatch is left out: SPANSHIM_CLOUDWATCH_LOG_GROUP can't be used");
    memset(long_name + length, 'x', 512);
    check(ENTRIES(long_name), "cloudwatch", NULL);
    memset(long_name + length, 'x', 513);
    check(ENTRIES(long_name), "", "cloudwatch is left out: SPANSHIM_CLOUDWATCH_LOG_GROUP can't be used");
}

/* Who has an endpoint of his own doesn't mean AWS's. */
static void test_settle_logs_wants_an_endpoint_that_can_be_used(void **state)
{
    (void)state;
    struct settings *bad = read_settings(ENTRIES(GROUP, "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=logs:1"));
    struct settings *general = read_settings(ENTRIES(GROUP, "AWS_ENDPOINT_URL=logs:1"));
    struct settings *other =
        read_settings(ENTRIES(GROUP, "AWS_ENDPOINT_URL=logs:1", "AWS_ENDPOINT_URL_LOGS=http://logs:1"));
    struct settings *both = read_settings(
        ENTRIES(GROUP, "AWS_ENDPOINT_URL_LOGS=http://a:1", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=http://b:1"));

    assert_int_equal(bad->log_exporter_count, 0);
    assert_int_equal(general->log_exporter_count, 0);
    assert_int_equal(other->log_exporter_count, 1);
    assert_string_equal(both->aws_endpoint_url_logs, "http://b:1");
    settings_unref(bad);
    settings_unref(general);
    settings_unref(other);
    settings_unref(both);
}

static void test_settle_logs_knows_the_retentions_of_aws(void **state)
{
    (void)state;
    struct settings *good = read_settings(ENTRIES(GROUP, "SPANSHIM_CLOUDWATCH_RETENTION_DAYS=3653"));
    struct settings *bad = read_settings(ENTRIES(GROUP, "SPANSHIM_CLOUDWATCH_RETENTION_DAYS=10"));

    assert_int_equal(good->cloudwatch_retention_days, 3653);
    assert_int_equal(bad->cloudwatch_retention_days, 0);
    assert_string_equal(settings_complaint(bad, 0),
                        "SPANSHIM_CLOUDWATCH_RETENTION_DAYS: AWS has no retention of 10 days; it is ignored");
    settings_unref(good);
    settings_unref(bad);
}

/* The files in ~/.aws are looked into where logs are to be signed. */
static void test_settle_logs_finds_the_shared_files(void **state)
{
    (void)state;
    struct settings *settings = read_settings(ENTRIES(GROUP, "HOME=/home/shop"));

    assert_string_equal(settings->aws_credentials_file, "/home/shop/.aws/credentials");
    settings_unref(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settle_logs_goes_where_it_is_told),
        cmocka_unit_test(test_settle_logs_wants_a_group),
        cmocka_unit_test(test_settle_logs_wants_an_endpoint_that_can_be_used),
        cmocka_unit_test(test_settle_logs_knows_the_retentions_of_aws),
        cmocka_unit_test(test_settle_logs_finds_the_shared_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
