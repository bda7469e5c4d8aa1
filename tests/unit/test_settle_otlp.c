/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/settle_otlp.h"

#include "exporters/agent/values.h"
#include "tests/support/read_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_settings_signal_form_wins_when_it_is_good(void **state)
{
    (void)state;
    struct settings *settings = read_settings(ENTRIES(
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=1", "OTEL_EXPORTER_OTLP_TIMEOUT=2", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION=bad", "OTEL_EXPORTER_OTLP_HEADERS=a=1,b=2",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS=c=3", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=5", "OTEL_ATTRIBUTE_COUNT_LIMIT=6"));

    assert_int_equal(settings->otlp[SIGNAL_TRACES].timeout_ms, 1);
    assert_string_equal(settings->otlp[SIGNAL_TRACES].compression, "gzip");
    assert_int_equal(settings->otlp[SIGNAL_TRACES].headers.count, 1);
    assert_string_equal(values_find_pair(&settings->otlp[SIGNAL_TRACES].headers, "C"), "3");
    assert_int_equal(settings->otlp[SIGNAL_TRACES].limits.attribute_count, 5);
    assert_int_equal(settings->otlp[SIGNAL_LOGS].limits.attribute_count, 6);
    settings_unref(settings);
}

static void test_settings_of_one_signal_leave_the_other_alone(void **state)
{
    struct settings *settings = read_settings(ENTRIES(
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://api.honeycomb.io/v1/traces",
        "HONEYCOMB_API_KEY=k", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=0", "OTEL_EXPORTER_OTLP_LOGS_HEADERS=a=1",
        "OTEL_EXPORTER_OTLP_HEADERS=b=2", "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE=/l.pem",
        "OTEL_EXPORTER_OTLP_CERTIFICATE=/c.pem", "OTEL_BLRP_MAX_QUEUE_SIZE=7"));
    const struct settings_otlp *traces = &settings->otlp[SIGNAL_TRACES], *logs = &settings->otlp[SIGNAL_LOGS];

    (void)state;
    assert_string_equal(traces->url, "https://api.honeycomb.io/v1/traces");
    assert_string_equal(logs->url, "http://c/v1/logs");
    assert_int_equal(traces->timeout_ms, 10000);
    assert_int_equal(logs->timeout_ms, 30000); /* of the batch */
    assert_string_equal(values_find_pair(&traces->headers, "x-honeycomb-team"), "k");
    assert_null(values_find_pair(&logs->headers, "x-honeycomb-team"));
    assert_null(values_find_pair(&logs->headers, "b"));
    assert_string_equal(*traces->certificate, "/c.pem");
    assert_string_equal(*logs->certificate, "/l.pem");
    assert_int_equal(settings->batches[SIGNAL_TRACES].size, 512);
    assert_int_equal(settings->batches[SIGNAL_LOGS].size, 7);
    settings_give_to(settings, 12345, false, 65536);
    assert_null(*logs->certificate);
    settings_unref(settings);
}

