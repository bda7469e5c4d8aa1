/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/config.h"

#include "preload/applog.h"
#include "preload/propagation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t keeps_none = UINT64_C(1) << 56;

static struct config read_entries(const char *const *entries)
{
    struct config read = {0};

    for (; *entries; entries++)
        config_add(&read, *entries);
    config_settle(&read);
    return read;
}

#define READ(...) read_entries((const char *const[]){__VA_ARGS__, NULL})

/* What the settings mean, but for the texts. */
static const char *meaning(const struct config *read)
{
    static char text[256];

    (void)snprintf(text, sizeof(text), "off=%d sampler=%s%.2f formats=%u query=%d ip=%d", read->off,
                   read->sampler.parent_based ? "parent," : "", (double)read->sampler.threshold / (double)keeps_none,
                   read->propagator_formats & 0xff, (int)read->query_mode, (int)read->client_ip_mode);
    if (read->deepbind_mode != DEEPBIND_AUTO)
        (void)strcat(text, read->deepbind_mode == DEEPBIND_KEEP ? " deepbind=keep" : " deepbind=drop");
    if (read->client_mode != CLIENT_ON)
        (void)strcat(text, read->client_mode == CLIENT_SPANS ? " client=1" : " client=2");
    if (read->environment_mode != ENVIRONMENT_ON)
        (void)sprintf(text + strlen(text), " environment=%d", (int)read->environment_mode);
    if (read->crash_mode != CRASH_AUTO)
        (void)strcat(text, read->crash_mode == CRASH_ALWAYS ? " crash=1" : " crash=2");
    if (read->crash_timeout_ms != 2000)
        (void)sprintf(text + strlen(text), " crash_ms=%u", read->crash_timeout_ms);
    if (read->log_sources != 0)
        (void)sprintf(text + strlen(text), " logs=%u", read->log_sources);
    if (read->xray_mode != XRAY_OFF)
        (void)sprintf(text + strlen(text), " xray=%d", (int)read->xray_mode);
    return text;
}

#define DEFAULT "off=0 sampler=parent,0.00 formats=17 query=0 ip=0"

#define WITH_XRAY "off=0 sampler=parent,0.00 formats=25 query=0 ip=0 xray=2"

