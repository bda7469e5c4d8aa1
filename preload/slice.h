/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed bytes: a pointer and a length, never NUL-terminated. Who lends them says until when they live. */
#ifndef SPANSHIM_SLICE_H
#define SPANSHIM_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *bytes;
    size_t length;
};

/* ASCII only, whatever the program's locale is. Context: pure; signal-safe. */
static inline char slice_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* 8 or 4 bytes as a number. */
static inline uint64_t slice_load(const char *bytes, size_t width)
{
    uint64_t wide;
    uint32_t narrow;

    if (width == sizeof(wide)) {
        memcpy(&wide, bytes, sizeof(wide));
        return wide;
    }
    memcpy(&narrow, bytes, sizeof(narrow));
    return narrow;
}

/* Are 8 or 4 bytes those of `lower`, in any case? The bit that tells the cases apart is set where `lower` has a letter:
 * those have the bits 0x60, which '-' and digits have not. Constants, when `lower` is a literal. */
static inline bool slice_word_is(const char *bytes, const char *lower, size_t width)
{
    uint64_t word = slice_load(lower, width);
    uint64_t letters = (word >> 6 & word >> 5 & 0x0101010101010101u) << 5;

    return (slice_load(bytes, width) | letters) == word;
}

/* Is the slice this word, in any case? `lower`: small letters, digits, '-', '_'. Context: pure; signal-safe. */
static inline bool slice_is(struct slice slice, const char *lower)
{
    size_t length = strlen(lower);
    size_t width = length >= 8 ? 8 : 4;

    if (slice.length != length)
        return false;
    if (length < 4) {
        for (size_t i = 0; i < length; i++)
            if (slice_lower(slice.bytes[i]) != lower[i])
                return false;
        return true;
    }
    for (size_t i = 0; i + width < length; i += width)
        if (!slice_word_is(slice.bytes + i, lower + i, width))
            return false;
    return slice_word_is(slice.bytes + length - width, lower + length - width, width);
}

/* Are the two the same word, in any case? Context: pure; signal-safe. */
static inline bool slice_is_same(struct slice a, struct slice b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (slice_lower(a.bytes[i]) != slice_lower(b.bytes[i]))
            return false;
    return true;
}

/* Without the blanks and tabs at both ends (RFC 9110's OWS). Context: pure; signal-safe. */
static inline struct slice slice_trim(struct slice slice)
{
    while (slice.length > 0 && (slice.bytes[0] == ' ' || slice.bytes[0] == '\t')) {
        slice.bytes++;
        slice.length--;
    }
    while (slice.length > 0 && (slice.bytes[slice.length - 1] == ' ' || slice.bytes[slice.length - 1] == '\t'))
        slice.length--;
    return slice;
}

/* Take what stands before the next `separator` off the front of *rest, and the separator too; the last piece is what is
 * left. False when nothing is left: rest->bytes is NULL then. Context: pure; signal-safe. */
static inline bool slice_next(struct slice *rest, char separator, struct slice *ret_piece)
{
    if (!rest->bytes)
        return false;

    size_t length = 0;
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

/* memcpy() for the short texts of a head: inline, since a call through the linkage table is an indirect jump, which is
 * hardly ever predicted after a system call. Context: pure; signal-safe. */
static inline void slice_copy(void *to, const void *from, size_t length)
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

/* Context: pure; signal-safe. */
static inline bool slice_equals(struct slice slice, const char *bytes, size_t length)
{
    if (slice.length != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (slice.bytes[i] != bytes[i])
            return false;
    return true;
}

#endif
