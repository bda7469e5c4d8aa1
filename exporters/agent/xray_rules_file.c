/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/xray_rules_file.h"

#include "exporters/encode/json_access.h"
#include "exporters/encode/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = 80, DESCRIPTION_SIZE = 41 };
static char any[] = "*";

/* Of the form that the SDKs read. */
static const char *const request_keys[] = {"host", "service_name", "http_method", "url_path"};

static int complain(char problem[XRAY_RULES_FILE_PROBLEM_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int complain(char problem[XRAY_RULES_FILE_PROBLEM_SIZE], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(problem, XRAY_RULES_FILE_PROBLEM_SIZE, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* What a rule is called in messages: its description, or where it stands. */
static void name_rule(const json_t *object, size_t number, char name[NAME_SIZE])
{
    const char *description = json_text_of(object, "description");
    char shown[DESCRIPTION_SIZE] = "";

    if (description != NULL)
        utf8_copy(description, shown, sizeof(shown)); /* no character is cut in two: the status shows it */
    if (number == 0)
        (void)snprintf(name, NAME_SIZE, XRAY_DEFAULT_RULE);
    else if (description != NULL)
        (void)snprintf(name, NAME_SIZE, "rule %zu (%s)", number, shown);
    else
        (void)snprintf(name, NAME_SIZE, "rule %zu", number);
}

/* fixed_target and rate, which every rule must have. */
static int take_numbers(const json_t *object, struct xray_rule *rule, char problem[XRAY_RULES_FILE_PROBLEM_SIZE])
{
    const json_t *target = json_object_get(object, "fixed_target");
    const json_t *rate = json_object_get(object, "rate");

    if (!json_is_number(target) || json_number_value(target) < 0 || json_number_value(target) > INT32_MAX)
        return complain(problem, "%s: fixed_target must be a number, 0 or more: requests of a second", rule->name);
    if (!json_is_number(rate) || json_number_value(rate) < 0)
        return complain(problem, "%s: rate must be a number from 0 to 1: the share of the other requests", rule->name);
    rule->reservoir = (uint32_t)json_number_value(target);
    rule->rate = json_number_value(rate) < 1 ? json_number_value(rate) : 1;
    return 0;
}

static int append_default(const json_t *root, struct xray_rules *rules, char problem[XRAY_RULES_FILE_PROBLEM_SIZE])
{
    const json_t *object = json_object_get(root, "default");
    char name[NAME_SIZE];
    struct xray_rule rule = {
        .name = name, .service_name = any, .service_type = any, .host = any, .method = any, .path = any};
    int r;

    if (!json_is_object(object))
        return complain(problem, "there is no default rule: add \"default\": {\"fixed_target\": 1, \"rate\": 0.05}");
    for (size_t i = 0; i < sizeof(request_keys) / sizeof(request_keys[0]); i++)
        if (json_object_get(object, request_keys[i]) != NULL)
            return complain(problem, "default: take %s out: it is for all requests", request_keys[i]);
    name_rule(object, 0, name);
    r = take_numbers(object, &rule, problem);
    return r != 0 ? r : xray_rules_append(rules, &rule);
}

static int append_rule(const json_t *object, size_t number, const char *host_key, struct xray_rules *rules,
                       char problem[XRAY_RULES_FILE_PROBLEM_SIZE])
{
    const char *host = json_text_of(object, host_key);
    const char *method = json_text_of(object, "http_method");
    const char *path = json_text_of(object, "url_path");
    char name[NAME_SIZE];
    struct xray_rule rule = {.name = name,
                             .service_name = any,
                             .service_type = any,
                             .host = (char *)host,
                             .method = (char *)method,
                             .path = (char *)path};
    int r;

    name_rule(object, number, name);
    if (host == NULL || method == NULL || path == NULL)
        return complain(problem, "%s: add %s: a rule has %s, http_method and url_path; \"*\" fits everything", name,
                        host == NULL     ? host_key
                        : method == NULL ? "http_method"
                                         : "url_path",
                        host_key);
    r = take_numbers(object, &rule, problem);
    return r != 0 ? r : xray_rules_append(rules, &rule);
}

/* {"version": 2, "rules": [...], "default": {...}}; version 1 has service_name where 2 has host. */
static int parse_sdk_form(const json_t *root, struct xray_rules *rules, char problem[XRAY_RULES_FILE_PROBLEM_SIZE])
{
    const json_t *version = json_object_get(root, "version");
    const json_t *list = json_object_get(root, "rules");
    bool is_first = json_number_value(version) == 1;
    size_t i;
    const json_t *object;
    int r;

    if (!is_first && json_number_value(version) != 2)
        return complain(problem, "its \"version\" must be 1 or 2");
    if (list != NULL && !json_is_array(list))
        return complain(problem, "\"rules\" must be a list");
    json_array_foreach(list, i, object)
    {
        r = append_rule(object, i + 1, is_first ? "service_name" : "host", rules, problem);
        if (r != 0)
            return r;
    }
    return append_default(root, rules, problem);
}

static int append_record(const json_t *record, size_t number, struct xray_rules *rules,
                         char problem[XRAY_RULES_FILE_PROBLEM_SIZE])
{
    const json_t *inner = json_object_get(record, "SamplingRule");
    const char *name = json_text_of(inner != NULL ? inner : record, "RuleName");
    char what[XRAY_PROBLEM_SIZE];
    int r = xray_rules_append_record(rules, record, what);

    if (r == -EINVAL)
        return complain(problem, "rule %zu (%.40s): %.150s", number, name != NULL ? name : "without a name", what);
    return r;
}

/* As `aws xray create-sampling-rule --cli-input-json` reads one, or as get-sampling-rules writes them. */
static int parse_cli_form(const json_t *root, struct xray_rules *rules, char problem[XRAY_RULES_FILE_PROBLEM_SIZE])
{
    const json_t *records = json_object_get(root, "SamplingRuleRecords");
    const json_t *list = json_is_array(root) ? root
                         : records != NULL   ? records
                                             : json_object_get(root, "SamplingRules");
    size_t i;
    const json_t *record;
    int r = 0;

    if (list != NULL && !json_is_array(list))
        return complain(problem, "its rules must be a list");
    if (list == NULL)
        r = append_record(root, 1, rules, problem);
    json_array_foreach(list, i, record)
    {
        r = append_record(record, i + 1, rules, problem);
        if (r != 0)
            break;
    }
    if (r != 0)
        return r;
    xray_rules_sort(rules);
    return xray_rules_append_default(rules);
}

static int parse(const json_t *root, struct xray_rules *rules, char problem[XRAY_RULES_FILE_PROBLEM_SIZE])
{
    static const char *const cli_keys[] = {"SamplingRule", "SamplingRules", "SamplingRuleRecords", "RuleName",
                                           "RuleARN"};
    bool is_of_cli = json_is_array(root);

    for (size_t i = 0; i < sizeof(cli_keys) / sizeof(cli_keys[0]); i++)
        is_of_cli |= json_object_get(root, cli_keys[i]) != NULL;
    return is_of_cli ? parse_cli_form(root, rules, problem) : parse_sdk_form(root, rules, problem);
}

int xray_rules_file_parse(const char *text, size_t length, struct xray_rules *rules,
                          char problem[XRAY_RULES_FILE_PROBLEM_SIZE])
{
    json_error_t where;
    json_t *root = json_loadb(text, length, 0, &where);
    int r;

    if (root == NULL)
        return complain(problem, "line %d is no JSON: %.120s", where.line, where.text);
    r = parse(root, rules, problem);
    json_decref(root);
    if (r == -ENOMEM)
        (void)complain(problem, "%s", strerror(ENOMEM));
    if (r != 0)
        xray_rules_deinit(rules);
    return r;
}

/* Plain and small, or not at all: nothing may keep the loop waiting. */
static int read_plain(int fd, char **ret_text, size_t *ret_length)
{
    struct stat status;
    ssize_t length;

    if (fstat(fd, &status) != 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
    if (status.st_size > XRAY_RULES_FILE_MAX)
        return -EFBIG;
    *ret_text = malloc((size_t)status.st_size + 1);
    if (*ret_text == NULL)
        return -ENOMEM;
    length = read(fd, *ret_text, (size_t)status.st_size);
    if (length < 0) {
        int error = -errno;

        free(*ret_text);
        return error;
    }
    *ret_length = (size_t)length;
    return 0;
}

int xray_rules_file_read(const char *path, struct xray_rules *rules, char problem[XRAY_RULES_FILE_PROBLEM_SIZE])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int r = fd < 0 ? -errno : 0;
    char *text;
    size_t length;

    if (r == 0) {
        r = read_plain(fd, &text, &length);
        (void)close(fd);
    }
    if (r != 0) {
        (void)complain(problem, "it can't be read: %s", strerror(-r));
        return r;
    }
    r = xray_rules_file_parse(text, length, rules, problem);
    free(text);
    return r;
}
