/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/xray_compile.h"

#include "exporters/agent/xray_rules.h"
#include "preload/glob.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static const char *const method_names[WIRE_METHOD_COUNT] = {
#define X(NAME) [WIRE_METHOD_##NAME] = #NAME,
    WIRE_METHODS(X)
#undef X
};
static_assert(WIRE_METHOD_COUNT <= 16, "wire_xray_rule.methods");

/* X-Ray's patterns know no escapes, those of glob.h do: a backslash is meant as it is. False: there is no room. */
static bool add_text(struct wire_xray_rules *rules, const char *text, struct wire_xray_text *ret_text)
{
    uint32_t at = rules->text_length;

    for (; *text != '\0'; text++) {
        if (at + 2 > WIRE_XRAY_TEXT_MAX)
            return false;
        if (*text == '\\')
            rules->text[at++] = '\\';
        rules->text[at++] = *text;
    }
    ret_text->offset = (uint16_t)rules->text_length;
    ret_text->length = (uint16_t)(at - rules->text_length);
    rules->text_length = at;
    return true;
}

/* "**" and the like fit everything, too. */
static bool fits_all(const char *pattern)
{
    return pattern[0] != '\0' && pattern[strspn(pattern, "*")] == '\0';
}

static bool add_pattern(struct wire_xray_rules *rules, const char *pattern, struct wire_xray_text *ret_text)
{
    *ret_text = (struct wire_xray_text){0};
    return fits_all(pattern) || add_text(rules, pattern, ret_text);
}

static bool fits(const struct wire_xray_rules *rules, struct wire_xray_text pattern, const char *text)
{
    const struct slice glob = {rules->text + pattern.offset, pattern.length};

    return pattern.length == 0 || glob_matches(glob, (struct slice){text, strlen(text)}, GLOB_ANY_CASE);
}

/* A method that isn't a known one is looked at as it was sent. */
static uint16_t methods_of(const struct wire_xray_rules *rules, struct wire_xray_text pattern)
{
    uint16_t methods = 1 << WIRE_METHOD_OTHER;

    for (int i = 0; i < WIRE_METHOD_COUNT; i++)
        if (method_names[i] != NULL && fits(rules, pattern, method_names[i]))
            methods |= (uint16_t)(1 << i);
    return methods;
}

/* An origin that isn't known fits, as any property does that a request lacks. */
static bool fits_origin(struct wire_xray_rules *scratch, const struct xray_rule *rule, const char *origin)
{
    uint32_t before = scratch->text_length;
    struct wire_xray_text pattern;
    bool result =
        origin == NULL || (add_pattern(scratch, rule->service_type, &pattern) && fits(scratch, pattern, origin));

    scratch->text_length = before;
    return result;
}

enum outcome { ADDED, LEFT_OUT, NO_ROOM };

static enum outcome add_rule(struct wire_xray_rules *rules, const struct xray_rule *rule,
                             const struct xray_service_facts *facts)
{
    struct wire_xray_rule *made = &rules->rules[rules->count];

    *made = (struct wire_xray_rule){0};
    if (!fits_origin(rules, rule, facts->origin))
        return LEFT_OUT;
    if (!add_pattern(rules, rule->service_name, &made->service))
        return NO_ROOM;
    if (fits(rules, made->service, facts->name))
        made->flags |= WIRE_XRAY_RULE_NAMES_SERVICE;
    else if (facts->url == NULL)
        return LEFT_OUT;
    if (facts->url == NULL)
        made->service = (struct wire_xray_text){0}; /* the name is known: no need to look */
    if (!add_pattern(rules, rule->host, &made->host) || !add_pattern(rules, rule->method, &made->method) ||
        !add_pattern(rules, rule->path, &made->path) || !add_text(rules, rule->name, &made->name))
        return NO_ROOM;
    if (made->name.length > WIRE_XRAY_NAME_MAX)
        made->name.length = WIRE_XRAY_NAME_MAX;
    made->methods = methods_of(rules, made->method);
    return ADDED;
}

static bool decides_all(const struct wire_xray_rule *rule)
{
    return rule->flags & WIRE_XRAY_RULE_NAMES_SERVICE && rule->service.length == 0 && rule->host.length == 0 &&
           rule->method.length == 0 && rule->path.length == 0;
}

size_t xray_compile(const struct xray_rules *rules, const struct xray_service_facts *facts,
                    struct wire_xray_rules *ret_rules, size_t ret_places[WIRE_XRAY_RULES_MAX])
{
    *ret_rules = (struct wire_xray_rules){0};
    for (size_t i = 0; i < rules->count; i++) {
        uint32_t text_before = ret_rules->text_length;
        enum outcome outcome =
            ret_rules->count < WIRE_XRAY_RULES_MAX ? add_rule(ret_rules, &rules->rules[i], facts) : NO_ROOM;

        if (outcome == NO_ROOM) {
            ret_rules->text_length = text_before;
            return rules->count - i;
        }
        if (outcome == LEFT_OUT) {
            ret_rules->text_length = text_before;
            continue;
        }
        ret_places[ret_rules->count++] = i;
        if (decides_all(&ret_rules->rules[ret_rules->count - 1]))
            break;
    }
    return 0;
}
