/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling rules: the forms of files, what is said about bad ones, and what the shim gets of them. */
#include "exporters/agent/xray_compile.h"
#include "exporters/agent/xray_rules.h"
#include "exporters/agent/xray_rules_file.h"
#include "preload/wire.h"
#include "preload/xray_sampling.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define S(...) #__VA_ARGS__

/* The rule of the reference set-up, as it is given to `aws xray create-sampling-rule --cli-input-json`. */
#define REFERENCE                                                                                                      \
    S({                                                                                                                \
        "SamplingRule" : {                                                                                             \
            "RuleName" : "Cruddur",                                                                                    \
            "ResourceARN" : "*",                                                                                       \
            "Priority" : 9000,                                                                                         \
            "FixedRate" : 0.1,                                                                                         \
            "ReservoirSize" : 5,                                                                                       \
            "ServiceName" : "backend-flask",                                                                           \
            "ServiceType" : "*",                                                                                       \
            "Host" : "*",                                                                                              \
            "HTTPMethod" : "*",                                                                                        \
            "URLPath" : "*",                                                                                           \
            "Version" : 1                                                                                              \
        }                                                                                                              \
    })

static struct xray_rules rules;
static char problem[XRAY_RULES_FILE_PROBLEM_SIZE];

static int tear_down(void **state)
{
    (void)state;
    xray_rules_deinit(&rules);
    return 0;
}

static void parse(const char *text)
{
    xray_rules_deinit(&rules);
    problem[0] = '\0';
    if (xray_rules_file_parse(text, strlen(text), &rules, problem) != 0)
        fail_msg("%s", problem);
}

static void refuse(const char *text, const char *expected)
{
    xray_rules_deinit(&rules);
    assert_int_equal(xray_rules_file_parse(text, strlen(text), &rules, problem), -EINVAL);
    assert_string_equal(problem, expected);
    assert_int_equal(rules.count, 0);
}

/* A rule of the AWS CLI's form, to be changed by what stands first: later members win in none of them. */
static char *record(const char *name, int priority, const char *more)
{
    char *text;

    assert_true(asprintf(&text,
                         "{\"RuleName\":\"%s\",\"Priority\":%d%s,\"FixedRate\":0.5,\"ReservoirSize\":1,"
                         "\"ServiceName\":\"*\",\"ServiceType\":\"*\",\"Host\":\"*\",\"HTTPMethod\":\"*\","
                         "\"URLPath\":\"*\",\"ResourceARN\":\"*\",\"Version\":1}",
                         name, priority, more) > 0);
    return text;
}

static void test_xray_rules_reads_the_reference_rule(void **state)
{
    (void)state;
    parse(REFERENCE);
    assert_int_equal(rules.count, 2);
    assert_string_equal(rules.rules[0].name, "Cruddur");
    assert_int_equal(rules.rules[0].priority, 9000);
    assert_true(rules.rules[0].rate == 0.1);
    assert_int_equal(rules.rules[0].reservoir, 5);
    assert_string_equal(rules.rules[0].service_name, "backend-flask");
    assert_string_equal(rules.rules[1].name, XRAY_DEFAULT_RULE);
    assert_int_equal(rules.rules[1].reservoir, 1);
    assert_true(rules.rules[1].rate == 0.05);
}

static void test_xray_rules_reads_all_ways_to_write_several(void **state)
{
    static const char *const forms[] = {"[%s,%s,{\"SamplingRule\":%s}]",
                                        "{\"SamplingRules\":[%s,{\"SamplingRule\":%s},%s]}",
                                        "{\"SamplingRuleRecords\":[%s,%s,%s],\"NextToken\":null}"};
    char *late = record("late", 20, ",\"SamplingRateBoost\":{\"MaxRate\":1,\"CooldownWindowMinutes\":5}");
    char *second = record("b", 10, ""), *first = record("a", 10, "");

    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        char *text;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        assert_true(asprintf(&text, forms[i], late, second, first) > 0);
#pragma GCC diagnostic pop
        parse(text);
        assert_int_equal(rules.count, 4);
        assert_string_equal(rules.rules[0].name, "a");
        assert_string_equal(rules.rules[1].name, "b");
        assert_string_equal(rules.rules[2].name, "late");
        free(text);
    }
    free(late);
    free(second);
    free(first);
}