static void test_settings_joins_urls(void **state)
{
    static const char *const urls[][3] = {
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318", "http://c:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/", "http://c:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/x", "http://c:4318/x/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/x/", "http://c:4318/x/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "https://c", "https://c/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "HTTP://c?q=1", "HTTP://c/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1]:4318", "http://[::1]:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318", "http://c:4318/"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/", "http://c:4318/"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/x", "http://c/x"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c?q=1", "http://c/?q=1"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://", "http://localhost:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://:4318", "http://localhost:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:p@", "http://localhost:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://a b", "http://localhost:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:65535", "http://c:65535/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:65536", "http://localhost:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:", "http://localhost:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1x", "http://localhost:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1", "http://localhost:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1]x", "http://localhost:4318/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:p@c:1", "http://u:p@c:1/v1/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:p@q@c", "http://localhost:4318/v1/traces"},
        {"HONEYCOMB_API_KEY", "k", "https://api.honeycomb.io/v1/traces"},
        {"OTHER", "", "http://localhost:4318/v1/traces"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char *entry;

        assert_true(asprintf(&entry, "%s=%s", urls[i][0], urls[i][1]) > 0);
        struct settings *settings = read_settings(ENTRIES(entry));
        assert_string_equal(settings->otlp[SIGNAL_TRACES].url, urls[i][2]);
        settings_unref(settings);
        free(entry);
    }
}

/* Endpoints over gRPC, with OTEL_EXPORTER_OTLP_INSECURE's value. */
static void test_settings_makes_urls_for_grpc(void **state)
{
    static const char *const urls[][4] = {
        {"OTHER", "", "false", "http://localhost:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317", "false", "http://c:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/a/b?c#d", "true", "https://c"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317", "false", "https://c:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "c", "true", "http://c"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "[::1]:4317", "true", "http://[::1]:4317"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "c:4317", "true", "http://c:4317"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:1/x", "false", "http://c:1"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "c:", "true", "http://localhost:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", ":4317", "true", "http://localhost:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "[::1", "true", "http://localhost:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "c:port", "true", "http://localhost:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "c:65536", "true", "http://localhost:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "c:1/x", "true", "http://localhost:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "dns:///c:1", "true", "http://localhost:4317"},
        {"HONEYCOMB_API_KEY", "k", "false", "https://api.honeycomb.io"},
    };
    static const char path[] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char *entry;
        char *insecure;

        assert_true(asprintf(&entry, "%s=%s", urls[i][0], urls[i][1]) > 0);
        assert_true(asprintf(&insecure, "OTEL_EXPORTER_OTLP_INSECURE=%s", urls[i][2]) > 0);
        struct settings *settings = read_settings(ENTRIES("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc", entry, insecure));
        size_t length = strlen(urls[i][3]);
        assert_int_equal(strncmp(settings->otlp[SIGNAL_TRACES].url, urls[i][3], length), 0);
        assert_string_equal(settings->otlp[SIGNAL_TRACES].url + length, path);
        if (strstr(urls[i][3], "localhost") != NULL && urls[i][1][0] != '\0')
            assert_non_null(strstr(settings_complaint(settings, 0), "http://localhost:4317 is used"));
        settings_unref(settings);
        free(insecure);
        free(entry);
    }
}

static void test_settings_fills_in_honeycomb_where_unset(void **state)
{
    (void)state;
    struct settings *settings = read_settings(ENTRIES("HONEYCOMB_API_KEY=k1"));
    assert_string_equal(values_find_pair(&settings->otlp[SIGNAL_TRACES].headers, "x-honeycomb-team"), "k1");
    assert_int_equal(settings_complaint_count(settings), 0);
    settings_unref(settings);

    settings = read_settings(ENTRIES("HONEYCOMB_API_KEY=k1", "OTEL_EXPORTER_OTLP_HEADERS=X-Honeycomb-Team=k2"));
    assert_string_equal(values_find_pair(&settings->otlp[SIGNAL_TRACES].headers, "x-honeycomb-team"), "k2");
    settings_unref(settings);
}

/* With "https://" and "1234.honeycomb.io" 255 characters: a buffer of 256 has no room for more of the host. */
#define TEN "abcdefghi."
#define TWO_HUNDRED_AND_THIRTY                                                                                         \
    TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static void test_settings_gives_the_key_to_honeycomb_only(void **state)
{
    static const struct {
        const char *entry;
        bool is_sent;
    } receivers[] = {
        {"OTEL_EXPORTER_OTLP_ENDPOINT=https://api.honeycomb.io", true},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=https://api.eu1.honeycomb.io:443/", true},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://API.Honeycomb.IO/v1/traces", true},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c", false},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c", false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=https://honeycomb.io.example.com", false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=https://nothoneycomb.io", false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=https://api.honeycomb.io:pw@example.com", false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=https://example.com/api.honeycomb.io", false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=https://" TWO_HUNDRED_AND_THIRTY "1234.honeycomb.io.c.de", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(receivers) / sizeof(receivers[0]); i++) {
        struct settings *settings = read_settings(ENTRIES("HONEYCOMB_API_KEY=k1", receivers[i].entry));
        const char *key = values_find_pair(&settings->otlp[SIGNAL_TRACES].headers, "x-honeycomb-team");

        if ((key != NULL) != receivers[i].is_sent)
            fail_msg("%s: the key is%s sent", receivers[i].entry, key != NULL ? "" : " not");
        settings_unref(settings);
    }
}

static void test_settings_says_when_the_key_is_missing(void **state)
{
    (void)state;
    struct settings *settings = read_settings(ENTRIES("HONEYCOMB_API_KEY="));
    assert_int_equal(settings_complaint_count(settings), 1);
    assert_non_null(strstr(settings_complaint(settings, 0), "HONEYCOMB_API_KEY is empty"));
    settings_unref(settings);

    settings = read_settings(ENTRIES("OTEL_EXPORTER_OTLP_HEADERS=x-honeycomb-team="));
    assert_int_equal(settings_complaint_count(settings), 1);
    assert_non_null(strstr(settings_complaint(settings, 0), "x-honeycomb-team is empty"));
    settings_unref(settings);

    settings = read_settings(ENTRIES("OTEL_EXPORTER_OTLP_ENDPOINT=https://api.eu1.honeycomb.io:443"));
    assert_int_equal(settings_complaint_count(settings), 1);
    assert_non_null(strstr(settings_complaint(settings, 0), "HONEYCOMB_API_KEY"));
    settings_unref(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_signal_form_wins_when_it_is_good),
        cmocka_unit_test(test_settings_of_one_signal_leave_the_other_alone),
        cmocka_unit_test(test_settings_joins_urls),
        cmocka_unit_test(test_settings_makes_urls_for_grpc),
        cmocka_unit_test(test_settings_fills_in_honeycomb_where_unset),
        cmocka_unit_test(test_settings_gives_the_key_to_honeycomb_only),
        cmocka_unit_test(test_settings_says_when_the_key_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
