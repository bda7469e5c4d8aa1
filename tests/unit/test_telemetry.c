/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/telemetry.h"

#include "exporters/agent/settings.h"
#include "exporters/cli/environment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <stddef.h>

static void test_telemetry_reads_the_settings(void **state)
{
    static const struct {
        const char *envp[3];
        enum telemetry expected;
    } cases[] = {
        {{NULL}, TELEMETRY_CONSOLE},
        {{"OTEL_TRACES_EXPORTER="}, TELEMETRY_CONSOLE},
        {{"OTEL_TRACES_EXPORTER=console"}, TELEMETRY_CONSOLE},
        {{"OTEL_TRACES_EXPORTER=otlp, Console"}, TELEMETRY_CONSOLE},
        {{"OTEL_TRACES_EXPORTER=otlp"}, TELEMETRY_EXPORTED},
        {{"OTEL_TRACES_EXPORTER=otlp", "SPANSHIM_EXPORTERS=console"}, TELEMETRY_CONSOLE},
        {{"OTEL_TRACES_EXPORTER=none"}, TELEMETRY_NONE},
        {{"OTEL_TRACES_EXPORTER=none", "SPANSHIM_EXPORTERS=otlp"}, TELEMETRY_EXPORTED},
        {{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"}, TELEMETRY_EXPORTED},
        {{"OTEL_EXPORTER_OTLP_TRACES_HEADERS=a=b"}, TELEMETRY_EXPORTED},
        {{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://c:4318"}, TELEMETRY_CONSOLE},
        {{"OTEL_LOGS_EXPORTER=otlp"}, TELEMETRY_CONSOLE},
        {{"HONEYCOMB_API_KEY=k"}, TELEMETRY_EXPORTED},
        {{"SPANSHIM_CONSOLE=/tmp/traces"}, TELEMETRY_EXPORTED},
        {{"AWS_XRAY_DAEMON_ADDRESS=127.0.0.1:2000"}, TELEMETRY_EXPORTED},
        {{"AWS_XRAY_DAEMON_ADDRESS=127.0.0.1:2000", "SPANSHIM_EXPORTERS=console"}, TELEMETRY_CONSOLE},
        {{"AWS_XRAY_DAEMON_ADDRESS=127.0.0.1:2000", "AWS_XRAY_SDK_ENABLED=false"}, TELEMETRY_CONSOLE},
        {{"SPANSHIM_EXPORTERS=xray"}, TELEMETRY_EXPORTED},
        {{"ROLLBAR_ACCESS_TOKEN=t"}, TELEMETRY_CONSOLE},
        {{"ROLLBAR_ACCESS_TOKEN=t", "SPANSHIM_EXPORTERS=rollbar"}, TELEMETRY_CONSOLE},
        {{"ROLLBAR_ACCESS_TOKEN=t", "OTEL_TRACES_EXPORTER=none"}, TELEMETRY_EXPORTED},
        {{"SPANSHIM_CLOUDWATCH_LOG_GROUP=g"}, TELEMETRY_CONSOLE},
        {{"SPANSHIM_CLOUDWATCH_LOG_GROUP=g", "SPANSHIM_EXPORTERS=cloudwatch"}, TELEMETRY_CONSOLE},
        {{"SPANSHIM_EXPORTERS= Rollbar , cloudwatch"}, TELEMETRY_CONSOLE},
        {{"SPANSHIM_EXPORTERS=rollbar,otlp"}, TELEMETRY_EXPORTED},
        {{"OTEL_SDK_DISABLED=TRUE", "OTEL_TRACES_EXPORTER=otlp"}, TELEMETRY_NONE},
        {{"OTEL_SDK_DISABLED=1"}, TELEMETRY_CONSOLE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct environment env;

        environment_init(&env, cases[i].envp);
        (void)telemetry_choose_terminal(&env);
        struct settings *settings = settings_new((const char *const *)env.entries, env.count, NULL);
        if (telemetry_of(settings) != cases[i].expected)
            fail_msg("%s %s", cases[i].envp[0], cases[i].envp[0] && cases[i].envp[1] ? cases[i].envp[1] : "");
        settings_unref(settings);
        environment_deinit(&env);
    }
}

static void test_telemetry_on_the_terminal_leaves_other_destinations_as_they_are(void **state)
{
    static const struct {
        const char *envp[2], *expected;
    } cases[] = {
        {{NULL}, "console"},
        {{"SPANSHIM_EXPORTERS=rollbar"}, "console,rollbar"},
        {{"SPANSHIM_EXPORTERS=cloudwatch"}, "console,cloudwatch"},
        {{"SPANSHIM_EXPORTERS=otlp"}, "otlp"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct environment env;

        environment_init(&env, cases[i].envp);
        (void)telemetry_choose_terminal(&env);
        assert_string_equal(environment_get(&env, "SPANSHIM_EXPORTERS"), cases[i].expected);
        environment_deinit(&env);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_telemetry_reads_the_settings),
        cmocka_unit_test(test_telemetry_on_the_terminal_leaves_other_destinations_as_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