static void test_xray_rules_skips_what_no_sdk_heeds(void **state)
{
    (void)state;
    parse("[{\"RuleName\":\"a\",\"Version\":2},{\"RuleName\":\"b\",\"Attributes\":{\"k\":\"v\"}},"
          "{\"RuleName\":\"c\",\"ResourceARN\":\"arn:aws:ec2:eu-west-1:1:instance/i\"}]");
    assert_int_equal(rules.count, 1);
    assert_int_equal(rules.skipped_count, 3);
}

static void test_xray_rules_names_a_rule_by_its_arn(void **state)
{
    char *text = record("x", 1, ",\"RuleARN\":\"arn:aws:xray:eu-west-1:1:sampling-rule/from-arn\"");
    char *name = strstr(text, "RuleName");

    (void)state;
    memcpy(name, "Rule_ame", 8);
    parse(text);
    assert_string_equal(rules.rules[0].name, "from-arn");
    free(text);
}

static void test_xray_rules_reads_both_versions_of_the_sdk(void **state)
{
    (void)state;
    parse("{\"version\":2,\"default\":{\"fixed_target\":1,\"rate\":0.1},\"rules\":["
          "{\"description\":\"moves\",\"host\":\"*\",\"http_method\":\"GET\",\"url_path\":\"/api/move/*\","
          "\"fixed_target\":0,\"rate\":0.05},"
          "{\"host\":\"a.example\",\"http_method\":\"*\",\"url_path\":\"*\",\"fixed_target\":7,\"rate\":3}]}");
    assert_int_equal(rules.count, 3);
    assert_string_equal(rules.rules[0].name, "rule 1 (moves)");
    assert_string_equal(rules.rules[0].path, "/api/move/*");
    assert_string_equal(rules.rules[0].method, "GET");
    assert_int_equal(rules.rules[0].reservoir, 0);
    assert_string_equal(rules.rules[1].name, "rule 2");
    assert_string_equal(rules.rules[1].host, "a.example");
    assert_true(rules.rules[1].rate == 1);
    assert_string_equal(rules.rules[2].name, XRAY_DEFAULT_RULE);
    assert_true(rules.rules[2].rate == 0.1);
    parse("{\"version\":1,\"default\":{\"fixed_target\":2,\"rate\":0},\"rules\":["
          "{\"service_name\":\"b.example\",\"http_method\":\"*\",\"url_path\":\"*\",\"fixed_target\":1,\"rate\":1}]}");
    assert_string_equal(rules.rules[0].host, "b.example");
    assert_string_equal(rules.rules[0].service_name, "*");
    parse("{\"version\":2,\"default\":{\"fixed_target\":2,\"rate\":0}}");
    assert_int_equal(rules.count, 1);
}

#define TEXT_32  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TEXT_256 TEXT_32 TEXT_32 TEXT_32 TEXT_32 TEXT_32 TEXT_32 TEXT_32 TEXT_32
#define LONG_PATTERN                                                                                                   \
    "{\"SamplingRule\":{\"RuleName\":\"a\",\"Priority\":1,\"FixedRate\":1,\"ReservoirSize\":1,"                        \
    "\"ServiceName\":\"" TEXT_256 TEXT_256 TEXT_256 TEXT_256 "a\"}}"

/* 39 letters, then one of two bytes. */
static void test_xray_rules_cuts_no_character_of_a_name(void **state)
{
    (void)state;
    parse("{\"version\":2,\"default\":{\"fixed_target\":1,\"rate\":0.1},\"rules\":["
          "{\"description\":\"a23456789012345678901234567890123456789\u00e9\",\"host\":\"*\",\"http_method\":\"*\","
          "\"url_path\":\"*\",\"fixed_target\":0,\"rate\":0.05}]}");
    assert_string_equal(rules.rules[0].name, "rule 1 (a23456789012345678901234567890123456789)");
}