/* Every row: good values with what they mean, and one that is bad (NULL: none is). */
static const struct {
    enum config_row row;
    const char *good, *means, *bad;
} cases[] = {
    {CONFIG_SPANSHIM_DISABLED, " True ", "off=1 sampler=parent,0.00 formats=17 query=0 ip=0", "maybe"},
    {CONFIG_SPANSHIM_DISABLED, "1", "off=1 sampler=parent,0.00 formats=17 query=0 ip=0", "yes"},
    {CONFIG_SPANSHIM_DISABLED, "0", DEFAULT, "2"},
    {CONFIG_OTEL_SDK_DISABLED, "TRUE", "off=1 sampler=parent,0.00 formats=17 query=0 ip=0", "1"},
    {CONFIG_OTEL_SDK_DISABLED, "False", DEFAULT, "on"},
    {CONFIG_OTEL_TRACES_SAMPLER, "Always_Off", "off=0 sampler=1.00 formats=17 query=0 ip=0", "often"},
    {CONFIG_OTEL_TRACES_SAMPLER, "parentbased_traceidratio", DEFAULT, "jaeger_remote"},
    {CONFIG_OTEL_TRACES_SAMPLER_ARG, "0.5", DEFAULT, NULL}, /* of no ratio sampler */
    {CONFIG_OTEL_PROPAGATORS, "none", "off=0 sampler=parent,0.00 formats=0 query=0 ip=0", "smoke"},
    {CONFIG_OTEL_PROPAGATORS, "baggage, TraceContext,tracecontext", "off=0 sampler=parent,0.00 formats=17 query=0 ip=0",
     "smoke"},
    {CONFIG_OTEL_PROPAGATORS, "xray, b3,b3multi", "off=0 sampler=parent,0.00 formats=14 query=0 ip=0", "jaeger"},
    {CONFIG_SPANSHIM_RESPONSE_TRACEPARENT, "true", DEFAULT, "00"},
    {CONFIG_SPLUNK_TRACE_RESPONSE_HEADER_ENABLED, "true", DEFAULT, "1"},
    {CONFIG_SPANSHIM_RESPONSE_TRACEPARENT_CORS, "true", DEFAULT, "*"},
    {CONFIG_SPANSHIM_RESPONSE_XRAY, "true", DEFAULT, "Root"},
    {CONFIG_SPANSHIM_ENVIRONMENT_CONTEXT, "ON", DEFAULT, "true"},
    {CONFIG_SPANSHIM_ENVIRONMENT_CONTEXT, "read", DEFAULT " environment=1", "both"},
    {CONFIG_SPANSHIM_ENVIRONMENT_CONTEXT, "write", DEFAULT " environment=2", NULL},
    {CONFIG_SPANSHIM_ENVIRONMENT_CONTEXT, "off", DEFAULT " environment=0", NULL},
    {CONFIG_SPANSHIM_IGNORE_PATHS, "/a,*b", DEFAULT, "a"},
    {CONFIG_SPANSHIM_IGNORE_USER_AGENTS, "a", DEFAULT, NULL},
    {CONFIG_SPANSHIM_CLIENT, "on", DEFAULT, "client"},
    {CONFIG_SPANSHIM_CLIENT, "Spans", DEFAULT " client=1", "true"},
    {CONFIG_SPANSHIM_CLIENT, "off", DEFAULT " client=2", "0"},
    {CONFIG_SPANSHIM_IGNORE_HOSTS, "a,10.*", DEFAULT, NULL},
    {CONFIG_SPANSHIM_MAX_SPANS_PER_SECOND, "0", DEFAULT, "1000001"},
    {CONFIG_SPANSHIM_MAX_SPANS_PER_SECOND, "5", DEFAULT, "-1"},
    {CONFIG_SPANSHIM_MAX_SPANS_PER_SECOND, "5", DEFAULT, "10/s"},
    {CONFIG_SPANSHIM_MAX_SPANS_PER_SECOND, "5", DEFAULT, "99999999999999999999999999"},
    {CONFIG_SPANSHIM_QUERY, "drop", "off=0 sampler=parent,0.00 formats=17 query=1 ip=0", "hide"},
    {CONFIG_SPANSHIM_QUERY, "KEEP", "off=0 sampler=parent,0.00 formats=17 query=2 ip=0", "redact|drop"},
    {CONFIG_SPANSHIM_QUERY, "redact", DEFAULT, "dro"},
    {CONFIG_SPANSHIM_CLIENT_IP, "anonymize", "off=0 sampler=parent,0.00 formats=17 query=0 ip=1", "half"},
    {CONFIG_SPANSHIM_CLIENT_IP, "\tnone ", "off=0 sampler=parent,0.00 formats=17 query=0 ip=2", "nobody"},
    {CONFIG_SPANSHIM_REQUEST_HEADERS, "x-a", DEFAULT, NULL},
    {CONFIG_OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS, "x-a", DEFAULT, NULL},
    {CONFIG_SPANSHIM_RESPONSE_HEADERS, "x-a", DEFAULT, NULL},
    {CONFIG_OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS, "x-a", DEFAULT, NULL},
    {CONFIG_SPANSHIM_USER_HEADER, "X-User-Id", DEFAULT, "authorization"},
    {CONFIG_SPANSHIM_AGENT, "/a=b", DEFAULT, NULL},
    {CONFIG_SPANSHIM_RUNTIME_DIR, "/r", DEFAULT, NULL},
    {CONFIG_XDG_RUNTIME_DIR, "/x", DEFAULT, NULL},
    {CONFIG_SPANSHIM_DEEPBIND, "auto", DEFAULT, "php"},
    {CONFIG_SPANSHIM_DEEPBIND, "keep", DEFAULT " deepbind=keep", "yes"},
    {CONFIG_SPANSHIM_DEEPBIND, "Drop", DEFAULT " deepbind=drop", "keep|drop"},
    {CONFIG_SPANSHIM_CRASH, "auto", DEFAULT, "on"},
    {CONFIG_SPANSHIM_CRASH, "always", DEFAULT " crash=1", "auto|always"},
    {CONFIG_SPANSHIM_CRASH, "Off", DEFAULT " crash=2", "false"},
    {CONFIG_SPANSHIM_CRASH_TIMEOUT, "2000", DEFAULT, "2s"},
    {CONFIG_SPANSHIM_CRASH_TIMEOUT, "0", DEFAULT " crash_ms=0", "60001"},
    {CONFIG_SPANSHIM_SYSTEM_ENV, "none", DEFAULT, NULL},
    {CONFIG_AWS_XRAY_DAEMON_ADDRESS, "xray:2000", WITH_XRAY, NULL},
    {CONFIG_AWS_XRAY_SDK_ENABLED, "true", DEFAULT, NULL},
    {CONFIG_AWS_XRAY_URL, "*.example.com", DEFAULT, NULL},
    {CONFIG_SPANSHIM_REQUEST_LOG, "/var/log/requests.log", DEFAULT, NULL},
    {CONFIG_OTEL_TRACES_EXPORTER, "otlp, X-Ray", DEFAULT, NULL},
    {CONFIG_OTEL_TRACES_EXPORTER, "otlp, XRay", WITH_XRAY, NULL},
    {CONFIG_SPANSHIM_EXPORTERS, "xray", WITH_XRAY, NULL},
    {CONFIG_SPANSHIM_LOGS, "stdout, StdErr,syslog", DEFAULT, "stdout,files"}, /* logs go nowhere */
    {CONFIG_SPANSHIM_LOG_FILES, "/var/log/app/*.log", DEFAULT, "app.log"},
    {CONFIG_OTEL_LOGS_EXPORTER, "OTLP, otlp_file", DEFAULT " logs=2", "loki"},
    {CONFIG_OTEL_LOGS_EXPORTER, "none", DEFAULT, NULL},
    {CONFIG_SPANSHIM_CLOUDWATCH_LOG_GROUP, "web", DEFAULT " logs=2", NULL},
    {CONFIG_SPANSHIM_EXPORTERS, "rollbar, CloudWatch", DEFAULT " logs=2", NULL},
    {CONFIG_ROLLBAR_ACCESS_TOKEN, "t0ken", DEFAULT " logs=2", NULL},
    {CONFIG_SPANSHIM_TRACEBACKS, "false", DEFAULT, "0"},
    {CONFIG_SPANSHIM_REQUEST_LINES, "combined", DEFAULT, "short"}, /* logs go nowhere */
};
enum { CASE_COUNT = sizeof(cases) / sizeof(cases[0]) };

