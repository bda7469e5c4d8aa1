/* SPDX-License-Identifier: Apache-2.0 */
/* The variables of a request as FastCGI, SCGI and uwsgi send them: names and values, each format with lengths or ends
 * of its own. Those that matter are collected until all have come, for they come in any order. A pure push parser;
 * gateway.c feeds it. */
#ifndef SPANSHIM_PARAMS_H
#define SPANSHIM_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/slice.h"

enum params_format {
    PARAMS_FASTCGI, /* both lengths (1 byte, or 4 of which the first has its highest bit set), name, value */
    PARAMS_UWSGI,   /* length of 2 bytes, lowest first, and name; the same of the value */
    PARAMS_SCGI,    /* name, NUL, value, NUL */
};

enum {
    PARAMS_SIZE = 8192,
    PARAMS_NAME_MAX = 64,    /* longer ones are no names of anything that matters */
    PARAMS_VALUE_MAX = 4096, /* of a value more is cut */
};

/* One that was kept; its name and its value follow it. */
struct param {
    uint32_t at, length; /* where it stands among the bytes of the head; length 0: not in one piece */
    uint32_t record_at;  /* where params.record_at was then */
    uint16_t name_length, value_length;
    bool is_cut; /* the value goes on */
};

/* All zero but for `format` and `unreported` is a valid start. Private but for the marked ones. */
struct params {
    uint8_t format; /* enum params_format: set by the owner */
    uint8_t state;
    uint8_t length_bytes; /* of the length that is being read: still to come, or for uwsgi already there */
    bool truncated;       /* read by the owner: something that matters was cut or left out */
    uint32_t unreported;  /* set by the owner: as struct http1's, of the HTTP_* that don't matter */
    uint32_t record_at;   /* set by the owner: where the record begins whose bytes are fed */
    uint32_t name_left, value_left;
    uint32_t length;       /* of text[], whole pairs only */
    struct param pair;     /* that is being read: its name stands behind text[length], then its value */
    bool is_open, is_kept; /* that pair */
    char text[PARAMS_SIZE];
};

/* Forget all. Context: pure; signal-safe. */
void params_begin(struct params *params);

/* Take bytes, of which the first is number `at` of the head. False: they are not in this format. Context: pure;
 * signal-safe. */
bool params_feed(struct params *params, const char *bytes, size_t len, uint32_t at);

/* Did the last byte end a pair? Context: pure; signal-safe. */
bool params_is_whole(const struct params *params);

/* The pairs in their order: *cursor is 0 at first. False: there is none any more. The slices live until params_begin().
 * Context: pure; signal-safe. */
bool params_next(struct params *params, uint32_t *cursor, struct slice *ret_name, struct slice *ret_value,
                 struct param *ret_param);

/* The value of this name (of several the last one: programs keep them in a table); empty: it has none.
 * Context: pure; signal-safe. */
struct slice params_find(struct params *params, const char *name);

#endif
