/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/json_text.h"

#include "exporters/encode/hex.h"
#include "exporters/encode/utf8.h"

#include <stdlib.h>
#include <string.h>

void json_set_text(json_t *object, const char *key, const char *bytes, size_t length)
{
    char *text = length > 0 ? malloc(length * UTF8_REPAIRED_MAX + 1) : NULL;

    if (!text)
        return;
    (void)utf8_repair(bytes, length, UINT32_MAX, text);
    (void)json_object_set_new(object, key, json_string(text));
    free(text);
}

void json_set_id(json_t *object, const char *key, const uint8_t *id, size_t length)
{
    static const uint8_t none[16];
    char text[33];

    if (memcmp(id, none, length) == 0)
        return;
    hex_write(id, length, text);
    (void)json_object_set_new(object, key, json_string(text));
}
