/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/table.h"

#include "exporters/cli/cli.h"
#include "exporters/cli/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

void table_add(struct table *table, const char *text)
{
    char *copy = memory_copy_text(text);

    cli_mask(copy);
    table->cells = memory_resize(table->cells, (table->cell_count + 1) * sizeof(*table->cells));
    table->cells[table->cell_count++] = copy;
}

void table_add_number(struct table *table, long long number)
{
    char *text = memory_format("%lld", number);

    table_add(table, text);
    free(text);
}

/* Characters, not bytes: names are UTF-8. */
static int text_width(const char *text)
{
    int width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static bool is_number_column(const struct table *table, size_t column)
{
    return table->titles[column][0] == '>';
}

static const char *title(const struct table *table, size_t column)
{
    return table->titles[column] + is_number_column(table, column);
}

static void measure(const struct table *table, int widths[TABLE_COLUMNS_MAX])
{
    for (size_t column = 0; column < table->columns; column++)
        widths[column] = text_width(title(table, column));
    for (size_t i = 0; i < table->cell_count; i++) {
        int width = text_width(table->cells[i]);

        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
}

static void print_cell(const struct table *table, size_t column, const char *text, int width)
{
    int padding = width - text_width(text);
    bool last = column + 1 == table->columns;

    printf("  ");
    if (is_number_column(table, column))
        printf("%*s%s", padding, "", text);
    else
        printf("%s%*s", text, last ? 0 : padding, "");
    if (last)
        putchar('\n');
}

void table_print(const struct table *table)
{
    int widths[TABLE_COLUMNS_MAX];

    assert(table->columns <= TABLE_COLUMNS_MAX);
    if (table->cell_count == 0)
        return;
    measure(table, widths);
    for (size_t column = 0; column < table->columns; column++)
        print_cell(table, column, title(table, column), widths[column]);
    for (size_t i = 0; i < table->cell_count; i++)
        print_cell(table, i % table->columns, table->cells[i], widths[i % table->columns]);
}

void table_deinit(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}
