/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in hexadecimal: ids of traces and spans as people and JSON have them. */
#ifndef SPANSHIM_HEX_H
#define SPANSHIM_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* `out` has room for 2 * length + 1. Context: pure. */
static inline void hex_write(const uint8_t *bytes, size_t length, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < length; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

/* The digits of so many bytes, in lower case; NULL is none. False: it isn't that, and what `out` has then is of no use.
 * Context: pure. */
static inline bool hex_read(const char *digits, size_t length, uint8_t *out)
{
    static const char all[] = "0123456789abcdef";

    if (digits == NULL || strlen(digits) != 2 * length)
        return false;
    for (size_t i = 0; i < 2 * length; i++) {
        const char *digit = strchr(all, digits[i]);

        if (digit == NULL)
            return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (digit - all));
    }
    return true;
}

#endif
