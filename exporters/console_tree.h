/* SPDX-License-Identifier: Apache-2.0 */
/* One trace as text for people: a line per span, children under their parents, durations as bars over the trace's time.
 *
 *   trace 5f0c...  14:03:12.123  3 spans  12.4 ms
 *     nginx   GET /orders                      200   12.4 ms  ████████████████████
 *     nginx   └ → GET backend:8000/orders      200    9.0 ms     ██████████████
 *     orders    └ GET /orders                  200    8.1 ms      █████████████
 *
 * An arrow marks a request that the program makes. Text only: no descriptors, no memory kept. Called by console.c. */
#ifndef SPANSHIM_CONSOLE_TREE_H
#define SPANSHIM_CONSOLE_TREE_H

#include "exporters/console_span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct console_style {
    unsigned width; /* columns of the terminal */
    bool colours;
};

/* Widths that the last traces took: the next ones are aligned with them. All zero at first. */
struct console_columns {
    unsigned service, name, outcome;
};

/* Is no parent missing that is told of as well, once it has ended? Context: pure. */
bool console_tree_is_whole(const struct console_span *spans, size_t count);

/* Sorts `spans`. Context: loop. */
void console_tree_print(FILE *out, const uint8_t trace_id[16], struct console_span *spans, size_t count,
                        const struct console_style *style, struct console_columns *columns);

#endif
