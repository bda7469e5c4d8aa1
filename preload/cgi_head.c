/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/cgi_head.h"

#include "preload/http1_head.h"

size_t cgi_field_name(struct slice variable, char *out)
{
    size_t skipped = 0;

    if (variable.length > 5 && slice_equals((struct slice){variable.bytes, 5}, "HTTP_", 5))
        skipped = 5;
    else if (!slice_is(variable, "content_type") && !slice_is(variable, "content_length"))
        return 0;
    for (size_t i = skipped; i < variable.length; i++)
        out[i - skipped] = variable.bytes[i] == '_' ? '-' : slice_lower(variable.bytes[i]);
    return variable.length - skipped;
}

/* "404 Not Found": three digits; anything else says nothing. */
static void read_status(struct http1 *parser, struct slice value)
{
    unsigned status = 0;

    if (value.length < 3)
        return;
    for (size_t i = 0; i < 3; i++) {
        if (value.bytes[i] < '0' || value.bytes[i] > '9')
            return;
        status = status * 10 + (unsigned)(value.bytes[i] - '0');
    }
    if (status < 100)
        return;
    parser->status = (uint16_t)status;
    parser->flags |= HTTP1_SEEN_STATUS;
}

static void read_field(struct http1 *parser, const struct http1_out *field)
{
    if (slice_is(field->a, "status"))
        read_status(parser, field->b);
    else if (slice_is(field->a, "location") && (parser->flags & HTTP1_SEEN_STATUS) == 0)
        parser->status = 302;
}

size_t cgi_head_feed(struct http1 *parser, const char *bytes, size_t len, char *stash, enum http1_event *ret_event,
                     struct http1_out *ret_out)
{
    size_t used;

    if (parser->state == HTTP1_AT_START && len > 0 && (len < 7 || memcmp(bytes, "HTTP/1.", 7) != 0)) {
        http1_begin(parser);
        parser->state = HTTP1_IN_FIELDS;
        parser->status = 200;
        *ret_event = HTTP1_START_LINE;
        *ret_out = (struct http1_out){0};
        return 0;
    }
    used = http1_feed(parser, bytes, len, stash, ret_event, ret_out);
    if (*ret_event == HTTP1_START_LINE)
        parser->flags |= HTTP1_SEEN_STATUS;
    else if (*ret_event == HTTP1_FIELD)
        read_field(parser, ret_out);
    return used;
}