static void test_xray_rules_says_what_is_wrong_with_a_file(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"{\"version\":2,", "line 1 is no JSON: string or '}' expected near end of file"},
        {"{}", "its \"version\" must be 1 or 2"},
        {"{\"version\":3,\"default\":{\"fixed_target\":1,\"rate\":1}}", "its \"version\" must be 1 or 2"},
        {"{\"version\":2}", "there is no default rule: add \"default\": {\"fixed_target\": 1, \"rate\": 0.05}"},
        {"{\"version\":2,\"default\":{\"host\":\"*\",\"fixed_target\":1,\"rate\":1}}",
         "default: take host out: it is for all requests"},
        {"{\"version\":1,\"default\":{\"url_path\":\"/\",\"fixed_target\":1,\"rate\":1}}",
         "default: take url_path out: it is for all requests"},
        {"{\"version\":2,\"default\":{\"fixed_target\":-1,\"rate\":1}}",
         "default: fixed_target must be a number, 0 or more: requests of a second"},
        {"{\"version\":2,\"default\":{\"fixed_target\":1}}",
         "default: rate must be a number from 0 to 1: the share of the other requests"},
        {"{\"version\":2,\"default\":{\"fixed_target\":1,\"rate\":1},\"rules\":{}}", "\"rules\" must be a list"},
        {"{\"version\":2,\"default\":{\"fixed_target\":1,\"rate\":1},\"rules\":[{\"service_name\":\"*\","
         "\"http_method\":\"*\",\"url_path\":\"*\",\"fixed_target\":1,\"rate\":1}]}",
         "rule 1: add host: a rule has host, http_method and url_path; \"*\" fits everything"},
        {"{\"version\":1,\"default\":{\"fixed_target\":1,\"rate\":1},\"rules\":[{\"description\":\"moves\","
         "\"service_name\":\"*\",\"http_method\":\"*\",\"fixed_target\":1,\"rate\":1}]}",
         "rule 1 (moves): add url_path: a rule has service_name, http_method and url_path; \"*\" fits everything"},
        {"{\"version\":2,\"default\":{\"fixed_target\":1,\"rate\":1},\"rules\":[{\"host\":\"*\","
         "\"http_method\":\"*\",\"url_path\":\"*\",\"fixed_target\":1,\"rate\":-0.5}]}",
         "rule 1: rate must be a number from 0 to 1: the share of the other requests"},
        {"[{\"Priority\":1}]", "rule 1 (without a name): it has neither RuleName nor RuleARN"},
        {"{\"SamplingRule\":{\"RuleName\":\"a\"}}", "rule 1 (a): Priority must be a number from 0 to 10000"},
        {"{\"SamplingRule\":{\"RuleName\":\"a\",\"Priority\":1,\"FixedRate\":2}}",
         "rule 1 (a): FixedRate must be a number from 0 to 1"},
        {"{\"SamplingRule\":{\"RuleName\":\"a\",\"Priority\":1,\"FixedRate\":1,\"ReservoirSize\":1,"
         "\"ServiceName\":\"*\",\"ServiceType\":\"\"}}",
         "rule 1 (a): ServiceType must be a text; \"*\" fits everything"},
        {LONG_PATTERN, "rule 1 (a): ServiceName is longer than 1024 bytes"},
        {"{\"SamplingRules\":7}", "its rules must be a list"},
        {"[7]", "rule 1 (without a name): it is no object"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse(cases[i].text, cases[i].expected);
}

static void test_xray_rules_reads_plain_small_files_only(void **state)
{
    char name[] = "/tmp/spanshim-rules-XXXXXX";
    int fd = mkstemp(name);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, REFERENCE, strlen(REFERENCE)), strlen(REFERENCE));
    assert_int_equal(xray_rules_file_read(name, &rules, problem), 0);
    assert_int_equal(rules.count, 2);
    xray_rules_deinit(&rules);
    assert_int_equal(ftruncate(fd, XRAY_RULES_FILE_MAX + 1), 0);
    assert_int_equal(xray_rules_file_read(name, &rules, problem), -EFBIG);
    (void)close(fd);
    (void)unlink(name);
    assert_int_equal(xray_rules_file_read(name, &rules, problem), -ENOENT);
    assert_string_equal(problem, "it can't be read: No such file or directory");
    assert_int_equal(xray_rules_file_read("/dev", &rules, problem), -EISDIR);
    assert_int_equal(xray_rules_file_read("/dev/zero", &rules, problem), -EINVAL);
}

