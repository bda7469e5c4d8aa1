/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed bytes: a pointer and a length, never NUL-terminated. Who lends them says until when they live. */
#ifndef SPANSHIM_SLICE_H
#define SPANSHIM_SLICE_H

#include <stdbool.h>
#include <stddef.h>
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

/* Is the slice this word, in any case? `lower` is in lower case. Context: pure; signal-safe. */
static inline bool slice_is(struct slice slice, const char *lower)
{
    if (slice.length != strlen(lower))
        return false;
    for (size_t i = 0; i < slice.length; i++)
        if (slice_lower(slice.bytes[i]) != lower[i])
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

    const char *end = memchr(rest->bytes, separator, rest->length);
    if (!end) {
        *ret_piece = *rest;
        *rest = (struct slice){0};
        return true;
    }
    size_t length = (size_t)(end - rest->bytes);
    *ret_piece = (struct slice){rest->bytes, length};
    rest->bytes = end + 1;
    rest->length -= length + 1;
    return true;
}

#endif
