/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/settle.h"

#include "exporters/agent/values.h"
#include "exporters/exporter.h"
#include "tests/support/read_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_exporters(const char *const *entries, const char *expected)
{
    struct settings *settings = read_settings(entries);
    char list[128] = "";

    for (size_t i = 0; i < settings->exporter_count; i++)
        (void)strcat(strcat(list, list[0] != '\0' ? "," : ""), settings->exporters[i]);
    assert_string_equal(list, expected);
    settings_unref(settings);
}

static void test_settings_chooses_exporters(void **state)
{
    (void)state;
    check_exporters(ENTRIES("X=1"), "otlp");
    check_exporters(ENTRIES("OTEL_TRACES_EXPORTER=none"), "");
    check_exporters(ENTRIES("OTEL_TRACES_EXPORTER=console"), "console");
    check_exporters(ENTRIES("OTEL_TRACES_EXPORTER=otlp,console,otlp"), "otlp,console");
    check_exporters(ENTRIES("OTEL_TRACES_EXPORTER=zipkin"), "otlp");
    check_exporters(ENTRIES("SPANSHIM_EXPORTERS=console"), "console");
    check_exporters(ENTRIES("SPANSHIM_EXPORTERS=OTLP_File"), "otlp_file");
    check_exporters(ENTRIES("SPANSHIM_EXPORTERS=console", "OTEL_TRACES_EXPORTER=otlp"), "otlp,console");
    check_exporters(ENTRIES("SPANSHIM_EXPORTERS=console", "OTEL_EXPORTER_OTLP_ENDPOINT=http://c"), "otlp,console");
    check_exporters(ENTRIES("SPANSHIM_EXPORTERS=console", "HONEYCOMB_API_KEY=k"), "otlp,console");
    check_exporters(ENTRIES("SPANSHIM_EXPORTERS=console", "OTEL_TRACES_EXPORTER=none"), "console");
    check_exporters(ENTRIES("OTEL_SDK_DISABLED=true", "SPANSHIM_EXPORTERS=console"), "");
    check_exporters(ENTRIES("SPANSHIM_REQUEST_LOG=/l"), "otlp,request_log");
    check_exporters(ENTRIES("SPANSHIM_REQUEST_LOG=/l", "OTEL_TRACES_EXPORTER=none"), "request_log");
    check_exporters(ENTRIES("SPANSHIM_REQUEST_LOG=/l", "SPANSHIM_EXPORTERS=request_log"), "request_log");
    check_exporters(ENTRIES("SPANSHIM_REQUEST_LOG=/l", "OTEL_SDK_DISABLED=true"), "");
    check_exporters(ENTRIES("ROLLBAR_ACCESS_TOKEN=t"), "otlp,rollbar");
    check_exporters(ENTRIES("ROLLBAR_ACCESS_TOKEN=t", "SPANSHIM_EXPORTERS=rollbar"), "otlp,rollbar");
    check_exporters(ENTRIES("ROLLBAR_ACCESS_TOKEN=t", "SPANSHIM_EXPORTERS=rollbar,console"), "console,rollbar");
    check_exporters(ENTRIES("ROLLBAR_ACCESS_TOKEN=t", "OTEL_TRACES_EXPORTER=none"), "rollbar");
    check_exporters(ENTRIES("ROLLBAR_ACCESS_TOKEN=t", "OTEL_SDK_DISABLED=true"), "");
    check_exporters(ENTRIES("ROLLBAR_ACCESS_TOKEN=a\nb"), "otlp");
    check_exporters(ENTRIES("ROLLBAR_ACCESS_TOKEN=t", "ROLLBAR_ENDPOINT= "), "otlp,rollbar");
    check_exporters(ENTRIES("ROLLBAR_ACCESS_TOKEN=t", "ROLLBAR_ENDPOINT=http://r"), "otlp,rollbar");
    check_exporters(ENTRIES("ROLLBAR_ACCESS_TOKEN=t", "ROLLBAR_ENDPOINT=ftp://r"), "otlp");
    check_exporters(ENTRIES("ROLLBAR_ACCESS_TOKEN=t", "ROLLBAR_ENDPOINT=r:99"), "otlp");
    check_exporters(ENTRIES("SPANSHIM_EXPORTERS=rollbar"), "otlp");
    check_exporters(ENTRIES("SPANSHIM_EXPORTERS=cloudwatch"), "otlp");
    check_exporters(ENTRIES("SPANSHIM_EXPORTERS=cloudwatch,console"), "console");
    check_exporters(ENTRIES("AWS_XRAY_DAEMON_ADDRESS=xray:2000"), "xray");
    check_exporters(ENTRIES("SPANSHIM_EXPORTERS=xray"), "xray");
    check_exporters(ENTRIES("OTEL_TRACES_EXPORTER=xray, otlp"), "otlp,xray");
    check_exporters(ENTRIES("OTEL_TRACES_EXPORTER=none", "AWS_XRAY_DAEMON_ADDRESS=xray:2000"), "xray");
    check_exporters(ENTRIES("OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "AWS_XRAY_DAEMON_ADDRESS=xray:2000"), "otlp,xray");
    check_exporters(ENTRIES("HONEYCOMB_API_KEY=k", "AWS_XRAY_DAEMON_ADDRESS=xray:2000"), "otlp,xray");
    check_exporters(ENTRIES("ROLLBAR_ACCESS_TOKEN=t", "AWS_XRAY_DAEMON_ADDRESS=xray:2000"), "xray,rollbar");
    check_exporters(ENTRIES("SPANSHIM_EXPORTERS=console", "AWS_XRAY_DAEMON_ADDRESS=xray:2000"), "console,xray");
    check_exporters(ENTRIES("AWS_XRAY_SDK_ENABLED=Off", "AWS_XRAY_DAEMON_ADDRESS=xray:2000"), "otlp");
    check_exporters(ENTRIES("OTEL_TRACES_EXPORTER=xray", "AWS_XRAY_DAEMON_ADDRESS=xray"), "");
    check_exporters(ENTRIES("OTEL_TRACES_EXPORTER=otlp,xray", "AWS_XRAY_DAEMON_ADDRESS=tcp:a:1"), "otlp");
    check_exporters(ENTRIES("SPANSHIM_XRAY_VIA=api", "SPANSHIM_EXPORTERS=xray", "AWS_XRAY_DAEMON_ADDRESS=xray"),
                    "xray");
    check_exporters(ENTRIES("SPANSHIM_XRAY_VIA=api", "SPANSHIM_EXPORTERS=xray", "AWS_ENDPOINT_URL=htp://x"), "");
    check_exporters(ENTRIES("SPANSHIM_XRAY_VIA=api", "SPANSHIM_EXPORTERS=xray", "AWS_ENDPOINT_URL_XRAY=x:1"), "");
    check_exporters(ENTRIES("SPANSHIM_XRAY_VIA=api", "SPANSHIM_EXPORTERS=xray", "AWS_ENDPOINT_URL=htp://x",
                            "AWS_ENDPOINT_URL_XRAY=http://x"),
                    "xray");
    check_exporters(ENTRIES("SPANSHIM_EXPORTERS=xray", "AWS_ENDPOINT_URL=htp://x"), "xray"); /* by the daemon */
    check_exporters(ENTRIES("OTEL_SDK_DISABLED=true", "AWS_XRAY_DAEMON_ADDRESS=xray:2000"), "");
    assert_complaint(ENTRIES("SPANSHIM_EXPORTERS=rollbar"),
                     "SPANSHIM_EXPORTERS: rollbar is left out: it wants ROLLBAR_ACCESS_TOKEN");
}

static void check_rollbar_url(const char *endpoint, const char *expected)
{
    char *entry;

    assert_true(asprintf(&entry, "ROLLBAR_ENDPOINT=%s", endpoint) > 0);
    struct settings *settings = read_settings(ENTRIES(entry));
    assert_string_equal(settings->rollbar_url, expected);
    settings_unref(settings);
    free(entry);
}

static void test_settings_completes_rollbars_endpoint(void **state)
{
    (void)state;
    check_rollbar_url("", "https://api.rollbar.com/api/1/item/");
    check_rollbar_url("http://r:8080", "http://r:8080/api/1/item/");
    check_rollbar_url("http://r:8080/", "http://r:8080/api/1/item/");
    check_rollbar_url("https://r/api/1", "https://r/api/1/item/");
    check_rollbar_url("https://r/api/1/", "https://r/api/1/item/");
    check_rollbar_url("https://r/api/1/item", "https://r/api/1/item");
    check_rollbar_url("https://r/rollbar/in?x=1", "https://r/rollbar/in?x=1");
}

static void test_settings_names_every_exporter(void **state)
{
    (void)state;
    /* The range of the second row lists what exporters.def has but for logs, that of the first what takes traces. */
#define EXPORTER(name)                                                                                                 \
    assert_true(values_is_word_of(#name, strlen(#name), settings_row(2)->range) ||                                     \
                exporter_is_of_logs(&exporter_##name));                                                                \
    assert_int_equal(values_is_word_of(#name, strlen(#name), settings_row(1)->range),                                  \
                     exporter_##name.encode_spans != NULL || exporter_##name.send_spans != NULL);
#include "exporters/exporters.def"
#undef EXPORTER
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_chooses_exporters),
        cmocka_unit_test(test_settings_completes_rollbars_endpoint),
        cmocka_unit_test(test_settings_names_every_exporter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
