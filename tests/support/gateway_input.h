/* SPDX-License-Identifier: Apache-2.0 */
/* What a web server sends by FastCGI, SCGI and uwsgi, put together for tests: variables are gathered in `pairs`, and go
 * with input_add_block() to `input`, which has the bytes. */
#ifndef SPANSHIM_GATEWAY_INPUT_H
#define SPANSHIM_GATEWAY_INPUT_H

#include "preload/wire.h"

#include <stddef.h>

enum { INPUT_SIZE = 128 * 1024 };

/* FastCGI's types of records. */
enum { BEGIN_REQUEST = 1, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR, GET_VALUES = 9 };

struct gateway_input {
    char bytes[INPUT_SIZE];
    size_t length;
};

extern struct gateway_input input, pairs;

/* Bytes as they are. */
void input_add(struct gateway_input *to, const void *bytes, size_t length);

/* A record of FastCGI's, with so much padding. */
void input_add_record(int type, int id, const void *content, size_t length, size_t padding);
void input_add_begin(int id, int flags);

/* A variable; one whose value is this text, repeated. */
void input_add_pair(enum wire_protocol protocol, const char *name, const char *value);
void input_add_long_pair(enum wire_protocol protocol, const char *name, const char *value, size_t times);

/* The pairs as the protocol's block; in FastCGI records of at most `most` bytes, with padding. */
void input_add_block(enum wire_protocol protocol, size_t most);

#endif
