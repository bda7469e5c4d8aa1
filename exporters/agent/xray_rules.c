/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/xray_rules.h"

#include "exporters/encode/json_access.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RULE_VERSION = 1, TEXT_MAX = 1024 /* X-Ray's own are of 128 characters at most */ };

static void free_texts(struct xray_rule *rule)
{
    free(rule->name);
    free(rule->service_name);
    free(rule->service_type);
    free(rule->host);
    free(rule->method);
    free(rule->path);
}

void xray_rules_deinit(struct xray_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free_texts(&rules->rules[i]);
    free(rules->rules);
    *rules = (struct xray_rules){0};
}

int xray_rules_append(struct xray_rules *rules, const struct xray_rule *rule)
{
    struct xray_rule *grown = realloc(rules->rules, (rules->count + 1) * sizeof(*grown));
    struct xray_rule copy = *rule;

    if (grown == NULL)
        return -ENOMEM;
    rules->rules = grown;
    copy.name = strdup(rule->name);
    copy.service_name = strdup(rule->service_name);
    copy.service_type = strdup(rule->service_type);
    copy.host = strdup(rule->host);
    copy.method = strdup(rule->method);
    copy.path = strdup(rule->path);
    if (copy.name == NULL || copy.service_name == NULL || copy.service_type == NULL || copy.host == NULL ||
        copy.method == NULL || copy.path == NULL) {
        free_texts(&copy);
        return -ENOMEM;
    }
    grown[rules->count++] = copy;
    return 0;
}

int xray_rules_append_default(struct xray_rules *rules)
{
    static char any[] = "*", name[] = XRAY_DEFAULT_RULE;
    const struct xray_rule rule = {.name = name,
                                   .rate = 0.05,
                                   .reservoir = 1,
                                   .service_name = any,
                                   .service_type = any,
                                   .host = any,
                                   .method = any,
                                   .path = any};

    return xray_rules_append(rules, &rule);
}

/* The last part of its ARN, where that is all there is. NULL: it has none that can be one. */
static const char *name_of(const json_t *object)
{
    const char *name = json_text_of(object, "RuleName");
    const char *arn = json_text_of(object, "RuleARN");
    const char *slash = arn != NULL ? strrchr(arn, '/') : NULL;

    if (name == NULL)
        name = slash != NULL && slash[1] != '\0' ? slash + 1 : NULL;
    return name != NULL && strlen(name) <= TEXT_MAX ? name : NULL;
}

/* A member that must be a number of this range. */
static bool take_number(const json_t *object, const char *key, double most, double *ret_value,
                        char problem[XRAY_PROBLEM_SIZE])
{
    const json_t *member = json_object_get(object, key);
    double value = json_number_value(member);

    if (!json_is_number(member) || value < 0 || value > most) {
        (void)snprintf(problem, XRAY_PROBLEM_SIZE, "%s must be a number from 0 to %.0f", key, most);
        return false;
    }
    *ret_value = value;
    return true;
}

static bool take_pattern(const json_t *object, const char *key, char **ret_pattern, char problem[XRAY_PROBLEM_SIZE])
{
    const char *pattern = json_text_of(object, key);

    if (pattern == NULL) {
        (void)snprintf(problem, XRAY_PROBLEM_SIZE, "%s must be a text; \"*\" fits everything", key);
        return false;
    }
    if (strlen(pattern) > TEXT_MAX) {
        (void)snprintf(problem, XRAY_PROBLEM_SIZE, "%s is longer than %d bytes", key, TEXT_MAX);
        return false;
    }
    *ret_pattern = (char *)pattern; /* borrowed until it is copied */
    return true;
}

static bool take_record(const json_t *object, struct xray_rule *ret_rule, char problem[XRAY_PROBLEM_SIZE])
{
    double priority, reservoir;

    ret_rule->name = (char *)name_of(object);
    if (ret_rule->name == NULL) {
        (void)snprintf(problem, XRAY_PROBLEM_SIZE, "it has neither RuleName nor RuleARN");
        return false;
    }
    if (!take_number(object, "Priority", 10000, &priority, problem) ||
        !take_number(object, "FixedRate", 1, &ret_rule->rate, problem) ||
        !take_number(object, "ReservoirSize", INT32_MAX, &reservoir, problem) ||
        !take_pattern(object, "ServiceName", &ret_rule->service_name, problem) ||
        !take_pattern(object, "ServiceType", &ret_rule->service_type, problem) ||
        !take_pattern(object, "Host", &ret_rule->host, problem) ||
        !take_pattern(object, "HTTPMethod", &ret_rule->method, problem) ||
        !take_pattern(object, "URLPath", &ret_rule->path, problem))
        return false;
    ret_rule->priority = (int)priority;
    ret_rule->reservoir = (uint32_t)reservoir;
    return true;
}

/* As X-Ray's SDKs: a rule of another version, with attributes, or for a resource is none for us. */
static bool is_heeded(const json_t *object)
{
    const json_t *version = json_object_get(object, "Version");
    const char *resource = json_string_value(json_object_get(object, "ResourceARN"));

    return (version == NULL || json_number_value(version) == RULE_VERSION) &&
           json_object_size(json_object_get(object, "Attributes")) == 0 &&
           (resource == NULL || strcmp(resource, "*") == 0);
}

int xray_rules_append_record(struct xray_rules *rules, const json_t *record, char problem[XRAY_PROBLEM_SIZE])
{
    const json_t *inner = json_object_get(record, "SamplingRule");
    const json_t *object = inner != NULL ? inner : record;
    double modified_s = json_number_value(json_object_get(record, "ModifiedAt"));
    struct xray_rule rule = {0};

    if (modified_s > rules->modified_s)
        rules->modified_s = modified_s;
    if (!json_is_object(object)) {
        (void)snprintf(problem, XRAY_PROBLEM_SIZE, "it is no object");
        return -EINVAL;
    }
    if (!is_heeded(object)) {
        rules->skipped_count++;
        return 0;
    }
    return take_record(object, &rule, problem) ? xray_rules_append(rules, &rule) : -EINVAL;
}

static int compare(const void *a, const void *b)
{
    const struct xray_rule *first = a, *second = b;

    if (first->priority != second->priority)
        return first->priority < second->priority ? -1 : 1;
    return strcmp(first->name, second->name);
}

void xray_rules_sort(struct xray_rules *rules)
{
    if (rules->count > 0)
        qsort(rules->rules, rules->count, sizeof(*rules->rules), compare);
}
