/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/cloudwatch_stream.h"

#include "exporters/agent/log_event.h"
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(const struct resource *resource, const char *template, const char *expected)
{
    const struct process process = {.pid = 42, .resource = resource};
    const struct log_event event = {.process = &process, .unix_ns = UINT64_C(1700000000) * 1000000000};
    char name[CLOUDWATCH_STREAM_SIZE];

    cloudwatch_stream_write(template, &event, name);
    assert_string_equal(name, expected);
}

static void test_cloudwatch_stream_fills_in_what_it_names(void **state)
{
    static const char *const entries[] = {"OTEL_SERVICE_NAME=shop", "OTEL_RESOURCE_ATTRIBUTES=host.name=h1"};
    struct settings *settings = settings_new(entries, 2, NULL);
    struct resource *resource = resource_new(&(struct resource_facts){.executable = "/usr/bin/gunicorn"}, settings);

    (void)state;
    assert_non_null(resource);
    check(resource, "{machine}/{program}/{service}/{pid}", "h1/gunicorn/shop/42");
    check(resource, "{machine_name}/{program_name}/{service_name}/{process_id}", "h1/gunicorn/shop/42");
    check(resource, "app-{strftime:%Y-%m-%d}", "app-2023-11-14");
    check(resource, "{strftime:%H:%M}", "22-13");
    check(resource, "{unknown}{", "{unknown}{");
    check(resource, "a:b*c\td", "a-b-c-d");
    check(resource, "", "-");
    resource_free(resource);
    settings_unref(settings);
}

static void test_cloudwatch_stream_cuts_between_characters(void **state)
{
    char template[1200] = "x", expected[CLOUDWATCH_STREAM_SIZE] = "x";

    (void)state;
    for (size_t i = 0; i < 500; i++)
        strcat(template, "\xc3\xa9");
    for (size_t i = 0; i < 255; i++)
        strcat(expected, "\xc3\xa9");
    check(NULL, template, expected);
}

static void test_cloudwatch_stream_knows_what_is_dated(void **state)
{
    (void)state;
    assert_true(cloudwatch_stream_is_dated("a{strftime:%Y}"));
    assert_false(cloudwatch_stream_is_dated("{pid}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cloudwatch_stream_fills_in_what_it_names),
        cmocka_unit_test(test_cloudwatch_stream_cuts_between_characters),
        cmocka_unit_test(test_cloudwatch_stream_knows_what_is_dated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
