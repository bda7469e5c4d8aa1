/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/resp.h"

#include <string.h>

enum resp_state { AT_TYPE, IN_NUMBER, IN_LINE, IN_STRING };

/* Larger numbers are nobody's. */
enum { NUMBER_MAX = 1 << 29 };

static bool begins(struct resp_stream *stream, char type, bool is_out)
{
    if (stream->elements == 0) {
        stream->elements = 1;
        stream->is_push = type == '>';
    }
    stream->elements--;
    stream->type = type;
    stream->number = 0;
    stream->is_null = false;
    stream->state = IN_NUMBER;
    if (is_out)
        return type == '*' || type == '$';
    if (memchr("+-:_#,(", type, 7))
        stream->state = IN_LINE;
    return stream->state == IN_LINE || memchr("$!=*~%>", type, 7);
}

/* The line of a string or of an aggregate has ended. */
static bool number_ends(struct resp_stream *stream)
{
    uint64_t elements = stream->type == '%' ? 2 * stream->number : stream->number;

    stream->state = AT_TYPE;
    if (stream->is_null)
        return true;
    if (memchr("$!=", stream->type, 3)) {
        stream->number += 2; /* its end of line */
        stream->state = IN_STRING;
        return true;
    }
    stream->elements += (uint32_t)elements;
    return stream->elements <= NUMBER_MAX;
}

static bool number_goes_on(struct resp_stream *stream, char c)
{
    if (c == '\n')
        return number_ends(stream);
    if (c == '-')
        stream->is_null = true;
    else if (c >= '0' && c <= '9')
        stream->number = stream->number * 10 + (uint64_t)(c - '0');
    else if (c != '\r')
        return false;
    return stream->number <= NUMBER_MAX;
}

/* What is left of a line or of a string is passed over. Returns how many bytes. */
static size_t pass(struct resp_stream *stream, const char *bytes, size_t length)
{
    const char *end;

    if (stream->state == IN_STRING) {
        length = stream->number < length ? (size_t)stream->number : length;
        stream->number -= length;
        if (stream->number == 0)
            stream->state = AT_TYPE;
        return length;
    }
    end = memchr(bytes, '\n', length);
    if (end)
        stream->state = AT_TYPE;
    return end ? (size_t)(end - bytes) + 1 : length;
}

bool resp_feed(struct resp_stream *stream, bool is_out, const char *bytes, size_t length, uint32_t *ret_count)
{
    uint32_t count = 0;

    while (length > 0) {
        size_t used = 1;

        switch ((enum resp_state)stream->state) {
        case AT_TYPE:
            if (!begins(stream, *bytes, is_out))
                return false;
            break;
        case IN_NUMBER:
            if (!number_goes_on(stream, *bytes))
                return false;
            break;
        case IN_LINE:
        case IN_STRING:
            used = pass(stream, bytes, length);
            break;
        }
        bytes += used;
        length -= used;
        if (stream->state == AT_TYPE && stream->elements == 0 && !stream->is_push)
            count++;
    }
    *ret_count = count;
    return true;
}