/* what the shim gets */

static struct wire_xray_rules made;
static size_t places[WIRE_XRAY_RULES_MAX];

static size_t compile(const char *url, const char *origin)
{
    const struct xray_service_facts facts = {.name = "shop", .url = url, .origin = origin};

    return xray_compile(&rules, &facts, &made, places);
}

static void append(const char *name, const char *service, const char *type, const char *method, const char *path)
{
    const struct xray_rule rule = {.name = (char *)name,
                                   .service_name = (char *)service,
                                   .service_type = (char *)type,
                                   .host = (char *)"*",
                                   .method = (char *)method,
                                   .path = (char *)path};

    assert_int_equal(xray_rules_append(&rules, &rule), 0);
}

static void assert_text(struct wire_xray_text text, const char *expected)
{
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(made.text + text.offset, expected, text.length);
}

static void test_xray_rules_leave_out_what_cannot_fit(void **state)
{
    (void)state;
    append("other", "warehouse", "*", "*", "*");
    append("mine", "SH?P", "*", "*", "/a");
    append("container", "*", "AWS::ECS::Container", "*", "/b");
    append("all", "*", "*", "*", "*");
    append("never", "*", "*", "*", "*");
    assert_int_equal(compile(NULL, "AWS::EC2::Instance"), 0);
    assert_int_equal(made.count, 2);
    assert_int_equal(places[0], 1);
    assert_int_equal(places[1], 3);
    assert_int_equal(made.rules[0].flags, WIRE_XRAY_RULE_NAMES_SERVICE);
    assert_int_equal(made.rules[0].service.length, 0); /* it fits: no need to look at it again */
    assert_text(made.rules[0].path, "/a");
    assert_text(made.rules[0].name, "mine");
    assert_int_equal(made.rules[1].path.length, 0);

    /* An origin that nobody knows fits; where Hosts name segments, the rule for another service may fit one. */
    assert_int_equal(compile("*.example.com", NULL), 0);
    assert_int_equal(made.count, 4);
    assert_int_equal(made.rules[0].flags, 0);
    assert_text(made.rules[0].service, "warehouse");
    assert_int_equal(made.rules[1].flags, WIRE_XRAY_RULE_NAMES_SERVICE);
    assert_text(made.rules[1].service, "SH?P");
}

static void test_xray_rules_make_methods_bits(void **state)
{
    const uint16_t other = 1 << WIRE_METHOD_OTHER;

    (void)state;
    append("a", "*", "*", "GET", "*");
    append("b", "*", "*", "p*", "*");
    append("c", "*", "*", "**", "/");
    append("d", "*", "*", "PURGE", "*");
    (void)compile(NULL, NULL);
    assert_int_equal(made.count, 4);
    assert_int_equal(made.rules[0].methods, other | 1 << WIRE_METHOD_GET);
    assert_text(made.rules[0].method, "GET");
    assert_int_equal(made.rules[1].methods,
                     other | 1 << WIRE_METHOD_PATCH | 1 << WIRE_METHOD_POST | 1 << WIRE_METHOD_PUT);
    assert_int_equal(made.rules[2].methods, (1 << WIRE_METHOD_COUNT) - 1);
    assert_int_equal(made.rules[2].method.length, 0);
    assert_int_equal(made.rules[3].methods, other);
}

/* X-Ray's patterns have no escapes, the shim's have. */
static void test_xray_rules_mean_a_backslash_as_it_is(void **state)
{
    (void)state;
    append("a", "*", "*", "*", "/a\\*");
    (void)compile(NULL, NULL);
    assert_text(made.rules[0].path, "/a\\\\*");
}

static void test_xray_rules_have_limits(void **state)
{
    char path[1024];

    (void)state;
    for (int i = 0; i < 70; i++)
        append("many", "*", "*", "*", "/x");
    assert_int_equal(compile(NULL, NULL), 6);
    assert_int_equal(made.count, WIRE_XRAY_RULES_MAX);
    xray_rules_deinit(&rules);
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    for (int i = 0; i < 20; i++)
        append("long", "*", "*", "*", path);
    assert_int_equal(compile(NULL, NULL), 9);
    assert_int_equal(made.count, 11);
    assert_true(made.text_length <= WIRE_XRAY_TEXT_MAX);
    for (uint32_t i = 0; i < made.count; i++)
        assert_text(made.rules[i].path, path);
}

