/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/resource.h"

#include "exporters/agent/service_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ARGUMENTS_MAX = 8, ENTRIES_MAX = 4 };

static const struct {
    const char *executable;
    const char *arguments[ARGUMENTS_MAX];
    const char *entries[ENTRIES_MAX];
    const char *name;
} cases[] = {
    /* the executable */
    {"/usr/sbin/nginx", {"nginx: worker process"}, {NULL}, "nginx"},
    {"/usr/sbin/nginx (deleted)", {"nginx"}, {NULL}, "nginx"},
    /* what it was started as, if that is a plain name */
    {"/opt/shop-1.2", {"./shop"}, {NULL}, "shop"},
    {"/usr/bin/redis-check-rdb", {"/usr/bin/redis-server"}, {NULL}, "redis-server"},
    {"/bin/busybox", {"httpd", "-f"}, {NULL}, "httpd"},
    {"/bin/bash", {"-bash"}, {NULL}, "bash"},
    {"/opt/shop", {""}, {NULL}, "shop"},
    {"/opt/shop", {"/opt/"}, {NULL}, "shop"},
    {"/opt/shop", {"two words"}, {NULL}, "shop"},
    {"/opt/shop", {NULL}, {NULL}, "shop"},
    {"/usr/bin/python3.11", {"shop"}, {NULL}, "python3.11"},
    {NULL, {NULL}, {NULL}, "unknown_service"},
    /* what an interpreter runs */
    {"/usr/bin/python3.11", {"python3", "app.py"}, {NULL}, "app"},
    {"/usr/bin/python3.11", {"python3", "-u", "-W", "error", "/srv/shop.py", "-m", "x"}, {NULL}, "shop"},
    {"/usr/bin/python3.11", {"python3", "-m", "http.server", "80"}, {NULL}, "http.server"},
    {"/usr/bin/python3.11", {"python3", "/usr/bin/gunicorn", "app:app"}, {NULL}, "gunicorn"},
    {"/usr/bin/python3.11", {"python3", "-c", "print(1)"}, {NULL}, "python3.11"},
    {"/usr/bin/python3.11", {"python3"}, {NULL}, "python3.11"},
    {"/usr/bin/python3.11", {"python3", "-"}, {NULL}, "python3.11"},
    {"/usr/bin/node", {"node", "server.js"}, {NULL}, "server"},
    {"/usr/bin/nodejs", {"node", "--require", "./t.js", "--max-old-space-size=99", "api.mjs"}, {NULL}, "api"},
    {"/usr/bin/node", {"node", "-e", "1"}, {NULL}, "node"},
    {"/usr/lib/jvm/bin/java", {"java", "-Xmx1g", "-jar", "/opt/x.jar", "-p", "1"}, {NULL}, "x"},
    {"/usr/lib/jvm/bin/java", {"java", "-cp", "a.jar:b.jar", "com.example.Main"}, {NULL}, "com.example.Main"},
    {"/usr/bin/ruby3.1", {"ruby", "-I", "lib", "app.rb"}, {NULL}, "app"},
    {"/usr/bin/perl", {"perl", "-w", "srv.pl"}, {NULL}, "srv"},
    {"/usr/bin/php8.2", {"php", "-S", "0.0.0.0:80", "router.php"}, {NULL}, "router"},
    {"/usr/bin/php8.2", {"php", "-S", "0.0.0.0:80"}, {NULL}, "php8.2"},
    {"/usr/bin/python3", {"python3", "--", "app.py"}, {NULL}, "app"},
    {"/usr/bin/python3", {"python3", ".py"}, {NULL}, ".py"},
    /* settings, in order */
    {"/x", {"x"}, {"AWS_XRAY_TRACING_NAME=e"}, "e"},
    {"/x", {"x"}, {"AWS_XRAY_TRACING_NAME=e", "HONEYCOMB_SERVICE_NAME=d"}, "d"},
    {"/x", {"x"}, {"HONEYCOMB_SERVICE_NAME=d", "OTEL_RESOURCE_ATTRIBUTES=service.name=c"}, "c"},
    {"/x", {"x"}, {"OTEL_RESOURCE_ATTRIBUTES=service.name=c", "OTEL_SERVICE_NAME=b"}, "b"},
    {"/x", {"x"}, {"OTEL_RESOURCE_ATTRIBUTES=service.name="}, "x"},
    {"/x", {"x"}, {"OTEL_RESOURCE_ATTRIBUTES=service.name=c,broken"}, "x"},
};

static size_t count_of(const char *const *list, size_t most)
{
    size_t count = 0;

    while (count < most && list[count] != NULL)
        count++;
    return count;
}

static void test_resource_chooses_the_service_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct settings *settings = settings_new(cases[i].entries, count_of(cases[i].entries, ENTRIES_MAX), NULL);
        struct resource_facts facts = {.executable = cases[i].executable,
                                       .arguments = cases[i].arguments,
                                       .argument_count = count_of(cases[i].arguments, ARGUMENTS_MAX)};
        char name[64];

        service_name_choose(&facts, settings, name, sizeof(name));
        if (strcmp(name, cases[i].name) != 0)
            fail_msg("case %zu: \"%s\", not \"%s\"", i, name, cases[i].name);
        settings_unref(settings);
    }
}

