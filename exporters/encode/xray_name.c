/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/xray_name.h"

#include "exporters/agent/process.h"
#include "exporters/agent/span.h"
#include "exporters/encode/url.h"
#include "exporters/encode/utf8.h"
#include "preload/glob.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unictype.h>

enum { CHARACTER_MAX = 4 };

enum letter_case { CASE_AS_IT_IS, CASE_SMALL };

static bool is_allowed(uint32_t character)
{
    if (character < 0x80 && strchr("_.:/%&#=+-@", (int)character) != NULL)
        return character != '\0';
    return uc_is_general_category_withtable(character, UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_N | UC_CATEGORY_MASK_Z);
}

/* A new string of what is allowed of the text; the other one when nothing is. */
static json_t *make_name(struct slice text, enum letter_case letters, const char *otherwise)
{
    char name[XRAY_NAME_MAX * CHARACTER_MAX];
    size_t length = 0, count = 0, n;
    uint32_t character;

    for (size_t i = 0; i < text.length && count<XRAY_NAME_MAX; i += n> 0 ? n : 1) {
        n = utf8_decode(text.bytes + i, text.length - i, &character);
        if (n == 0 || !is_allowed(character))
            continue;
        for (size_t j = 0; j < n; j++)
            name[length++] = letters == CASE_SMALL ? slice_lower(text.bytes[i + j]) : text.bytes[i + j];
        count++;
    }
    return length > 0 ? json_stringn_nocheck(name, length) : json_string_nocheck(otherwise);
}

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

json_t *xray_name_of_service(const struct span *span)
{
    return make_name(slice_of(span->process->xray_name), CASE_AS_IT_IS, "unknown_service");
}

json_t *xray_name_of_segment(const struct span *span)
{
    const char *pattern = span->process->xray_url;
    struct slice host = span->text[WIRE_TEXT_HOST];

    if (pattern == NULL || host.length == 0 || !glob_matches(slice_of(pattern), host, GLOB_ANY_CASE))
        return xray_name_of_service(span);
    return make_name(host, CASE_AS_IT_IS, "unknown_service");
}

json_t *xray_name_of_call(const struct span *span)
{
    struct url_server server;

    url_server(span, &server);
    return make_name(server.host, server.is_path ? CASE_AS_IT_IS : CASE_SMALL, "UNKNOWN HOST");
}
