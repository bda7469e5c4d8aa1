/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/xray_text.h"

#include "exporters/encode/hex.h"
#include "exporters/encode/utf8.h"

#include <stddef.h>
#include <string.h>

enum { CHARACTER_MAX = 4 }; /* bytes of UTF-8 */

json_t *xray_text(struct slice text, uint32_t max_characters)
{
    char repaired[XRAY_ANNOTATION_MAX * CHARACTER_MAX * UTF8_REPAIRED_MAX + 1];

    if (text.length == 0)
        return NULL;
    if (max_characters > XRAY_ANNOTATION_MAX)
        max_characters = XRAY_ANNOTATION_MAX;
    if (text.length > (size_t)max_characters * CHARACTER_MAX)
        text.length = (size_t)max_characters * CHARACTER_MAX;
    size_t length = utf8_repair(text.bytes, text.length, max_characters, repaired);
    return json_stringn_nocheck(repaired, length);
}

json_t *xray_text_trace_id(const uint8_t trace_id[16])
{
    char text[2 + 8 + 1 + 24 + 1] = "1-";

    hex_write(trace_id, 4, text + 2);
    text[10] = '-';
    hex_write(trace_id + 4, 12, text + 11);
    return json_string_nocheck(text);
}

json_t *xray_text_id(const uint8_t span_id[8])
{
    char text[2 * 8 + 1];

    hex_write(span_id, 8, text);
    return json_string_nocheck(text);
}

/* Both steps have an inverse, so that two spans never get one id, and the second one is never zero. */
void xray_derive_id(const uint8_t span_id[8], enum xray_part part, uint8_t id[8])
{
    uint64_t number;

    memcpy(&number, span_id, sizeof(number));
    number = (number ^ (uint64_t)part << 56) * UINT64_C(0x9e3779b97f4a7c15);
    number ^= number >> 32;
    if (number == 0)
        number = 1;
    memcpy(id, &number, sizeof(number));
}
