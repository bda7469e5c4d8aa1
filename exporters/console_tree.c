/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/console_tree.h"

#include "exporters/console_text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    DEPTH_MAX = 24, /* deeper ones are not indented further */
    SERVICE_MAX = 24,
    NAME_MIN = 16,
    NAME_USUAL = 32,
    NAME_KEPT = 40, /* a longer name widens its own trace only */
    ERROR_MAX = 32,
    OUTCOME_KEPT = 12,
    BAR_MIN = 12,
    BAR_MAX = 40,
    DURATION_WIDTH = 8,
};

#define BRANCH "└ "
#define REMOTE " (remote parent)"
#define UNSEEN " (parent not seen)" /* it has not ended yet, or was not recorded */

/* Columns of one trace. */
struct layout {
    const struct console_style *style;
    struct console_columns columns;
    unsigned bar;
    uint64_t start_ns;
    uint64_t end_ns;
};

struct row {
    const struct console_span *span;
    unsigned depth;
    const char *mark; /* of a span whose parent is not among the spans; else "" */
    char service[CONSOLE_TEXT_SIZE];
    char name[CONSOLE_TEXT_SIZE];
    char outcome[CONSOLE_TEXT_SIZE + 16];
};

static unsigned columns_of(const char *text)
{
    unsigned columns = 0;

    for (; *text != '\0'; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

/* printf's widths count bytes. */
static void put_padded(FILE *out, const char *text, unsigned columns)
{
    unsigned used = columns_of(text);

    (void)fprintf(out, "%s%*s", text, used < columns ? (int)(columns - used) : 0, "");
}

static void format_duration(uint64_t ns, char out[16])
{
    double ms = (double)ns / 1e6;

    if (ns < 1000000)
        (void)snprintf(out, 16, "%u µs", (unsigned)(ns / 1000));
    else if (ms < 99.95)
        (void)snprintf(out, 16, "%.1f ms", ms);
    else if (ms < 1000)
        (void)snprintf(out, 16, "%.0f ms", ms);
    else if (ms < 100000)
        (void)snprintf(out, 16, "%.2f s", ms / 1000);
    else
        (void)snprintf(out, 16, "%.0f s", ms / 1000);
}

static const char *colour(const struct layout *layout, const char *code)
{
    return layout->style->colours ? code : "";
}

static const char *outcome_colour(const struct console_span *span)
{
    if (span->error != NULL || span->status >= 500)
        return "\033[31m";
    if (span->status >= 400)
        return "\033[33m";
    return "\033[32m";
}

static bool is_zero(const uint8_t id[8])
{
    static const uint8_t zero[8];

    return memcmp(id, zero, sizeof(zero)) == 0;
}

static int by_start(const void *a, const void *b)
{
    const struct console_span *one = a;
    const struct console_span *other = b;

    if (one->start_ns != other->start_ns)
        return one->start_ns < other->start_ns ? -1 : 1;
    return memcmp(one->span_id, other->span_id, sizeof(one->span_id));
}

static bool has_parent(const struct console_span *spans, size_t count, const struct console_span *span)
{
    for (size_t i = 0; i < count; i++)
        if (&spans[i] != span && memcmp(spans[i].span_id, span->parent_id, sizeof(span->parent_id)) == 0)
            return true;
    return false;
}

bool console_tree_is_whole(const struct console_span *spans, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (spans[i].is_parent_local && !is_zero(spans[i].parent_id) && !has_parent(spans, count, &spans[i]))
            return false;
    return true;
}

/* Spans in the order of the tree: each followed by its children. Sets row->span and depth. */
struct walk {
    const struct console_span *spans;
    size_t count;
    struct row *rows;
    size_t row_count;
    bool *is_placed;
};

static void place(struct walk *walk, size_t n, unsigned depth)
{
    walk->is_placed[n] = true;
    walk->rows[walk->row_count++] = (struct row){.span = &walk->spans[n], .depth = depth, .mark = ""};
    for (size_t i = 0; i < walk->count; i++)
        if (!walk->is_placed[i] &&
            memcmp(walk->spans[i].parent_id, walk->spans[n].span_id, sizeof(walk->spans[n].span_id)) == 0)
            place(walk, i, depth < DEPTH_MAX ? depth + 1 : depth);
}

static void place_all(struct walk *walk)
{
    for (size_t i = 0; i < walk->count; i++) {
        const struct console_span *span = &walk->spans[i];
        bool is_root = is_zero(span->parent_id);

        if (walk->is_placed[i] || (!is_root && has_parent(walk->spans, walk->count, span)))
            continue;
        size_t row = walk->row_count;
        place(walk, i, 0);
        if (!is_root)
            walk->rows[row].mark = span->is_parent_local ? UNSEEN : REMOTE;
    }
    /* What is left are rings of ids, which only a hostile program makes. */
    for (size_t i = 0; i < walk->count; i++)
        if (!walk->is_placed[i])
            place(walk, i, 0);
}

static unsigned indent_of(const struct row *row)
{
    return row->depth * 2;
}

static unsigned max_of(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static unsigned min_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* "200", "502 connection_reset", "timeout"; "-": no response, and no error. */
static void write_outcome(struct row *row)
{
    const struct console_span *span = row->span;
    char error[CONSOLE_TEXT_SIZE] = "";

    if (span->error != NULL)
        console_text(span->error, strlen(span->error), ERROR_MAX, error);
    if (span->status == 0)
        (void)snprintf(row->outcome, sizeof(row->outcome), "%s", error[0] != '\0' ? error : "-");
    else
        (void)snprintf(row->outcome, sizeof(row->outcome), "%u%s%s", span->status, error[0] != '\0' ? " " : "", error);
}

static void fill_texts(struct row *rows, size_t count, struct layout *layout)
{
    for (size_t i = 0; i < count; i++) {
        const struct console_span *span = rows[i].span;

        console_text(span->service, strlen(span->service), SERVICE_MAX, rows[i].service);
        write_outcome(&rows[i]);
        layout->columns.service = max_of(layout->columns.service, columns_of(rows[i].service));
        layout->columns.outcome = max_of(layout->columns.outcome, columns_of(rows[i].outcome));
        if (span->end_ns > layout->end_ns)
            layout->end_ns = span->end_ns;
    }
}

/* Names get what they need, bars at least BAR_MIN, and both no more than the width leaves. */
static void divide_width(struct row *rows, size_t count, struct layout *layout)
{
    unsigned fixed = 2 + layout->columns.service + 2 + 2 + layout->columns.outcome + 2 + DURATION_WIDTH + 2;
    unsigned rest = layout->style->width > fixed ? layout->style->width - fixed : 0;
    unsigned most = max_of(NAME_MIN, rest > BAR_MIN ? rest - BAR_MIN : 0);
    unsigned longest = 0;

    for (size_t i = 0; i < count; i++) {
        const struct console_span *span = rows[i].span;
        unsigned marks = indent_of(&rows[i]) + columns_of(rows[i].mark);
        unsigned room = most > marks + NAME_MIN / 2 ? most - marks : NAME_MIN / 2;

        console_text(span->name, span->name_length, room, rows[i].name);
        longest = max_of(longest, marks + columns_of(rows[i].name));
    }
    unsigned wanted = max_of(NAME_USUAL, max_of(layout->columns.name, longest));
    layout->columns.name = min_of(wanted, max_of(longest, most));
    layout->bar = rest > layout->columns.name + BAR_MIN ? rest - layout->columns.name : BAR_MIN;
    layout->bar = min_of(layout->bar, BAR_MAX);
}

static void put_bar(FILE *out, const struct layout *layout, const struct console_span *span)
{
    uint64_t whole_ns = layout->end_ns - layout->start_ns;
    unsigned from = 0;
    unsigned to = layout->bar;

    if (whole_ns > 0) {
        double scale = (double)layout->bar / (double)whole_ns;
        from = (unsigned)((double)(span->start_ns - layout->start_ns) * scale);
        to = (unsigned)((double)(span->end_ns - layout->start_ns) * scale + 0.5);
    }
    if (from >= layout->bar)
        from = layout->bar - 1;
    (void)fprintf(out, "%*s%s", (int)from, "", colour(layout, outcome_colour(span)));
    if (to <= from)
        (void)fputs("▏", out);
    for (unsigned i = from; i < to; i++)
        (void)fputs("█", out);
    (void)fputs(colour(layout, "\033[0m"), out);
}

static void put_row(FILE *out, const struct layout *layout, const struct row *row)
{
    char duration[16];
    unsigned name_used = indent_of(row) + columns_of(row->name) + columns_of(row->mark);

    (void)fputs("  ", out);
    (void)fputs(colour(layout, "\033[1m"), out);
    put_padded(out, row->service, layout->columns.service);
    (void)fprintf(out, "%s  ", colour(layout, "\033[0m"));
    if (row->depth > 0)
        (void)fprintf(out, "%*s%s", (int)(row->depth - 1) * 2, "", BRANCH);
    (void)fputs(row->name, out);
    if (row->mark[0] != '\0')
        (void)fprintf(out, "%s%s%s", colour(layout, "\033[2m"), row->mark, colour(layout, "\033[0m"));
    (void)fprintf(out, "%*s  %s", name_used < layout->columns.name ? (int)(layout->columns.name - name_used) : 0, "",
                  colour(layout, outcome_colour(row->span)));
    put_padded(out, row->outcome, layout->columns.outcome);
    (void)fprintf(out, "%s  ", colour(layout, "\033[0m"));
    format_duration(row->span->end_ns - row->span->start_ns, duration);
    unsigned columns = columns_of(duration);
    (void)fprintf(out, "%*s%s  ", columns < DURATION_WIDTH ? (int)(DURATION_WIDTH - columns) : 0, "", duration);
    put_bar(out, layout, row->span);
    (void)fputc('\n', out);
}

static void put_head(FILE *out, const struct layout *layout, const uint8_t trace_id[16], size_t count)
{
    time_t seconds = (time_t)(layout->start_ns / 1000000000u);
    char duration[16];
    char clock[16];
    struct tm broken_down;

    (void)fprintf(out, "%strace ", colour(layout, "\033[2m"));
    for (size_t i = 0; i < 16; i++)
        (void)fprintf(out, "%02x", trace_id[i]);
    if (localtime_r(&seconds, &broken_down) == NULL || strftime(clock, sizeof(clock), "%H:%M:%S", &broken_down) == 0)
        clock[0] = '\0';
    format_duration(layout->end_ns - layout->start_ns, duration);
    (void)fprintf(out, "  %s.%03u  %zu %s  %s%s\n", clock, (unsigned)(layout->start_ns / 1000000 % 1000), count,
                  count == 1 ? "span" : "spans", duration, colour(layout, "\033[0m"));
}

void console_tree_print(FILE *out, const uint8_t trace_id[16], struct console_span *spans, size_t count,
                        const struct console_style *style, struct console_columns *columns)
{
    struct row *rows = calloc(count, sizeof(*rows));
    bool *is_placed = calloc(count, sizeof(*is_placed));

    if (rows != NULL && is_placed != NULL && count > 0) {
        qsort(spans, count, sizeof(*spans), by_start);
        struct walk walk = {.spans = spans, .count = count, .rows = rows, .is_placed = is_placed};
        struct layout layout = {
            .style = style, .columns = *columns, .start_ns = spans[0].start_ns, .end_ns = spans[0].end_ns};
        place_all(&walk);
        fill_texts(rows, count, &layout);
        divide_width(rows, count, &layout);
        put_head(out, &layout, trace_id, count);
        for (size_t i = 0; i < count; i++)
            put_row(out, &layout, &rows[i]);
        *columns = layout.columns;
        columns->name = min_of(columns->name, NAME_KEPT);
        columns->outcome = min_of(columns->outcome, OUTCOME_KEPT);
    }
    free(rows);
    free(is_placed);
}