static const char *const names[CONFIG_ROW_COUNT] = {
#define SETTING(NAME, ...) #NAME,
#define SETTING_ALSO       SETTING
#include "preload/config.def"
#undef SETTING
#undef SETTING_ALSO
};

static void assert_meaning(enum config_row row, const char *value, const char *means, bool is_bad)
{
    char entry[256];
    (void)snprintf(entry, sizeof(entry), "%s=%s", names[row], value);
    struct config read = READ(entry);

    print_message("%s\n", entry);
    assert_string_equal(meaning(&read), means);
    assert_int_equal(read.bad, is_bad ? UINT64_C(1) << row : 0);
    if (value[strspn(value, " \t")])
        assert_string_equal(read.values[row], value);
    else
        assert_null(read.values[row]);
}

static void test_config_reads_each_row(void **state)
{
    bool has_case[CONFIG_ROW_COUNT] = {false};

    (void)state;
    for (size_t i = 0; i < CASE_COUNT; i++) {
        has_case[cases[i].row] = true;
        assert_meaning(cases[i].row, cases[i].good, cases[i].means, false);
        assert_meaning(cases[i].row, "", DEFAULT, false);
        assert_meaning(cases[i].row, " \t", DEFAULT, false);
        if (cases[i].bad)
            assert_meaning(cases[i].row, cases[i].bad, DEFAULT, true);
    }
    for (size_t row = 0; row < CONFIG_ROW_COUNT; row++)
        if (!has_case[row])
            fail_msg("a row without a case: %s", names[row]);
}

static void test_config_knows_whether_traces_go_to_xray(void **state)
{
    (void)state;
    static const char *const off[] = {"n", "NO", "f", "False", "off", "0"};

    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
        char entry[64];
        (void)snprintf(entry, sizeof(entry), "AWS_XRAY_SDK_ENABLED=%s", off[i]);
        struct config read = READ("AWS_XRAY_DAEMON_ADDRESS=127.0.0.1:2000", entry);
        assert_string_equal(meaning(&read), DEFAULT);
    }
    struct config on = READ("AWS_XRAY_DAEMON_ADDRESS=127.0.0.1:2000", "AWS_XRAY_SDK_ENABLED=maybe");
    assert_string_equal(meaning(&on), WITH_XRAY);
    struct config own = READ("SPANSHIM_EXPORTERS=xray", "OTEL_TRACES_SAMPLER=always_on", "OTEL_PROPAGATORS=xray");
    assert_string_equal(meaning(&own), "off=0 sampler=0.00 formats=8 query=0 ip=0 xray=1");
}

