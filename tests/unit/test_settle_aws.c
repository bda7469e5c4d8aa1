/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/settle_aws.h"

#include "tests/support/read_settings.h"

#include <stdint.h>
#include <stdio.h>

/* Auto: what goes to X-Ray's own endpoint, and nothing that only looks like it. */
static void test_settle_aws_signs_what_goes_to_xray(void **state)
{
    static const struct {
        const char *url, *region; /* NULL: not signed */
    } cases[] = {
        {"https://xray.eu-west-1.amazonaws.com/v1/traces", "eu-west-1"},
        {"https://xray.cn-north-1.amazonaws.com.cn/v1/traces", "cn-north-1"},
        {"https://XRAY.us-east-1.AmazonAWS.com/v1/traces?x=1", "us-east-1"},
        {"http://xray.eu-west-1.amazonaws.com/v1/traces", NULL},
        {"https://xray.eu-west-1.amazonaws.com/v1/logs", NULL},
        {"https://xray.eu-west-1.amazonaws.com", NULL},
        {"https://logs.eu-west-1.amazonaws.com/v1/traces", NULL},
        {"https://xray.eu-west-1.amazonaws.com.example/v1/traces", NULL},
        {"https://xray..amazonaws.com/v1/traces", NULL},
        {"https://collector:4318/v1/traces", NULL},
    };
    char entry[128];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(entry, sizeof(entry), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=%s", cases[i].url);
        struct settings *settings = read_settings(ENTRIES(entry));
        if (settings->otlp[SIGNAL_TRACES].is_signed != (cases[i].region != NULL))
            fail_msg("%s: %d", cases[i].url, settings->otlp[SIGNAL_TRACES].is_signed);
        assert_string_equal(settings->otlp[SIGNAL_TRACES].region, cases[i].region != NULL ? cases[i].region : "");
        settings_unref(settings);
    }
}

static void test_settle_aws_signs_as_it_is_told(void **state)
{
    (void)state;
    struct settings *on =
        read_settings(ENTRIES("OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:1", "SPANSHIM_OTLP_SIGV4=on"));
    struct settings *off = read_settings(
        ENTRIES("OTEL_EXPORTER_OTLP_ENDPOINT=https://xray.eu-west-1.amazonaws.com", "SPANSHIM_OTLP_SIGV4=off"));
    struct settings *base = read_settings(ENTRIES("OTEL_EXPORTER_OTLP_ENDPOINT=https://xray.eu-west-1.amazonaws.com"));
    struct settings *grpc =
        read_settings(ENTRIES("OTEL_EXPORTER_OTLP_ENDPOINT=https://xray.eu-west-1.amazonaws.com",
                              "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_LOGS_EXPORTER=otlp", "SPANSHIM_OTLP_SIGV4=on"));

    assert_true(on->otlp[SIGNAL_TRACES].is_signed);
    assert_string_equal(on->otlp[SIGNAL_TRACES].region, "");
    assert_false(off->otlp[SIGNAL_TRACES].is_signed);
    assert_true(base->otlp[SIGNAL_TRACES].is_signed); /* v1/traces is joined to it */
    assert_false(grpc->otlp[SIGNAL_TRACES].is_signed);
    assert_int_equal(settings_complaint_count(grpc), 1); /* of both signals */
    settings_unref(on);
    settings_unref(off);
    settings_unref(base);
    settings_unref(grpc);
}

/* Logs have an endpoint of their own; each signal is judged alone. */
static void test_settle_aws_signs_logs(void **state)
{
    (void)state;
    struct settings *settings = read_settings(
        ENTRIES("OTEL_LOGS_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:1",
                "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=https://logs.eu-west-1.amazonaws.com/v1/logs", "HOME=/home/u"));

    assert_false(settings->otlp[SIGNAL_TRACES].is_signed);
    assert_true(settings->otlp[SIGNAL_LOGS].is_signed);
    assert_string_equal(settings->otlp[SIGNAL_LOGS].region, "eu-west-1");
    assert_string_equal(settings->aws_credentials_file, "/home/u/.aws/credentials");
    settings_unref(settings);
}

/* The files in ~/.aws count only where something is signed, and what it needs isn't in the environment. */
static void test_settle_aws_finds_the_shared_files(void **state)
{
    (void)state;
    struct settings *daemon = read_settings(ENTRIES("OTEL_TRACES_EXPORTER=xray", "HOME=/home/shop"));
    struct settings *api =
        read_settings(ENTRIES("OTEL_TRACES_EXPORTER=xray", "SPANSHIM_XRAY_VIA=api", "HOME=/home/shop"));
    struct settings *own = read_settings(
        ENTRIES("OTEL_TRACES_EXPORTER=xray", "SPANSHIM_XRAY_VIA=api", "HOME=/home/shop", "AWS_CONFIG_FILE=aws/config"));
    struct settings *complete =
        read_settings(ENTRIES("OTEL_TRACES_EXPORTER=xray", "SPANSHIM_XRAY_VIA=api", "HOME=/home/shop",
                              "AWS_ACCESS_KEY_ID=i", "AWS_SECRET_ACCESS_KEY=s", "AWS_REGION=r"));

    assert_null(daemon->aws_credentials_file);
    assert_string_equal(api->aws_credentials_file, "/home/shop/.aws/credentials");
    assert_string_equal(api->aws_config_file, "/home/shop/.aws/config");
    assert_string_equal(own->aws_config_file, "/srv/aws/config");
    assert_null(complete->aws_credentials_file);
    settings_unref(daemon);
    settings_unref(own);
    settings_unref(complete);

    /* Of a user whom the agent doesn't trust it opens no file. */
    settings_give_to(api, 1234, false, UINT32_MAX);
    assert_null(api->aws_credentials_file);
    assert_null(api->aws_config_file);
    settings_unref(api);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settle_aws_signs_what_goes_to_xray),
        cmocka_unit_test(test_settle_aws_signs_as_it_is_told),
        cmocka_unit_test(test_settle_aws_signs_logs),
        cmocka_unit_test(test_settle_aws_finds_the_shared_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
