/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/traceback/cursor.h"

#include <string.h>

static void cut(struct slice *rest, size_t length)
{
    rest->bytes += length;
    rest->length -= length;
}

bool cursor_line(struct slice *rest, struct slice *ret_line)
{
    const char *end;

    if (rest->length == 0)
        return false;
    end = memchr(rest->bytes, '\n', rest->length);
    *ret_line = (struct slice){rest->bytes, end != NULL ? (size_t)(end - rest->bytes) : rest->length};
    cut(rest, ret_line->length + (end != NULL));
    if (ret_line->length > 0 && ret_line->bytes[ret_line->length - 1] == '\r')
        ret_line->length--;
    return true;
}

bool cursor_skip(struct slice *rest, const char *word)
{
    size_t length = strlen(word);

    if (rest->length < length || memcmp(rest->bytes, word, length) != 0)
        return false;
    cut(rest, length);
    return true;
}

size_t cursor_skip_blanks(struct slice *rest)
{
    size_t count = 0;

    while (count < rest->length && (rest->bytes[count] == ' ' || rest->bytes[count] == '\t'))
        count++;
    cut(rest, count);
    return count;
}

bool cursor_until(struct slice *rest, const char *mark, struct slice *ret_before)
{
    const char *found = rest->length > 0 ? memmem(rest->bytes, rest->length, mark, strlen(mark)) : NULL;

    if (found == NULL)
        return false;
    *ret_before = (struct slice){rest->bytes, (size_t)(found - rest->bytes)};
    cut(rest, ret_before->length + strlen(mark));
    return true;
}

bool cursor_until_last(struct slice *rest, const char *mark, struct slice *ret_before)
{
    size_t length = strlen(mark);

    for (size_t at = rest->length; at >= length; at--) {
        if (memcmp(rest->bytes + at - length, mark, length) != 0)
            continue;
        *ret_before = (struct slice){rest->bytes, at - length};
        cut(rest, at);
        return true;
    }
    return false;
}

bool cursor_number(struct slice *rest, uint32_t *ret_number)
{
    uint64_t number = 0;
    size_t count = 0;

    for (; count < rest->length && rest->bytes[count] >= '0' && rest->bytes[count] <= '9'; count++) {
        number = number * 10 + (uint64_t)(rest->bytes[count] - '0');
        if (number > INT32_MAX)
            return false;
    }
    if (number == 0)
        return false;
    *ret_number = (uint32_t)number;
    cut(rest, count);
    return true;
}

bool cursor_has(struct slice text, const char *word)
{
    return text.length > 0 && memmem(text.bytes, text.length, word, strlen(word)) != NULL;
}

bool cursor_ends_with(struct slice text, const char *word)
{
    size_t length = strlen(word);

    return text.length >= length && memcmp(text.bytes + text.length - length, word, length) == 0;
}

struct slice cursor_join(struct slice first, struct slice last)
{
    return (struct slice){first.bytes, (size_t)(last.bytes + last.length - first.bytes)};
}

/* ":NUMBER" at the end. */
static bool cut_number(struct slice *text, uint32_t *ret_number)
{
    struct slice rest = *text, before;

    if (!cursor_until_last(&rest, ":", &before) || before.length == 0 || !cursor_number(&rest, ret_number) ||
        rest.length > 0)
        return false;
    *text = before;
    return true;
}

bool cursor_place(struct slice text, struct cursor_place *ret_place)
{
    struct cursor_place place = {.file = text};
    uint32_t last;

    if (!cut_number(&place.file, &last))
        return false;
    if (cut_number(&place.file, &place.line))
        place.column = last;
    else
        place.line = last;
    *ret_place = place;
    return true;
}
