/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/slice.h"

bool slice_is_word(const char *bytes, const char *lower, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (slice_lower(bytes[i]) != lower[i])
            return false;
    return true;
}

bool slice_is_same(struct slice a, struct slice b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (slice_lower(a.bytes[i]) != slice_lower(b.bytes[i]))
            return false;
    return true;
}

bool slice_same_bytes(const char *a, const char *b, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

bool slice_next(struct slice *rest, char separator, struct slice *ret_piece)
{
    size_t length = 0;

    if (!rest->bytes)
        return false;
    while (length < rest->length && rest->bytes[length] != separator)
        length++;
    *ret_piece = (struct slice){rest->bytes, length};
    if (length == rest->length) {
        *rest = (struct slice){0};
    } else {
        rest->bytes += length + 1;
        rest->length -= length + 1;
    }
    return true;
}

/* Copy the first `width` bytes and the last ones, which may have bytes in common. `width`: a constant, 16 at most. */
__attribute__((always_inline)) static inline void slice_copy_ends(char *to, const char *from, size_t length,
                                                                  size_t width)
{
    char first[16], last[16];

    memcpy(first, from, width);
    memcpy(last, from + length - width, width);
    memcpy(to, first, width);
    memcpy(to + length - width, last, width);
}

void slice_copy(void *to, const void *from, size_t length)
{
    char *out = to;
    const char *in = from;

    if (length > 16) {
        for (; length > 32; length -= 16, in += 16, out += 16)
            memcpy(out, in, 16);
        slice_copy_ends(out, in, length, 16);
    } else if (length >= 8) {
        slice_copy_ends(out, in, length, 8);
    } else if (length >= 4) {
        slice_copy_ends(out, in, length, 4);
    } else {
        for (size_t i = 0; i < length; i++) {
            out[i] = in[i];
            __asm__("" : : "r"(i)); /* or the compiler makes it a call of memcpy() */
        }
    }
}