static void test_config_takes_the_logs_that_somebody_wants(void **state)
{
    static const struct {
        const char *destination, *logs;
        unsigned sources;
    } rows[] = {
        {"OTEL_LOGS_EXPORTER=otlp", "SPANSHIM_LOGS=", APPLOG_STDERR},
        {"OTEL_LOGS_EXPORTER=otlp", "SPANSHIM_LOGS=stdout, SysLog", APPLOG_STDOUT | APPLOG_SYSLOG},
        {"OTEL_LOGS_EXPORTER=otlp", "SPANSHIM_LOGS=none", 0},
        {"OTEL_LOGS_EXPORTER=otlp", "SPANSHIM_LOGS=everything", APPLOG_STDERR},
        {"OTEL_LOGS_EXPORTER=none", "SPANSHIM_LOGS=stdout", 0},
        {"OTEL_TRACES_EXPORTER=otlp", "SPANSHIM_LOGS=stdout,stderr,syslog", 0},
        {"ROLLBAR_ACCESS_TOKEN=t0ken", "SPANSHIM_LOGS=stdout", APPLOG_STDOUT},
        {"ROLLBAR_ACCESS_TOKEN=t0ken", "SPANSHIM_TRACEBACKS=false", 0},
        {"ROLLBAR_ACCESS_TOKEN=t0ken", "SPANSHIM_TRACEBACKS=True", APPLOG_STDERR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config read = READ(rows[i].destination, rows[i].logs, "SPANSHIM_LOG_FILES=/a/*,/b");

        print_message("%s %s\n", rows[i].destination, rows[i].logs);
        assert_int_equal(read.log_sources, rows[i].sources);
    }
    struct config wanted = READ("SPANSHIM_CLOUDWATCH_LOG_GROUP=g", "SPANSHIM_LOGS=none", "SPANSHIM_LOG_FILES=/a/*,/b");
    struct config unwanted = READ("SPANSHIM_LOGS=stdout", "SPANSHIM_LOG_FILES=/a/*,/b");
    assert_int_equal(wanted.taken_log_files.count, 2);
    assert_int_equal(unwanted.taken_log_files.count, 0);
}

static void test_config_puts_requests_among_logs_that_go_somewhere(void **state)
{
    static const struct {
        const char *destination, *lines;
        enum request_lines form;
    } rows[] = {
        {"OTEL_LOGS_EXPORTER=otlp", "SPANSHIM_REQUEST_LINES=", REQUEST_LINES_OFF},
        {"OTEL_LOGS_EXPORTER=otlp", "SPANSHIM_REQUEST_LINES=line", REQUEST_LINES_SHORT},
        {"OTEL_LOGS_EXPORTER=otlp,cloudwatch", "SPANSHIM_REQUEST_LINES=", REQUEST_LINES_SHORT},
        {"OTEL_LOGS_EXPORTER=none", "SPANSHIM_REQUEST_LINES=line", REQUEST_LINES_OFF},
        {"ROLLBAR_ACCESS_TOKEN=t0ken", "SPANSHIM_REQUEST_LINES=line", REQUEST_LINES_OFF},
        {"SPANSHIM_CLOUDWATCH_LOG_GROUP=g", "SPANSHIM_REQUEST_LINES=", REQUEST_LINES_SHORT},
        {"SPANSHIM_CLOUDWATCH_LOG_GROUP=g", "SPANSHIM_REQUEST_LINES=short", REQUEST_LINES_SHORT},
        {"SPANSHIM_CLOUDWATCH_LOG_GROUP=g", "SPANSHIM_REQUEST_LINES=Off", REQUEST_LINES_OFF},
        {"SPANSHIM_CLOUDWATCH_LOG_GROUP=g", "SPANSHIM_REQUEST_LINES=combined", REQUEST_LINES_COMBINED},
        {"SPANSHIM_EXPORTERS=cloudwatch", "SPANSHIM_REQUEST_LINES=json", REQUEST_LINES_JSON},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config read = READ(rows[i].destination, rows[i].lines);

        print_message("%s %s\n", rows[i].destination, rows[i].lines);
        assert_int_equal(read.request_line_form, rows[i].form);
    }
}

static void test_config_reads_ratios(void **state)
{
    struct config good = READ("OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG= 0.25 ");
    struct config bad = READ("OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=many");

    (void)state;
    assert_string_equal(meaning(&good), "off=0 sampler=0.75 formats=17 query=0 ip=0");
    assert_string_equal(meaning(&bad), "off=0 sampler=0.00 formats=17 query=0 ip=0");
    assert_int_equal(bad.bad, 1 << CONFIG_OTEL_TRACES_SAMPLER_ARG);
}

static void test_config_first_of_a_name_counts(void **state)
{
    struct config twice = READ("SPANSHIM_AGENT=/first", "SPANSHIM_AGENT=/second");
    struct config hidden = READ("SPANSHIM_AGENT=", "SPANSHIM_AGENT=/second");

    (void)state;
    assert_string_equal(twice.agent, "/first");
    assert_null(hidden.agent);
}

static void test_config_takes_whole_names_only(void **state)
{
    struct config read =
        READ("SPANSHIM_AGENTS=/a", "SPANSHIM_AGEN=/a", "XSPANSHIM_AGENT=/a", "SPANSHIM_AGENT", "=/a", "");

    (void)state;
    assert_null(read.agent);
}

static void test_config_later_rows_of_a_field_win(void **state)
{
    struct config read =
        READ("OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS=x-a", "SPANSHIM_REQUEST_HEADERS=x-b",
             "SPANSHIM_RESPONSE_HEADERS=x-c", "OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS=");

    (void)state;
    assert_string_equal(read.request_headers, "x-a");
    assert_string_equal(read.response_headers, "x-c");
}

static void test_config_reads_a_handovers_text(void **state)
{
    static const char text[] = "aSPANSHIM_AGENT=/argument\0eSPANSHIM_AGENT=/a\0eSPANSHIM_QUERY=drop";

    (void)state;
    config_init(text, sizeof(text));
    assert_string_equal(config.agent, "/a");
    assert_int_equal(config.query_mode, REDACT_DROP);
}

static void test_config_reads_patterns(void **state)
{
    struct config read = READ("SPANSHIM_IGNORE_PATHS=/healthz, /static/*", "SPANSHIM_IGNORE_USER_AGENTS= kube-probe/* ",
                              "SPANSHIM_REQUEST_HEADERS=*", "SPANSHIM_RESPONSE_HEADERS=x-a,x-b*,,x-c");
    struct config half = READ("SPANSHIM_IGNORE_PATHS=/ok,healthz");

    (void)state;
    assert_int_equal(read.ignored_paths.count, 2);
    assert_int_equal(read.ignored_user_agents.count, 1);
    assert_int_equal(read.captured_request_headers.count, 1);
    assert_int_equal(read.captured_response_headers.count, 3);
    assert_int_equal(read.bad, 0);
    assert_int_equal(half.ignored_paths.count, 2);
    assert_int_equal(half.bad, 1 << CONFIG_SPANSHIM_IGNORE_PATHS);
}

static void test_config_uses_the_first_of_too_many_patterns(void **state)
{
    char text[512] = "SPANSHIM_IGNORE_USER_AGENTS=";

    (void)state;
    for (int i = 0; i <= GLOB_LIST_MAX; i++)
        snprintf(text + strlen(text), 8, "%d,", i);
    struct config read = READ(text);
    assert_int_equal(read.ignored_user_agents.count, GLOB_LIST_MAX);
    assert_int_equal(read.bad, 1 << CONFIG_SPANSHIM_IGNORE_USER_AGENTS);
}

static void test_config_reads_the_limit(void **state)
{
    struct config most = READ("SPANSHIM_MAX_SPANS_PER_SECOND= 1000000 ");
    struct config one = READ("SPANSHIM_MAX_SPANS_PER_SECOND=1");

    (void)state;
    assert_int_equal(most.span_limit, 1000000);
    assert_int_equal(one.span_limit, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_reads_each_row),
        cmocka_unit_test(test_config_knows_whether_traces_go_to_xray),
        cmocka_unit_test(test_config_takes_the_logs_that_somebody_wants),
        cmocka_unit_test(test_config_puts_requests_among_logs_that_go_somewhere),
        cmocka_unit_test(test_config_reads_ratios),
        cmocka_unit_test(test_config_first_of_a_name_counts),
        cmocka_unit_test(test_config_takes_whole_names_only),
        cmocka_unit_test(test_config_later_rows_of_a_field_win),
        cmocka_unit_test(test_config_reads_a_handovers_text),
        cmocka_unit_test(test_config_reads_patterns),
        cmocka_unit_test(test_config_uses_the_first_of_too_many_patterns),
        cmocka_unit_test(test_config_reads_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
