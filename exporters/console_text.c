/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/console_text.h"

#include "exporters/encode/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool is_unprintable(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0) || /* C0, DEL, C1 */
           (character >= 0x200b && character <= 0x200f) ||                /* zero width, direction marks */
           (character >= 0x2028 && character <= 0x202e) ||                /* line ends, direction overrides */
           (character >= 0x2066 && character <= 0x2069) || character == 0xfeff;
}

void console_text(const char *text, size_t length, unsigned columns, char out[CONSOLE_TEXT_SIZE])
{
    size_t at = 0;
    unsigned used = 0;

    while (length > 0 && at + 16 < CONSOLE_TEXT_SIZE) {
        uint32_t character = 0;
        size_t n = utf8_decode(text, length, &character);
        char piece[16];

        if (n == 0) {
            n = 1;
            (void)snprintf(piece, sizeof(piece), "\\x%02x", (unsigned char)text[0]);
        } else if (is_unprintable(character)) {
            (void)snprintf(piece, sizeof(piece), character < 0x100 ? "\\x%02x" : "\\u%04x", character);
        } else {
            (void)snprintf(piece, sizeof(piece), "%.*s", (int)n, text);
        }
        unsigned width = piece[0] == '\\' ? (unsigned)strlen(piece) : 1;
        if (used + width > columns)
            break;
        at += (size_t)snprintf(out + at, CONSOLE_TEXT_SIZE - at, "%s", piece);
        used += width;
        text += n;
        length -= n;
    }
    if (length > 0 && used == columns && used > 0) {
        /* Take the last character back for the mark. */
        do {
            at--;
        } while (((unsigned char)out[at] & 0xc0) == 0x80);
    }
    if (length > 0)
        at += (size_t)snprintf(out + at, CONSOLE_TEXT_SIZE - at, "…");
    out[at] = '\0';
}
