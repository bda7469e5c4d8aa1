/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/utf8.h"

#include <stdbool.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* The bytes that may follow a first byte (Unicode 15, table 3-7): how many, and the range of the first of them. */
static size_t tail_of(uint8_t first, uint8_t *ret_least, uint8_t *ret_most)
{
    *ret_least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *ret_most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first >= 0xc2 && first <= 0xdf)
        return 1;
    if (first >= 0xe0 && first <= 0xef)
        return 2;
    if (first >= 0xf0 && first <= 0xf4)
        return 3;
    return 0;
}

/* Bytes of the longest start of a character here: as U+FFFD stands for each (W3C's and Unicode's rule). */
static size_t longest_start(const uint8_t *bytes, size_t length, size_t *ret_wanted)
{
    uint8_t least;
    uint8_t most;
    size_t tail = tail_of(bytes[0], &least, &most);
    size_t n = 1;

    while (n <= tail && n < length && bytes[n] >= least && bytes[n] <= most) {
        least = 0x80;
        most = 0xbf;
        n++;
    }
    *ret_wanted = tail + 1;
    return n;
}

size_t utf8_decode(const char *bytes, size_t length, uint32_t *ret_character)
{
    const uint8_t *p = (const uint8_t *)bytes;
    size_t wanted;

    if (length == 0)
        return 0;
    if (p[0] < 0x80) {
        *ret_character = p[0];
        return 1;
    }
    if (longest_start(p, length, &wanted) != wanted || wanted == 1)
        return 0;
    uint32_t character = p[0] & (0x7fu >> wanted);
    for (size_t i = 1; i < wanted; i++)
        character = character << 6 | (p[i] & 0x3f);
    *ret_character = character;
    return wanted;
}

void utf8_copy(const char *text, char *out, size_t size)
{
    size_t left = strlen(text);

    while (left > 0) {
        size_t wanted;
        size_t n = longest_start((const uint8_t *)text, left, &wanted);
        bool is_good = n == wanted && (n > 1 || (uint8_t)*text < 0x80);
        size_t length = is_good ? n : strlen(REPLACEMENT);

        if (length >= size)
            break;
        memcpy(out, is_good ? text : REPLACEMENT, length);
        out += length;
        size -= length;
        text += n;
        left -= n;
    }
    *out = '\0';
}

/* Printable and common: eight bytes without a high bit and without NUL. */
static bool is_plain(const char *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return ((word | (word - 0x0101010101010101u)) & 0x8080808080808080u) == 0;
}

size_t utf8_repair(const char *bytes, size_t length, uint32_t max_characters, char *out)
{
    char *start = out;
    size_t i = 0;

    while (i < length && max_characters > 0) {
        if (length - i >= 8 && max_characters >= 8 && is_plain(bytes + i)) {
            memcpy(out, bytes + i, 8);
            out += 8;
            i += 8;
            max_characters -= 8;
            continue;
        }
        max_characters--;
        if ((uint8_t)bytes[i] < 0x80 && bytes[i] != '\0') {
            *out++ = bytes[i++];
            continue;
        }
        size_t wanted;
        size_t n = longest_start((const uint8_t *)bytes + i, length - i, &wanted);
        if (n == wanted && n > 1) {
            memcpy(out, bytes + i, n);
            out += n;
        } else {
            memcpy(out, REPLACEMENT, strlen(REPLACEMENT));
            out += strlen(REPLACEMENT);
        }
        i += n;
    }
    *out = '\0';
    return (size_t)(out - start);
}

/* Eight bytes of ASCII without control characters. */
static bool is_printable(const char *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return ((word | (word - 0x2020202020202020u)) & 0x8080808080808080u) == 0;
}

bool utf8_is_text(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length;) {
        uint32_t character;

        if (length - i >= 8 && is_printable(bytes + i)) {
            i += 8;
            continue;
        }
        size_t n = utf8_decode(bytes + i, length - i, &character);
        if (n == 0 || character == '\0' || (character < ' ' && !strchr("\a\b\t\n\v\f\r\x1b", (int)character)))
            return false;
        i += n;
    }
    return true;
}

size_t utf8_whole(const char *bytes, size_t length)
{
    size_t wanted;

    for (size_t n = 1; n < 4 && n <= length; n++) {
        const uint8_t *last = (const uint8_t *)bytes + length - n;

        if ((*last & 0xc0) == 0x80)
            continue;
        return longest_start(last, n, &wanted) < wanted && *last >= 0xc2 ? length - n : length;
    }
    return length;
}
