/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in hexadecimal: ids of traces and spans as people and JSON have them. */
#ifndef SPANSHIM_HEX_H
#define SPANSHIM_HEX_H

#include <stddef.h>
#include <stdint.h>

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

#endif
