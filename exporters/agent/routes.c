/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/routes.h"

#include "exporters/agent/span.h"
#include "exporters/encode/utf8.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct routes {
    char *patterns[ROUTES_MAX]; /* the more specific one first */
    size_t count;
};

/* What a segment of a pattern stands for, in order of specificity. */
enum kind { TEXT, ONE, REST, NONE };

/* Take the next segment off a path that begins with '/'; false at its end. */
static bool next_segment(struct slice *path, struct slice *ret_segment)
{
    if (path->length == 0)
        return false;

    const char *start = path->bytes + 1;
    size_t left = path->length - 1;
    const char *slash = memchr(start, '/', left);
    size_t length = slash != NULL ? (size_t)(slash - start) : left;

    *ret_segment = (struct slice){start, length};
    *path = (struct slice){start + length, left - length};
    return true;
}

static bool ends_with(struct slice text, const char *end)
{
    size_t length = strlen(end);

    return text.length >= length && memcmp(text.bytes + text.length - length, end, length) == 0;
}

static bool has_any(struct slice text, const char *characters)
{
    for (size_t i = 0; i < text.length; i++)
        if (strchr(characters, text.bytes[i]) != NULL)
            return true;
    return false;
}

/* NONE: no segment of a pattern. */
static enum kind kind_of(struct slice segment, bool is_last)
{
    if (segment.length == 1 && segment.bytes[0] == '*')
        return is_last ? REST : ONE;
    if (!has_any(segment, "{}*"))
        return TEXT;
    if (segment.length < 3 || segment.bytes[0] != '{' || !ends_with(segment, "}"))
        return NONE;

    struct slice name = {segment.bytes + 1, segment.length - 2};
    bool is_rest = ends_with(name, "...");
    if (is_rest)
        name.length -= 3;
    if (name.length == 0 || has_any(name, "{}*") || (is_rest && !is_last))
        return NONE;
    return is_rest ? REST : ONE;
}

/* The kind of a pattern's next segment; NONE at its end. */
static enum kind next_kind(struct slice *pattern, struct slice *ret_segment)
{
    return next_segment(pattern, ret_segment) ? kind_of(*ret_segment, pattern->length == 0) : NONE;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Take a byte, decoded, off a text that isn't empty. */
static char next_byte(struct slice *text)
{
    size_t width = 1;
    char c = text->bytes[0];

    if (c == '%' && text->length >= 3 && hex_value(text->bytes[1]) >= 0 && hex_value(text->bytes[2]) >= 0) {
        c = (char)(hex_value(text->bytes[1]) << 4 | hex_value(text->bytes[2]));
        width = 3;
    }
    text->bytes += width;
    text->length -= width;
    return c;
}

static bool is_same_text(struct slice a, struct slice b)
{
    while (a.length > 0 && b.length > 0)
        if (next_byte(&a) != next_byte(&b))
            return false;
    return a.length == b.length;
}

static bool fits(struct slice pattern, struct slice path)
{
    struct slice wanted;
    struct slice segment;

    while (pattern.length > 0) {
        enum kind kind = next_kind(&pattern, &wanted);

        if (!next_segment(&path, &segment))
            return false;
        if (kind == REST)
            return true;
        if (kind == ONE ? segment.length == 0 : !is_same_text(wanted, segment))
            return false;
    }
    return path.length == 0;
}

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* An end counts as NONE, the last kind: the order has to be one of all patterns. */
static bool is_more_specific(const char *pattern, const char *than)
{
    struct slice a = slice_of(pattern);
    struct slice b = slice_of(than);
    struct slice segment;

    while (a.length > 0 || b.length > 0) {
        enum kind kind_a = next_kind(&a, &segment);
        enum kind kind_b = next_kind(&b, &segment);

        if (kind_a != kind_b)
            return kind_a < kind_b;
    }
    return false;
}

static bool is_pattern(struct slice text)
{
    struct slice segment;
    uint32_t character;

    if (text.length == 0 || text.length > ROUTES_LENGTH_MAX || text.bytes[0] != '/')
        return false;
    for (size_t at = 0, width; at < text.length; at += width) {
        width = utf8_decode(text.bytes + at, text.length - at, &character);
        if (width == 0 || character <= ' ' || character == 0x7f || character == '?' || character == '#')
            return false;
    }
    while (text.length > 0)
        if (next_kind(&text, &segment) == NONE)
            return false;
    return true;
}

struct routes *routes_new(void)
{
    return calloc(1, sizeof(struct routes));
}

void routes_free(struct routes *routes)
{
    if (routes == NULL)
        return;
    for (size_t i = 0; i < routes->count; i++)
        free(routes->patterns[i]);
    free(routes);
}

int routes_add(struct routes *routes, const char *pattern)
{
    size_t at = routes->count;

    if (!is_pattern(slice_of(pattern)))
        return -EINVAL;
    if (routes->count == ROUTES_MAX)
        return -E2BIG;
    char *copy = strdup(pattern);
    if (copy == NULL)
        return -ENOMEM;
    for (; at > 0 && is_more_specific(copy, routes->patterns[at - 1]); at--)
        routes->patterns[at] = routes->patterns[at - 1];
    routes->patterns[at] = copy;
    routes->count++;
    return 0;
}

const char *routes_find(const struct routes *routes, const char *path, size_t length)
{
    if (length == 0 || path[0] != '/')
        return NULL;
    for (size_t i = 0; i < routes->count; i++)
        if (fits(slice_of(routes->patterns[i]), (struct slice){path, length}))
            return routes->patterns[i];
    return NULL;
}
