/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/facts.h"

#include "preload/arena.h"
#include "preload/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Facts are taken once per process: each case is one of its own, whose exit status is its verdict. */
static void assert_in_child(bool (*holds)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(arena_init() || !holds());
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

/* The entry with this beginning; how many there are in all. */
static unsigned count_entries(const char *beginning)
{
    size_t length;
    const char *entry = facts_text(&length);
    unsigned count = 0;

    for (const char *end = entry + length; entry < end; entry += strlen(entry) + 1)
        count += strncmp(entry, beginning, strlen(beginning)) == 0;
    return count;
}

static char *text_of(char fill, size_t length)
{
    char *text = malloc(length + 1);

    memset(text, fill, length);
    text[length] = '\0';
    return text;
}

/* NAME=vvv... of this length altogether. */
static char *variable_of(const char *name, size_t length)
{
    char *text = text_of('v', length);

    memcpy(text, name, strlen(name));
    return text;
}

static bool takes_arguments_and_settings(void)
{
    static char *arguments[] = {(char *)(uintptr_t) "python3", (char *)(uintptr_t) "", (char *)(uintptr_t) "app.py",
                                NULL};
    static char *environment[] = {(char *)(uintptr_t) "OTEL_SERVICE_NAME=shop",
                                  (char *)(uintptr_t) "PATH=/bin",
                                  (char *)(uintptr_t) "SPANSHIM_QUERY=",
                                  (char *)(uintptr_t) "AWS_SECRET_ACCESS_KEY=secret",
                                  (char *)(uintptr_t) "AWS_XRAY_TRACING_NAME=x",
                                  (char *)(uintptr_t) "HOMEBREW=1",
                                  (char *)(uintptr_t) "HOME=/root",
                                  (char *)(uintptr_t) "TZ=:Europe/Berlin",
                                  (char *)(uintptr_t) "TZDIR=/x",
                                  (char *)(uintptr_t) "https_proxy=http://p",
                                  (char *)(uintptr_t) "no_proxyX=1",
                                  (char *)(uintptr_t) "OTEL_broken",
                                  NULL};
    static const char expected[] =
        "apython3\0a\0aapp.py\0eOTEL_SERVICE_NAME=shop\0eSPANSHIM_QUERY=\0"
        "eAWS_XRAY_TRACING_NAME=x\0eHOME=/root\0eTZ=:Europe/Berlin\0ehttps_proxy=http://p\0eOTEL_broken";
    size_t length;
    const char *text;

    if (facts_init(arguments, environment) != 0)
        return false;
    facts_drop_credentials();
    text = facts_text(&length);
    return length == sizeof(expected) && memcmp(text, expected, length) == 0;
}

static void test_facts_takes_arguments_and_settings(void **state)
{
    (void)state;
    assert_in_child(takes_arguments_and_settings);
}

/* Credentials stay in the program where nothing is signed with them. */
static bool hands_over_credentials(const char *setting)
{
    char *environment[] = {
        (char *)(uintptr_t) "AWS_ACCESS_KEY_ID=id",        (char *)(uintptr_t) "AWS_SECRET_ACCESS_KEY=s",
        (char *)(uintptr_t) "AWS_SESSION_TOKEN=t",         (char *)(uintptr_t) "AWS_PROFILE=shop",
        (char *)(uintptr_t) "AWS_CONTAINER_X=c",           (char *)(uintptr_t)setting,
        (char *)(uintptr_t) "AWS_EC2_METADATA_DISABLED=1", (char *)(uintptr_t) "AWS_REGION=r",
        (char *)(uintptr_t) "AWS_SECRET_OF_ANOTHER=s",     NULL};

    if (facts_init(NULL, environment) != 0)
        return false;
    facts_drop_credentials();
    return count_entries("eAWS_EC2_METADATA_DISABLED=1") + count_entries("eAWS_REGION=r") == 2 &&
           count_entries("eAWS_SECRET_OF") == 0 && count_entries("eAWS_SECRET_ACCESS_KEY=s") == 1 &&
           count_entries("e") == 8;
}

static bool keeps_them_back(void)
{
    return !hands_over_credentials("OTEL_EXPORTER_OTLP_ENDPOINT=http://amazonaws.com.example:4318") &&
           count_entries("e") == 3;
}

static bool for_calls_of_xray(void)
{
    return hands_over_credentials("SPANSHIM_XRAY_VIA= API");
}

static bool for_signed_otlp(void)
{
    return hands_over_credentials("SPANSHIM_OTLP_SIGV4=on");
}

static bool for_an_endpoint_of_aws(void)
{
    return hands_over_credentials("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://xray.eu-west-1.amazonaws.com/v1/traces");
}

static bool for_a_log_group(void)
{
    return hands_over_credentials("SPANSHIM_CLOUDWATCH_LOG_GROUP=/shop");
}

static bool not_for_an_empty_log_group(void)
{
    return !hands_over_credentials("SPANSHIM_CLOUDWATCH_LOG_GROUP= ") && count_entries("e") == 3;
}

static bool not_for_the_daemon(void)
{
    return !hands_over_credentials("SPANSHIM_XRAY_VIA=daemon") && count_entries("e") == 3;
}

static void test_facts_takes_credentials_where_requests_are_signed(void **state)
{
    (void)state;
    assert_in_child(for_calls_of_xray);
    assert_in_child(for_signed_otlp);
    assert_in_child(for_an_endpoint_of_aws);
    assert_in_child(for_a_log_group);
    assert_in_child(not_for_an_empty_log_group);
    assert_in_child(keeps_them_back);
    assert_in_child(not_for_the_daemon);
}

static bool takes_nothing(void)
{
    size_t length;

    return facts_init(NULL, NULL) == 0 && facts_text(&length) != NULL && length == 0;
}

static void test_facts_takes_nothing_where_nothing_is(void **state)
{
    (void)state;
    assert_in_child(takes_nothing);
}

static bool leaves_out_what_is_too_long(void)
{
    char *arguments[] = {(char *)(uintptr_t) "program", text_of('l', 1024), text_of('k', 1023), NULL};
    char *environment[] = {variable_of("OTEL_LONG=", 8192), variable_of("OTEL_FITS=", 8191),
                           (char *)(uintptr_t) "OTEL_LAST=1", NULL};

    return facts_init(arguments, environment) == 0 && count_entries("al") == 0 && count_entries("ak") == 1 &&
           count_entries("oOTEL_LONG") == 1 && count_entries("eOTEL_LONG") == 0 && count_entries("eOTEL_FITS") == 1 &&
           count_entries("eOTEL_LAST=1") == 1;
}

static void test_facts_leaves_out_what_is_too_long(void **state)
{
    (void)state;
    assert_in_child(leaves_out_what_is_too_long);
}

/* Whatever a program is given, the hand-over's message has room for it and for two paths. */
static bool stays_in_bounds(void)
{
    char *arguments[101], *environment[1001];
    size_t length;
    const char *text;

    for (int i = 0; i < 100; i++)
        arguments[i] = text_of('a', 1000);
    for (int i = 0; i < 1000; i++)
        environment[i] = variable_of("OTEL_X=", 100 + (size_t)i * 7);
    arguments[100] = environment[1000] = NULL;
    if (facts_init(arguments, environment) != 0)
        return false;
    text = facts_text(&length);
    return count_entries("aa") == 16 && count_entries("o") == 1 && count_entries("oOTEL_X") == 1 &&
           length > 16 * 1000 && text[length - 1] == '\0' &&
           sizeof(struct wire_message) + length + 2 * WIRE_PAGE <= WIRE_MESSAGE_MAX;
}

static void test_facts_stays_in_bounds(void **state)
{
    (void)state;
    assert_in_child(stays_in_bounds);
}

/* Programs overwrite both for their process title. */
static bool keeps_a_copy(void)
{
    char argument[] = "nginx: master", variable[] = "OTEL_SERVICE_NAME=shop";
    char *arguments[] = {argument, NULL}, *environment[] = {variable, NULL};

    if (facts_init(arguments, environment) != 0)
        return false;
    memset(argument, 'x', sizeof(argument) - 1);
    memset(variable, 'x', sizeof(variable) - 1);
    return count_entries("anginx: master") == 1 && count_entries("eOTEL_SERVICE_NAME=shop") == 1;
}

static void test_facts_keeps_a_copy(void **state)
{
    (void)state;
    assert_in_child(keeps_a_copy);
}

static bool fails_without_memory(void)
{
    while (arena_alloc(4096))
        ;
    return facts_init(NULL, NULL) < 0;
}

static void test_facts_fails_without_memory(void **state)
{
    (void)state;
    assert_in_child(fails_without_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts_takes_arguments_and_settings),
        cmocka_unit_test(test_facts_takes_credentials_where_requests_are_signed),
        cmocka_unit_test(test_facts_takes_nothing_where_nothing_is),
        cmocka_unit_test(test_facts_leaves_out_what_is_too_long),
        cmocka_unit_test(test_facts_stays_in_bounds),
        cmocka_unit_test(test_facts_keeps_a_copy),
        cmocka_unit_test(test_facts_fails_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
