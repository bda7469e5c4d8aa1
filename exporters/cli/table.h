/* SPDX-License-Identifier: Apache-2.0 */
/* Aligned columns on standard output, as `spanshim status` prints them. */
#ifndef SPANSHIM_TABLE_H
#define SPANSHIM_TABLE_H

#include <stddef.h>

enum { TABLE_COLUMNS_MAX = 12 };

/* All zero but for columns and titles is a valid empty table. */
struct table {
    size_t columns;
    const char *const *titles; /* a title that starts with '>' heads a column of numbers, to the right */
    char **cells;              /* rows * columns */
    size_t cell_count;
};

/* Append a cell (copied, control characters masked: texts come from other programs); rows fill from the left.
 * Context: any. */
void table_add(struct table *table, const char *text);
void table_add_number(struct table *table, long long number);

/* Print it, indented; nothing at all when it has no row. Context: any. */
void table_print(const struct table *table);

/* Context: any. */
void table_deinit(struct table *table);

#endif