static void test_xray_rules_cut_names_that_are_too_long(void **state)
{
    (void)state;
    append("0123456789012345678901234567890123456789", "*", "*", "*", "*");
    (void)compile(NULL, NULL);
    assert_text(made.rules[0].name, "01234567890123456789012345678901");
}

/* The agent's half and the shim's together: does a request with this Host, method and path fit a rule with these
 * patterns? */
static bool decide(const char *host_pattern, const char *method_pattern, const char *path_pattern, const char *host,
                   enum wire_method method, const char *path)
{
    static struct wire_control control;
    struct wire_xray_tally tallies[WIRE_XRAY_TALLIES_MAX] = {0};
    const uint8_t trace_id[16] = {1};
    const struct xray_request request = {.now_ns = 1,
                                         .trace_id = trace_id,
                                         .methods = (uint16_t)(1 << method),
                                         .method = {"PURGE", 5},
                                         .host = {host, strlen(host)},
                                         .path = {path, strlen(path)}};
    struct xray_decision decision;
    const struct xray_rule rule = {.name = (char *)"a",
                                   .service_name = (char *)"*",
                                   .service_type = (char *)"*",
                                   .host = (char *)host_pattern,
                                   .method = (char *)method_pattern,
                                   .path = (char *)path_pattern};

    xray_rules_deinit(&rules);
    assert_int_equal(xray_rules_append(&rules, &rule), 0);
    (void)compile(NULL, NULL);
    control.xray[1] = made;
    control.xray_generation = 1;
    xray_sampling_decide(&control, tallies, &request, &decision);
    return tallies[0].requests == 1;
}

static void test_xray_rules_fit_as_x_rays_sdks_say(void **state)
{
    (void)state;
    assert_true(decide("*", "*", "*", "", WIRE_METHOD_GET, "/"));
    assert_true(decide("shop.example.com", "GET", "/api/*", "Shop.Example.com", WIRE_METHOD_GET, "/API/move/1"));
    assert_false(decide("shop.example.com", "*", "*", "shop.example.com:8080", WIRE_METHOD_GET, "/"));
    assert_true(decide("shop.*:80??", "*", "*", "shop.example.com:8080", WIRE_METHOD_GET, "/"));
    assert_false(decide("*", "GET", "*", "h", WIRE_METHOD_POST, "/"));
    assert_true(decide("*", "P?T", "*", "h", WIRE_METHOD_PUT, "/"));
    assert_false(decide("*", "P?T", "*", "h", WIRE_METHOD_OTHER, "/")); /* PURGE */
    assert_true(decide("*", "pur*", "*", "h", WIRE_METHOD_OTHER, "/"));
    assert_false(decide("*", "*", "/a", "h", WIRE_METHOD_GET, "/a/"));
    assert_true(decide("*", "*", "/*/b?", "h", WIRE_METHOD_GET, "/a/x/b1"));
    assert_false(decide("*", "*", "/*/b?", "h", WIRE_METHOD_GET, "/a/x/b"));
    assert_true(decide("*", "*", "/a\\*", "h", WIRE_METHOD_GET, "/a\\b")); /* a backslash is one */
    assert_false(decide("*", "*", "/a\\*", "h", WIRE_METHOD_GET, "/a*"));
    assert_true(decide("only.example", "*", "*", "", WIRE_METHOD_GET, "/")); /* no Host: it fits any */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_xray_rules_reads_the_reference_rule, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_reads_all_ways_to_write_several, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_skips_what_no_sdk_heeds, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_names_a_rule_by_its_arn, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_reads_both_versions_of_the_sdk, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_cuts_no_character_of_a_name, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_says_what_is_wrong_with_a_file, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_reads_plain_small_files_only, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_leave_out_what_cannot_fit, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_make_methods_bits, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_mean_a_backslash_as_it_is, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_have_limits, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_fit_as_x_rays_sdks_say, tear_down),
        cmocka_unit_test_teardown(test_xray_rules_cut_names_that_are_too_long, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
