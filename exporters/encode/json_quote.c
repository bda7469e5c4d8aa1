/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/json_quote.h"

#include "exporters/encode/buffer.h"
#include "exporters/encode/utf8.h"

#include <stdbool.h>
#include <string.h>

enum { ESCAPED_MAX = 6 };

static bool is_plain(unsigned char byte)
{
    return byte >= ' ' && byte != '"' && byte != '\\';
}

/* What stands for the byte between quotes: its length. */
static size_t escape(unsigned char byte, char out[ESCAPED_MAX])
{
    static const char named[] = "\b\f\n\r\t\"\\", names[] = "bfnrt\"\\";
    static const char digits[] = "0123456789abcdef";

    if (is_plain(byte)) {
        out[0] = (char)byte;
        return 1;
    }
    const char *found = byte != 0 ? strchr(named, byte) : NULL;
    if (found != NULL) {
        out[0] = '\\';
        out[1] = names[found - named];
        return 2;
    }
    memcpy(out, "\\u00", 4);
    out[4] = digits[byte >> 4];
    out[5] = digits[byte & 15];
    return ESCAPED_MAX;
}

int json_quote_append(struct buffer *buffer, const char *text, size_t length)
{
    int r = buffer_reserve(buffer, length * ESCAPED_MAX + 2);

    if (r < 0)
        return r;
    char *start = (char *)buffer->bytes + buffer->length, *out = start;
    *out++ = '"';
    for (size_t i = 0; i < length; i++) {
        if (is_plain((unsigned char)text[i]))
            *out++ = text[i];
        else
            out += escape((unsigned char)text[i], out);
    }
    *out++ = '"';
    buffer->length += (size_t)(out - start);
    return 0;
}

size_t json_quote_fits(const char *text, size_t length, size_t most)
{
    char escaped[ESCAPED_MAX];
    uint32_t character;
    size_t taken = 0, used = 0;

    if (length <= most / ESCAPED_MAX)
        return length; /* whatever is in it */
    while (taken < length) {
        size_t size = utf8_decode(text + taken, length - taken, &character);
        size_t cost = size > 1 ? size : escape((unsigned char)text[taken], escaped);

        if (used + cost > most)
            break;
        used += cost;
        taken += size > 0 ? size : 1;
    }
    return taken;
}
