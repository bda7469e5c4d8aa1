/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/rollbar_scrub.h"

#include "exporters/encode/utf8.h"
#include "preload/redact.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MASK "REDACTED"

/* What a redacted text may grow to: a mask stands for one byte at least. */
static size_t redacted_size(size_t length)
{
    return length * sizeof("REDACTED:REDACTED") + sizeof(MASK);
}

static json_t *repaired(const char *text, size_t length, size_t max)
{
    char *out = malloc(length * UTF8_REPAIRED_MAX + 1);
    json_t *string = NULL;

    if (out == NULL)
        return NULL;
    size_t used = utf8_repair(text, length, UINT32_MAX, out);
    if (max != ROLLBAR_NO_LIMIT && used > max) {
        for (used = max; used > 0 && ((uint8_t)out[used] & 0xc0) == 0x80;)
            used--; /* within a character */
    }
    string = json_stringn(out, used);
    free(out);
    return string;
}

json_t *rollbar_scrub_name(const char *text, size_t max)
{
    return text != NULL ? repaired(text, strlen(text), max) : NULL;
}

typedef size_t redact(const char *text, size_t length, char *out, size_t size, bool *ret_truncated);

static size_t redact_whole_url(const char *text, size_t length, char *out, size_t size, bool *ret_truncated)
{
    return redact_url(text, length, out, size, REDACT_VALUES, ret_truncated);
}

static size_t redact_whole_query(const char *text, size_t length, char *out, size_t size, bool *ret_truncated)
{
    return redact_query(text, length, out, size, REDACT_VALUES, ret_truncated);
}

static json_t *redacted(redact *function, const char *text, size_t max)
{
    size_t size = text != NULL ? redacted_size(strlen(text)) : 0;
    char *out = text != NULL ? malloc(size) : NULL;
    bool is_truncated;

    if (out == NULL)
        return NULL;
    json_t *string = repaired(out, function(text, strlen(text), out, size, &is_truncated), max);
    free(out);
    return string;
}

json_t *rollbar_scrub_prose(const char *text, size_t max)
{
    return redacted(redact_prose, text, max);
}

json_t *rollbar_scrub_url(const char *text)
{
    return redacted(redact_whole_url, text, ROLLBAR_NO_LIMIT);
}

json_t *rollbar_scrub_query(const char *text)
{
    return redacted(redact_whole_query, text, ROLLBAR_NO_LIMIT);
}

static bool is_allowed_header(const char *name, size_t length)
{
    return redact_header_allowed(name, length, REDACT_IP_FULL);
}

json_t *rollbar_scrub_headers(const json_t *headers)
{
    json_t *out = json_is_object(headers) ? json_object() : NULL;
    const char *name;
    json_t *value;

    if (out == NULL)
        return NULL;
    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
    {
        json_t *shown = is_allowed_header(name, strlen(name))
                            ? redacted(redact_header_value, json_string_value(value), ROLLBAR_NO_LIMIT)
                            : json_string(MASK);
        (void)json_object_set_new(out, name, shown);
    }
    return out;
}

/* "-H", "Authorization: x": what follows the header's name is hidden. */
static json_t *scrub_argument(const char *argument)
{
    const char *colon = strstr(argument, ": ");
    size_t length = colon != NULL ? (size_t)(colon - argument) : 0;

    if (colon != NULL && strcspn(argument, " /=") > length && !is_allowed_header(argument, length))
        return json_sprintf("%.*s: " MASK, (int)length, argument);
    return rollbar_scrub_prose(argument, ROLLBAR_NO_LIMIT);
}

static bool is_sensitive_option(const char *argument)
{
    return argument[0] == '-' && strchr(argument, '=') == NULL && redact_name_is_sensitive(argument, strlen(argument));
}

json_t *rollbar_scrub_arguments(const json_t *arguments)
{
    json_t *out = json_is_array(arguments) ? json_array() : NULL;
    bool is_value_of_secret = false;

    for (size_t i = 0; out != NULL && i < json_array_size(arguments); i++) {
        const char *argument = json_string_value(json_array_get(arguments, i));

        if (argument == NULL)
            continue;
        (void)json_array_append_new(out, is_value_of_secret ? json_string(MASK) : scrub_argument(argument));
        is_value_of_secret = is_sensitive_option(argument);
    }
    return out;
}
