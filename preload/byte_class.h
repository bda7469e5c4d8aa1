/* SPDX-License-Identifier: Apache-2.0 */
/* The alphabets of several grammars in one table: a bit for each. */
#ifndef SPANSHIM_BYTE_CLASS_H
#define SPANSHIM_BYTE_CLASS_H

#include <stdbool.h>
#include <stdint.h>

enum byte_class {
    BYTE_OF_TOKEN = 1,  /* methods, codings (RFC 9110 5.6.2) */
    BYTE_OF_HOST = 2,   /* RFC 3986's reg-name with percent-encoding; and underscores and UTF-8, which are in use */
    BYTE_OF_SCHEME = 4, /* of a URL (RFC 3986 3.1) */
    BYTE_JOINS = 8,     /* the parts of a key's name: passed over */
    BYTE_OF_KEY = 16,   /* letters and digits */
    BYTE_CAPITAL = 32,
};

extern const uint8_t byte_classes[256] __attribute__((visibility("hidden")));

/* Which of these is it? Context: pure; signal-safe. */
static inline unsigned byte_is(char c, unsigned classes)
{
    return byte_classes[(uint8_t)c] & classes;
}

#endif
