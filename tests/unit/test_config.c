/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/config.h"

#include "preload/propagation.h"
#include "preload/slice.h"
#include "tests/support/shim_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Settings are read once per process: each case is one of its own. It exits with 1 when what it is asked does not
 * hold, and with 2 when the core does not start. */
static int status_of(const char *variable, bool (*holds)(void))
{
    char *environment[] = {(char *)(uintptr_t)variable, NULL};
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(shim_core_init(environment) ? !holds() : 2);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define ASSERT_HOLDS(variable, holds) assert_int_equal(status_of(variable, holds), 0)

/* The complaint that stands in the ring; "" for none, "?" for more than one. Put there by the second report no more. */
static void read_complaint(char text[256])
{
    struct wire_ring *ring = shim_core_ring(1, 64, 64);
    union shim_record record;
    size_t length;

    text[0] = '\0';
    config_report();
    config_report();
    if (shim_core_take(ring, 0, &record, &length) != WIRE_RECORD_DIAGNOSTIC)
        return;
    memcpy(text, record.diagnostic.text, record.diagnostic.text_length);
    text[record.diagnostic.text_length] = '\0';
    if (record.diagnostic.level != WIRE_LEVEL_WARN || record.diagnostic.time_ns == 0 ||
        length != sizeof(record.diagnostic) + record.diagnostic.text_length ||
        shim_core_take(ring, 0, &record, &length) != WIRE_RECORD_NONE)
        strcpy(text, "?");
}

static bool has_no_complaint(void)
{
    char text[256];

    read_complaint(text);
    return text[0] == '\0';
}

static bool is_default(void)
{
    return !config.off && config.sampler.parent_based && config.sampler.threshold == 0 &&
           config.propagator_formats == PROPAGATION_DEFAULT_FORMATS && config.query_mode == REDACT_VALUES &&
           config.client_ip_mode == REDACT_IP_FULL && has_no_complaint();
}

static void test_config_empty_is_unset(void **state)
{
    static const char *const names[] = {
#define SETTING(NAME, field, TYPE, preset, range, help) #NAME "=",
#include "preload/config.def"
#undef SETTING
    };

    (void)state;
    ASSERT_HOLDS("PATH=/bin", is_default);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ASSERT_HOLDS(names[i], is_default);
}

static bool is_off(void)
{
    return config.off && has_no_complaint();
}

static void test_config_switches_off(void **state)
{
    (void)state;
    ASSERT_HOLDS("SPANSHIM_DISABLED=true", is_off);
    ASSERT_HOLDS("SPANSHIM_DISABLED=TRUE", is_off);
    ASSERT_HOLDS("SPANSHIM_DISABLED=1", is_off);
    ASSERT_HOLDS("SPANSHIM_DISABLED=0", is_default);
    ASSERT_HOLDS("SPANSHIM_DISABLED=false", is_default);
    ASSERT_HOLDS("OTEL_SDK_DISABLED=true", is_off);
    ASSERT_HOLDS("OTEL_SDK_DISABLED=False", is_default);
}

static bool drops_queries(void)
{
    return config.query_mode == REDACT_DROP && has_no_complaint();
}

static bool keeps_queries(void)
{
    return config.query_mode == REDACT_KEEP && has_no_complaint();
}

static bool anonymizes(void)
{
    return config.client_ip_mode == REDACT_IP_ANONYMIZE && has_no_complaint();
}

static bool notes_no_addresses(void)
{
    return config.client_ip_mode == REDACT_IP_NONE && has_no_complaint();
}

static void test_config_chooses_what_is_redacted(void **state)
{
    (void)state;
    ASSERT_HOLDS("SPANSHIM_QUERY=drop", drops_queries);
    ASSERT_HOLDS("SPANSHIM_QUERY=Keep", keeps_queries);
    ASSERT_HOLDS("SPANSHIM_QUERY=redact", is_default);
    ASSERT_HOLDS("SPANSHIM_CLIENT_IP=anonymize", anonymizes);
    ASSERT_HOLDS("SPANSHIM_CLIENT_IP=none", notes_no_addresses);
    ASSERT_HOLDS("SPANSHIM_CLIENT_IP=FULL", is_default);
}

static bool samples_nothing(void)
{
    return config.sampler.threshold == UINT64_C(1) << 56 && !config.sampler.parent_based && has_no_complaint();
}

static bool propagates_nothing(void)
{
    return config.propagator_formats == 0 && has_no_complaint();
}

static void test_config_reads_sampler_and_propagators(void **state)
{
    (void)state;
    ASSERT_HOLDS("OTEL_TRACES_SAMPLER=always_off", samples_nothing);
    ASSERT_HOLDS("OTEL_TRACES_SAMPLER=parentbased_always_on", is_default);
    ASSERT_HOLDS("OTEL_TRACES_SAMPLER_ARG=0.5", is_default); /* of no ratio sampler */
    ASSERT_HOLDS("OTEL_PROPAGATORS=none", propagates_nothing);
    ASSERT_HOLDS("OTEL_PROPAGATORS=tracecontext", is_default);
}

static bool has_texts(void)
{
    return config.agent && strcmp(config.agent, "/a=b") == 0 && !config.runtime_dir && has_no_complaint();
}

static void test_config_keeps_texts(void **state)
{
    (void)state;
    ASSERT_HOLDS("SPANSHIM_AGENT=/a=b", has_texts);
    ASSERT_HOLDS("SPANSHIM_AGENTS=/a", is_default); /* another name that begins alike */
}

static const char *expected; /* of the case that runs */

static bool complains(void)
{
    char text[256];

    read_complaint(text);
    if (strcmp(text, expected) == 0)
        return true;
    print_message("complaint: %s\n", text);
    return false;
}

static bool complains_and_is_default(void)
{
    return !config.off && config.sampler.threshold == 0 && config.query_mode == REDACT_VALUES &&
           config.client_ip_mode == REDACT_IP_FULL && complains();
}

static void test_config_complains_once_by_name(void **state)
{
    static const char *const bad[][2] = {
        {"SPANSHIM_DISABLED=maybe", "SPANSHIM_DISABLED=maybe is not understood; used instead: false"},
        {"OTEL_SDK_DISABLED=1", "OTEL_SDK_DISABLED=1 is not understood; used instead: false"},
        {"SPANSHIM_QUERY=hide", "SPANSHIM_QUERY=hide is not understood; used instead: redact"},
        {"SPANSHIM_CLIENT_IP=half", "SPANSHIM_CLIENT_IP=half is not understood; used instead: full"},
        {"OTEL_TRACES_SAMPLER=often",
         "OTEL_TRACES_SAMPLER=often is not understood; used instead: parentbased_always_on"},
        {"OTEL_PROPAGATORS=smoke", "OTEL_PROPAGATORS=smoke is not understood; used instead: tracecontext,baggage"},
        {"SPANSHIM_QUERY=0123456789012345678901234567890123456789 and a long tail",
         "SPANSHIM_QUERY=0123456789012345678901234567890123456789 is not understood; used instead: redact"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expected = bad[i][1];
        ASSERT_HOLDS(bad[i][0], complains_and_is_default);
    }
}

static void test_config_complains_of_a_bad_ratio(void **state)
{
    static char *environment[] = {(char *)(uintptr_t) "OTEL_TRACES_SAMPLER=traceidratio",
                                  (char *)(uintptr_t) "OTEL_TRACES_SAMPLER_ARG=many", NULL};
    int status;
    pid_t child;

    (void)state;
    expected = "OTEL_TRACES_SAMPLER_ARG=many is not understood; used instead: 1.0";
    child = fork();
    if (child == 0)
        _exit(!shim_core_init(environment) || config.sampler.threshold != 0 || !complains());
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static bool names(const char *list, const char *name)
{
    return config_names_header(list, (struct slice){name, strlen(name)});
}

static void test_config_names_headers_in_any_case(void **state)
{
    (void)state;
    assert_true(names("X-Request-Id, content-type", "x-request-id"));
    assert_true(names(" x-a ,\tContent-Type\t", "CONTENT-TYPE"));
    assert_false(names("x-request-id", "x-request"));
    assert_false(names("x-request", "x-request-id"));
    assert_false(names("x-a x-b", "x-a"));
    assert_false(names("", "x-a"));
    assert_false(names(NULL, "x-a"));
    assert_false(names(",,", "x-a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_empty_is_unset),
        cmocka_unit_test(test_config_switches_off),
        cmocka_unit_test(test_config_chooses_what_is_redacted),
        cmocka_unit_test(test_config_reads_sampler_and_propagators),
        cmocka_unit_test(test_config_keeps_texts),
        cmocka_unit_test(test_config_complains_once_by_name),
        cmocka_unit_test(test_config_complains_of_a_bad_ratio),
        cmocka_unit_test(test_config_names_headers_in_any_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
