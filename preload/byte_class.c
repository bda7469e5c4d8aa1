/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/byte_class.h"

enum {
    TOKEN = BYTE_OF_TOKEN,
    HOST = BYTE_OF_HOST,
    SCHEME = BYTE_OF_SCHEME,
    JOINS = BYTE_JOINS,
    ALL = TOKEN | HOST | SCHEME | BYTE_OF_KEY
};

const uint8_t byte_classes[256] = {
    [' '] = JOINS,
    ['!'] = TOKEN | HOST,
    ['#'] = TOKEN,
    ['$' ... '\''] = TOKEN | HOST,
    ['(' ... ')'] = HOST,
    ['*'] = TOKEN | HOST,
    ['+'] = TOKEN | HOST | SCHEME | JOINS,
    [','] = HOST,
    ['-'] = TOKEN | HOST | SCHEME | JOINS,
    ['.'] = TOKEN | HOST | SCHEME,
    ['0' ... '9'] = ALL,
    [';'] = HOST,
    ['='] = HOST,
    ['A' ... 'Z'] = ALL | BYTE_CAPITAL,
    ['^'] = TOKEN,
    ['_'] = TOKEN | HOST | JOINS,
    ['`'] = TOKEN,
    ['a' ... 'z'] = ALL,
    ['|'] = TOKEN,
    ['~'] = TOKEN | HOST,
    [0x80 ... 0xff] = HOST,
};
