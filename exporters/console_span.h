/* SPDX-License-Identifier: Apache-2.0 */
/* A span as the console shows it: a copy, since a trace is held until it is whole. */
#ifndef SPANSHIM_CONSOLE_SPAN_H
#define SPANSHIM_CONSOLE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span;

struct console_span {
    uint8_t span_id[8];
    uint8_t parent_id[8]; /* zero: a root */
    uint64_t start_ns;    /* wall clock */
    uint64_t end_ns;
    uint16_t status; /* 0: no response */
    bool is_client;
    bool is_parent_local; /* the parent is a request that this process serves, so it is told of as well */
    /* Texts are from outside: to be shown escaped. */
    char *error; /* error.type; NULL: none, or the status is it */
    char *service;
    char *name; /* method and target; of a client's request with the server */
    size_t name_length;
};

/* False when out of memory. Context: loop. */
bool console_span_init(struct console_span *copy, const struct span *span);
void console_span_deinit(struct console_span *copy);

#endif
