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
__attribute__((always_inline)) static inline char slice_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* 8 or 4 bytes as a number. Inline in code that is built for size, too: a call is longer. */
__attribute__((always_inline)) static inline uint64_t slice_load(const char *bytes, size_t width)
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
__attribute__((always_inline)) static inline bool slice_word_is(const char *bytes, const char *lower, size_t width)
{
    uint64_t word = slice_load(lower, width);
    uint64_t letters = (word >> 6 & word >> 5 & 0x0101010101010101u) << 5;

    return (slice_load(bytes, width) | letters) == word;
}

/* Are these bytes the word `lower`, as long, in any case? `lower`: small letters, digits, '-', '_'. Context: pure;
 * signal-safe. */
bool slice_is_word(const char *bytes, const char *lower, size_t length);

/* Is the slice this word, in any case? Context: pure; signal-safe. */
__attribute__((always_inline)) static inline bool slice_is(struct slice slice, const char *lower)
{
    return slice.length == strlen(lower) && slice_is_word(slice.bytes, lower, slice.length);
}

/* The same of a literal, on the way of each request: compared by words that the compiler knows. 4
 * letters or more. Context: pure; signal-safe. */
__attribute__((always_inline)) static inline bool slice_is_literal(struct slice slice, const char *lower)
{
    size_t length = strlen(lower);
    size_t width = length >= 8 ? 8 : 4;

    if (slice.length != length)
        return false;
    for (size_t i = 0; i + width < length; i += width)
        if (!slice_word_is(slice.bytes + i, lower + i, width))
            return false;
    return slice_word_is(slice.bytes + length - width, lower + length - width, width);
}

/* Are the two the same word, in any case? Context: pure; signal-safe. */
bool slice_is_same(struct slice a, struct slice b);

/* Are so many bytes the same? Context: pure; signal-safe. */
bool slice_same_bytes(const char *a, const char *b, size_t length);

/* Is the slice these bytes? Context: pure; signal-safe. */
__attribute__((always_inline)) static inline bool slice_equals(struct slice slice, const char *bytes, size_t length)
{
    return slice.length == length && slice_same_bytes(slice.bytes, bytes, length);
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
bool slice_next(struct slice *rest, char separator, struct slice *ret_piece);

/* memcpy() for the short texts of a head: a call through the linkage table is an indirect jump, which is hardly ever
 * predicted after a system call. Context: pure; signal-safe. */
void slice_copy(void *to, const void *from, size_t length);

#endif
