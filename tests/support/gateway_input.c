/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/gateway_input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct gateway_input input, pairs;

void input_add(struct gateway_input *to, const void *bytes, size_t length)
{
    assert_true(to->length + length <= INPUT_SIZE);
    memcpy(to->bytes + to->length, bytes, length);
    to->length += length;
}

void input_add_record(int type, int id, const void *content, size_t length, size_t padding)
{
    const uint8_t header[] = {
        1, (uint8_t)type, (uint8_t)(id >> 8), (uint8_t)id, (uint8_t)(length >> 8), (uint8_t)length, (uint8_t)padding,
        0};

    input_add(&input, header, sizeof(header));
    input_add(&input, content, length);
    input_add(&input, "\xaa\xaa\xaa\xaa\xaa\xaa\xaa", padding);
}

static void add_fastcgi_length(size_t length)
{
    const uint8_t bytes[] = {(uint8_t)(length >> 24 | 0x80), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
                             (uint8_t)length};

    if (length < 128)
        input_add(&pairs, bytes + 3, 1);
    else
        input_add(&pairs, bytes, 4);
}

static void add_uwsgi_text(const char *text, size_t length)
{
    const uint8_t bytes[] = {(uint8_t)length, (uint8_t)(length >> 8)};

    input_add(&pairs, bytes, sizeof(bytes));
    input_add(&pairs, text, length);
}

void input_add_long_pair(enum wire_protocol protocol, const char *name, const char *value, size_t times)
{
    static char text[INPUT_SIZE];
    size_t length = 0;

    for (size_t i = 0; i < times; i++, length += strlen(value))
        memcpy(text + length, value, strlen(value));
    text[length] = '\0';
    if (protocol == WIRE_PROTOCOL_FASTCGI) {
        add_fastcgi_length(strlen(name));
        add_fastcgi_length(length);
        input_add(&pairs, name, strlen(name));
        input_add(&pairs, text, length);
    } else if (protocol == WIRE_PROTOCOL_UWSGI) {
        add_uwsgi_text(name, strlen(name));
        add_uwsgi_text(text, length);
    } else {
        input_add(&pairs, name, strlen(name) + 1);
        input_add(&pairs, text, length + 1);
    }
}

void input_add_pair(enum wire_protocol protocol, const char *name, const char *value)
{
    input_add_long_pair(protocol, name, value, 1);
}

void input_add_block(enum wire_protocol protocol, size_t most)
{
    char text[16];

    if (protocol == WIRE_PROTOCOL_FASTCGI) {
        for (size_t at = 0; at < pairs.length; at += most)
            input_add_record(PARAMS, 1, pairs.bytes + at, pairs.length - at < most ? pairs.length - at : most, at % 8);
        input_add_record(PARAMS, 1, "", 0, 0);
    } else if (protocol == WIRE_PROTOCOL_UWSGI) {
        input_add(&input, (const uint8_t[]){0, (uint8_t)pairs.length, (uint8_t)(pairs.length >> 8), 0}, 4);
        input_add(&input, pairs.bytes, pairs.length);
    } else {
        input_add(&input, text, (size_t)snprintf(text, sizeof(text), "%zu:", pairs.length));
        input_add(&input, pairs.bytes, pairs.length);
        input_add(&input, ",", 1);
    }
    pairs.length = 0;
}

void input_add_begin(int id, int flags)
{
    input_add_record(BEGIN_REQUEST, id, (const uint8_t[]){0, 1, (uint8_t)flags, 0, 0, 0, 0, 0}, 8, 0);
}