static struct resource *make(const char *const *entries, size_t count)
{
    static const char *const arguments[] = {"python3", "app.py", "--password=geheim"};
    struct resource_facts facts = {.executable = "/usr/bin/python3.11", .arguments = arguments, .argument_count = 3};
    struct settings *settings = settings_new(entries, count, NULL);
    struct resource *resource = resource_new(&facts, settings);

    settings_unref(settings);
    assert_non_null(resource);
    return resource;
}

static void test_resource_describes_the_process_without_its_arguments(void **state)
{
    (void)state;
    struct resource *resource = make(NULL, 0);

    assert_string_equal(resource->attributes[0].name, "service.name");
    assert_string_equal(resource_find(resource, "service.name"), "app");
    assert_string_equal(resource_find(resource, "telemetry.sdk.name"), "spanshim");
    assert_string_equal(resource_find(resource, "telemetry.sdk.language"), "c");
    assert_non_null(resource_find(resource, "telemetry.sdk.version"));
    assert_string_equal(resource_find(resource, "process.executable.name"), "python3.11");
    assert_string_equal(resource_find(resource, "process.executable.path"), "/usr/bin/python3.11");
    assert_string_equal(resource_find(resource, "process.command"), "python3");
    assert_string_equal(resource_find(resource, "os.type"), "linux");
    assert_non_null(resource_find(resource, "host.name"));
    assert_non_null(resource_find(resource, "host.arch"));
    for (size_t i = 0; i < resource->attribute_count; i++)
        assert_null(strstr(resource->attributes[i].value, "geheim"));
    resource_free(resource);
}

static void test_resource_lets_the_user_win_but_for_the_name(void **state)
{
    static const char *const entries[] = {"OTEL_RESOURCE_ATTRIBUTES=host.name=web1,service.name=x,telemetry.sdk.name=y,"
                                          "deployment.environment.name=prod,deployment.environment.name=test",
                                          "OTEL_SERVICE_NAME=shop"};
    size_t names = 0;

    (void)state;
    struct resource *resource = make(entries, 2);
    assert_string_equal(resource_find(resource, "service.name"), "shop");
    assert_string_equal(resource_find(resource, "host.name"), "web1");
    assert_string_equal(resource_find(resource, "telemetry.sdk.name"), "spanshim");
    for (size_t i = 0; i < resource->attribute_count; i++)
        names += strcmp(resource->attributes[i].name, "deployment.environment.name") == 0;
    assert_int_equal(names, 1);
    resource_free(resource);
}

static void test_resource_is_valid_utf8(void **state)
{
    static const char *const entries[] = {"OTEL_SERVICE_NAME=sh\xffop", "OTEL_RESOURCE_ATTRIBUTES=a=%ff%c3%a4"};

    (void)state;
    struct resource *resource = make(entries, 2);
    assert_string_equal(resource_find(resource, "service.name"), "sh\xef\xbf\xbdop");
    assert_string_equal(resource_find(resource, "a"), "\xef\xbf\xbd\xc3\xa4");
    resource_free(resource);
}

static void test_resource_finds_out_only_what_is_asked_for(void **state)
{
    static const char *const none[] = {"SPANSHIM_RESOURCE_DETECTORS=none", "OTEL_RESOURCE_ATTRIBUTES=a=b"};
    static const char *const some[] = {"SPANSHIM_RESOURCE_DETECTORS=os,host"};

    (void)state;
    struct resource *resource = make(none, 2);
    assert_string_equal(resource_find(resource, "a"), "b");
    for (size_t i = 0; i < resource->attribute_count; i++)
        assert_true(strncmp(resource->attributes[i].name, "telemetry.", 10) == 0 ||
                    strcmp(resource->attributes[i].name, "service.name") == 0 || i + 1 == resource->attribute_count);
    assert_false(resource->describes_process);
    resource_free(resource);

    resource = make(some, 1);
    assert_string_equal(resource_find(resource, "os.type"), "linux");
    assert_non_null(resource_find(resource, "host.arch"));
    assert_null(resource_find(resource, "process.command"));
    resource_free(resource);
}

static void test_resource_takes_the_arguments_when_it_is_told_to(void **state)
{
    static const char *const entries[] = {"SPANSHIM_COMMAND_ARGS=true"};

    (void)state;
    struct resource *resource = make(entries, 1);
    assert_int_equal(resource->command_arg_count, 3);
    assert_string_equal(resource->command_args[2], "--password=geheim");
    resource_free(resource);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resource_chooses_the_service_name),
        cmocka_unit_test(test_resource_describes_the_process_without_its_arguments),
        cmocka_unit_test(test_resource_lets_the_user_win_but_for_the_name),
        cmocka_unit_test(test_resource_is_valid_utf8),
        cmocka_unit_test(test_resource_finds_out_only_what_is_asked_for),
        cmocka_unit_test(test_resource_takes_the_arguments_when_it_is_told_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
