/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/xray_check.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum kind { TEXT, NUMBER, FLAG, OBJECT, ARRAY, ID, TRACE_ID };

/* A member: where it may be, and its longest text in characters. */
struct rule {
    const char *key;
    enum kind kind;
    bool in_segment, in_subsegment;
    size_t max;
};

static const struct rule document_rules[] = {
    {"name", TEXT, true, true, 200},       {"id", ID, true, true, 0},
    {"trace_id", TRACE_ID, true, true, 0}, {"parent_id", ID, true, true, 0},
    {"type", TEXT, false, true, 10},       {"namespace", TEXT, false, true, 6},
    {"start_time", NUMBER, true, true, 0}, {"end_time", NUMBER, true, true, 0},
    {"in_progress", FLAG, true, true, 0},  {"error", FLAG, true, true, 0},
    {"throttle", FLAG, true, true, 0},     {"fault", FLAG, true, true, 0},
    {"http", OBJECT, true, true, 0},       {"cause", OBJECT, true, true, 0},
    {"user", TEXT, true, false, 250},      {"origin", TEXT, true, false, 100},
    {"service", OBJECT, true, false, 0},   {"aws", OBJECT, true, false, 0},
    {"links", ARRAY, true, false, 0},      {"annotations", OBJECT, true, true, 0},
    {"metadata", OBJECT, true, true, 0},   {"subsegments", ARRAY, true, true, 0},
};

static const struct rule request_rules[] = {
    {"method", TEXT, true, true, 250},    {"url", TEXT, true, true, 250},   {"user_agent", TEXT, true, true, 250},
    {"client_ip", TEXT, true, true, 250}, {"traced", FLAG, false, true, 0}, {"x_forwarded_for", FLAG, true, false, 0},
};

static const struct rule response_rules[] = {
    {"status", NUMBER, true, true, 0},
    {"content_length", NUMBER, true, true, 0},
};

static size_t count_characters(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool is_id(const char *text, size_t length)
{
    return strlen(text) >= length && strspn(text, "0123456789abcdef") >= length;
}

static bool is_kind(const json_t *value, const struct rule *rule)
{
    const char *text = json_string_value(value);

    switch (rule->kind) {
    case TEXT:
        return text != NULL && text[0] != '\0' && count_characters(text) <= rule->max;
    case NUMBER:
        return json_is_number(value);
    case FLAG:
        return json_is_boolean(value);
    case OBJECT:
        return json_object_size(value) > 0;
    case ARRAY:
        return json_array_size(value) > 0;
    case ID:
        return text != NULL && strlen(text) == 16 && is_id(text, 16);
    case TRACE_ID:
        return text != NULL && strlen(text) == 35 && strncmp(text, "1-", 2) == 0 && is_id(text + 2, 8) &&
               text[10] == '-' && is_id(text + 11, 24);
    }
    return false;
}

/* The first member that no rule allows as it is. */
static const char *check_members(const json_t *object, const struct rule *rules, size_t count, bool is_segment)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        size_t i = 0;

        while (i < count && strcmp(rules[i].key, key) != 0)
            i++;
        if (i == count || !(is_segment ? rules[i].in_segment : rules[i].in_subsegment) || !is_kind(value, &rules[i]))
            return key;
    }
    return NULL;
}

/* Of ASCII; what is beyond is checked where it is made. */
static bool is_name(const char *name)
{
    for (; *name != '\0'; name++)
        if ((unsigned char)*name < 0x80 &&
            strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _.:/%&#=+-@", *name) == NULL)
            return false;
    return true;
}

static const char *check_annotations(const json_t *annotations)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)annotations, key, value)
    {
        const char *text = json_string_value(value);
        size_t length = strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

        if (length == 0 || length > 500 || key[length] != '\0')
            return key;
        if (text != NULL ? count_characters(text) > 1000 : !json_is_number(value) && !json_is_boolean(value))
            return key;
    }
    return json_object_size(annotations) > 50 ? "annotations" : NULL;
}

static const char *check_cause(const json_t *cause)
{
    static const struct rule exception_id = {.kind = ID};
    json_t *exception;
    size_t i;

    json_array_foreach(json_object_get(cause, "exceptions"), i,
                       exception) if (!is_kind(json_object_get(exception, "id"), &exception_id)) return "cause";
    return NULL;
}

/* What must be there, or must not. */
static const char *check_presence(const json_t *document, bool is_segment)
{
    static const char *const required[] = {"name", "id", "trace_id", "start_time"};
    bool is_open = json_is_true(json_object_get(document, "in_progress"));

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
        if (json_object_get(document, required[i]) == NULL)
            return required[i];
    if ((json_object_get(document, "end_time") != NULL) == is_open)
        return "end_time";
    if (!is_segment && json_object_get(document, "parent_id") == NULL)
        return "parent_id";
    return is_name(json_string_value(json_object_get(document, "name"))) ? NULL : "name";
}

static const char *first(const char *wrong, const char *also_wrong)
{
    return wrong != NULL ? wrong : also_wrong;
}

#define CHECK_MEMBERS(object, rules, is_segment)                                                                       \
    check_members(object, rules, sizeof(rules) / sizeof((rules)[0]), is_segment)

const char *xray_check_document(const json_t *document)
{
    bool is_segment = json_object_get(document, "type") == NULL;
    const json_t *http = json_object_get(document, "http");
    json_t *subsegment;
    size_t i;
    const char *wrong = CHECK_MEMBERS(document, document_rules, is_segment);

    wrong = first(wrong, check_presence(document, is_segment));
    wrong = first(wrong, CHECK_MEMBERS(json_object_get(http, "request"), request_rules, is_segment));
    wrong = first(wrong, CHECK_MEMBERS(json_object_get(http, "response"), response_rules, is_segment));
    wrong = first(wrong, check_annotations(json_object_get(document, "annotations")));
    wrong = first(wrong, check_cause(json_object_get(document, "cause")));
    json_array_foreach(json_object_get(document, "subsegments"), i, subsegment) wrong =
        first(wrong, xray_check_document(subsegment));
    return wrong;
}
