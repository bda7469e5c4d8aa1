/* SPDX-License-Identifier: Apache-2.0 */
/* One trace as text for people: a line per span, children under their parents, durations as bars over the trace's time.
 *
 *   trace 5f0c...  14:03:12.123  2 spans  12.4 ms
 *     nginx   GET /orders           200   12.4 ms  ████████████████████
 *     orders  └ GET /orders/4711    200    8.1 ms      █████████████
 *
 * Text only: no descriptors, no memory kept. Called by console.c. */
#ifndef SPANSHIM_CONSOLE_TREE_H
#define SPANSHIM_CONSOLE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct console_span {
    uint8_t span_id[8];
    uint8_t parent_id[8]; /* zero: a root */
    uint64_t start_ns;    /* wall clock */
    uint64_t end_ns;
    uint16_t status; /* 0: no response */
    char *error;     /* error.type; NULL: none */
    char *service;   /* from outside: shown escaped */
    char *name;      /* method and target; likewise */
    size_t name_length;
};

struct console_style {
    unsigned width; /* columns of the terminal */
    bool colours;
};

/* Widths that the last traces took: the next ones are aligned with them. All zero at first. */
struct console_columns {
    unsigned service, name, outcome;
};

/* Sorts `spans`. Context: loop. */
void console_tree_print(FILE *out, const uint8_t trace_id[16], struct console_span *spans, size_t count,
                        const struct console_style *style, struct console_columns *columns);

#endif
