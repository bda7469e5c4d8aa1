/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/http1_head.h"

#include <string.h>

#include "preload/byte_class.h"

enum { VERSION_LENGTH = 8 }; /* HTTP/1.1 */

static const uint64_t length_max = INT64_MAX; /* of a body or chunk: more than any peer can mean */

size_t http1_token_length(const char *bytes, size_t len)
{
    size_t n = 0;
    while (n < len && byte_is(bytes[n], BYTE_OF_TOKEN))
        n++;
    return n;
}

bool http1_line_has(const struct http1_line *line, char byte)
{
    return memchr(line->bytes, byte, line->length) ||
           (line->tail && memchr(line->tail, byte, HTTP1_LINE_TAIL - line->ends_in_crlf));
}

struct slice http1_field_value_with_cr(const struct http1_line *line, size_t colon)
{
    struct slice value = http1_field_value(line, colon), trimmed;

    for (;;) {
        trimmed = slice_trim(value);
        if (trimmed.length > 0 && trimmed.bytes[0] == '\r')
            trimmed.bytes++, trimmed.length--;
        if (trimmed.length > 0 && trimmed.bytes[trimmed.length - 1] == '\r')
            trimmed.length--;
        if (trimmed.length == value.length)
            return trimmed;
        value = trimmed;
    }
}

static inline bool read_version(struct http1 *parser, const char *bytes)
{
    if (memcmp(bytes, "HTTP/1.", 7) != 0 || bytes[7] < '0' || bytes[7] > '9')
        return false;
    parser->version_minor = bytes[7] != '0'; /* 1.2 and up would be read as 1.1 (RFC 9110 2.5) */
    return true;
}

/* Several blanks between the parts, or after them; blanks within the target. */
__attribute__((cold)) static bool read_odd_request_line(struct http1 *parser, const struct http1_line *line,
                                                        struct http1_out *ret_out)
{
    const char *end = line->bytes + line->length;
    size_t method = http1_token_length(line->bytes, line->length);
    const char *target = line->bytes + method;
    if (line->tail || method == 0 || method > HTTP1_METHOD_MAX)
        return false;

    while (end > target && http1_is_blank(end[-1]))
        end--;
    if (end - target < VERSION_LENGTH + 3 || !http1_is_blank(*target))
        return false;
    const char *version = end - VERSION_LENGTH;
    if (!http1_is_blank(version[-1]) || !read_version(parser, version))
        return false;
    const char *target_end = version;
    while (target_end > target && http1_is_blank(target_end[-1]))
        target_end--;
    while (target < target_end && http1_is_blank(*target))
        target++;
    for (const char *c = target; c < target_end; c++)
        if (scan_ends_target(*c) && !http1_is_blank(*c))
            return false;
    if (target == target_end)
        return false;
    ret_out->a = (struct slice){line->bytes, method};
    ret_out->b = (struct slice){target, (size_t)(target_end - target)};
    ret_out->c = (struct slice){version, VERSION_LENGTH};
    return true;
}

static bool read_plain_request_line(struct http1 *parser, const struct http1_line *line, struct http1_out *ret_out)
{
    struct slice end = {line->bytes, line->length};
    if (line->tail)
        end = (struct slice){line->tail, HTTP1_LINE_TAIL - (line->tail[HTTP1_LINE_TAIL - 1] == '\r')};
    if (end.length < VERSION_LENGTH + 1)
        return false;
    const char *version = end.bytes + end.length - VERSION_LENGTH;
    if (version[-1] != ' ' || !read_version(parser, version))
        return false;

    size_t method = http1_token_length(line->bytes, line->length);
    if (method == 0 || method > HTTP1_METHOD_MAX || line->bytes[method] != ' ')
        return false;
    const char *target = line->bytes + method + 1;
    const char *target_end = line->tail ? line->bytes + line->length : version - 1;
    if (target >= target_end || scan_target(line->bytes, target, target_end) != target_end)
        return false;
    ret_out->a = (struct slice){line->bytes, method};
    ret_out->b = (struct slice){target, (size_t)(target_end - target)};
    ret_out->c = (struct slice){version, VERSION_LENGTH};
    return true;
}

bool http1_read_request_line(struct http1 *parser, const struct http1_line *line, struct http1_out *ret_out)
{
    return read_plain_request_line(parser, line, ret_out) || read_odd_request_line(parser, line, ret_out);
}

bool http1_read_status_line(struct http1 *parser, const struct http1_line *line, struct http1_out *ret_out)
{
    const char *bytes = line->bytes;
    size_t status = VERSION_LENGTH;
    if (line->length < VERSION_LENGTH || !read_version(parser, bytes))
        return false;
    while (status < line->length && http1_is_blank(bytes[status]))
        status++;
    size_t reason = status + 3;
    if (status == VERSION_LENGTH || line->length < reason)
        return false;
    if (line->length > reason && !http1_is_blank(bytes[reason]))
        return false;

    unsigned code = 0;
    for (size_t i = status; i < reason; i++) {
        if (bytes[i] < '0' || bytes[i] > '9')
            return false;
        code = code * 10 + (unsigned)(bytes[i] - '0');
    }
    if (code < 100)
        return false;
    parser->status = (uint16_t)code;
    ret_out->a = (struct slice){bytes, VERSION_LENGTH};
    ret_out->b = (struct slice){bytes + status, 3};
    ret_out->c =
        line->length > reason ? (struct slice){bytes + reason + 1, line->length - reason - 1} : (struct slice){0};
    return true;
}

static bool read_decimal(struct slice digits, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (digits.length == 0)
        return false;
    for (size_t i = 0; i < digits.length; i++) {
        if (digits.bytes[i] < '0' || digits.bytes[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(digits.bytes[i] - '0'), &value))
            return false;
    }
    *ret_value = value;
    return value <= length_max;
}

/* A list of equal values is one value (RFC 9112 6.3, rule 5). */
static void note_length(struct http1 *parser, uint64_t length)
{
    if ((parser->flags & HTTP1_HAS_LENGTH) && length != parser->content_length) {
        parser->flags |= HTTP1_LENGTH_BAD;
        return;
    }
    if (parser->flags & HTTP1_HAS_LENGTH)
        parser->ambiguous = true;
    parser->flags = (uint16_t)((parser->flags & ~HTTP1_AFTER_COMMA) | HTTP1_HAS_LENGTH);
    parser->content_length = length;
}

/* Empty elements of a list count for nothing (RFC 9110 5.6.1.2). Hardly ever is it one of several. */
static void read_content_length(struct http1 *parser, struct slice value)
{
    struct slice piece;
    uint64_t length;
    parser->flags |= HTTP1_SEEN_CONTENT_LENGTH;
    if (read_decimal(value, &length)) {
        note_length(parser, length);
        return;
    }
    while (slice_next(&value, ',', &piece)) {
        piece = slice_trim(piece);
        if (piece.length == 0) {
            parser->flags |= HTTP1_AFTER_COMMA;
            parser->ambiguous = true;
        } else if (read_decimal(piece, &length)) {
            note_length(parser, length);
        } else {
            parser->flags |= HTTP1_LENGTH_BAD;
        }
    }
}

static void read_coding(struct http1 *parser, struct slice coding)
{
    size_t name = http1_token_length(coding.bytes, coding.length);
    size_t after = name + http1_blanks(coding.bytes + name, coding.length - name);
    bool is_chunked = slice_is((struct slice){coding.bytes, name}, "chunked");
    bool has_parameters = after < coding.length && coding.bytes[after] == ';';

    parser->flags &= (uint16_t) ~(HTTP1_CHUNKED_IS_LAST | HTTP1_AFTER_COMMA);
    if (name == 0 || (after < coding.length && !has_parameters) || (is_chunked && has_parameters)) {
        parser->flags |= HTTP1_CODING_BAD; /* chunked has no parameters (RFC 9112 7.1) */
    } else if (is_chunked) {
        /* Applied twice, which it must not be (RFC 9112 6.1), it is the outer one that frames the body. */
        if (parser->flags & HTTP1_SEEN_CHUNKED)
            parser->ambiguous = true;
        parser->flags |= HTTP1_SEEN_CHUNKED | HTTP1_CHUNKED_IS_LAST;
    }
}

static void read_transfer_encoding(struct http1 *parser, struct slice value)
{
    struct slice piece;
    parser->flags |= HTTP1_SEEN_TRANSFER_ENCODING;
    while (slice_next(&value, ',', &piece)) {
        piece = slice_trim(piece);
        if (piece.length > 0)
            read_coding(parser, piece);
        else
            parser->flags |= HTTP1_AFTER_COMMA;
    }
}

static inline bool read_connection_option(struct http1 *parser, struct slice option)
{
    if (slice_is_literal(option, "close"))
        parser->flags |= HTTP1_SEEN_CLOSE;
    else if (slice_is_literal(option, "keep-alive"))
        parser->flags |= HTTP1_SEEN_KEEP_ALIVE;
    else
        return false;
    return true;
}

/* Hardly ever a list of several. */
static void read_connection(struct http1 *parser, struct slice value)
{
    struct slice piece;
    if (read_connection_option(parser, value))
        return;
    while (slice_next(&value, ',', &piece))
        (void)read_connection_option(parser, slice_trim(piece));
}

/* The last field can't be understood. */
__attribute__((cold)) static void doubt_field(struct http1 *parser)
{
    if (parser->last_field == HTTP1_AFTER_LENGTH)
        parser->flags |= HTTP1_LENGTH_BAD;
    if (parser->last_field == HTTP1_AFTER_CODING)
        parser->flags |= HTTP1_CODING_BAD;
}

void http1_note_field(struct http1 *parser, struct slice name, struct slice value, bool is_cut)
{
    if (slice_is_literal(name, "content-length")) {
        parser->last_field = HTTP1_AFTER_LENGTH;
        read_content_length(parser, value);
    } else if (slice_is_literal(name, "connection")) {
        parser->last_field = HTTP1_AFTER_CONNECTION;
        read_connection(parser, value);
    } else if (slice_is_literal(name, "transfer-encoding")) {
        parser->last_field = HTTP1_AFTER_CODING;
        read_transfer_encoding(parser, value);
    }
    if (is_cut)
        doubt_field(parser);
}

void http1_note_continuation(struct http1 *parser, struct slice value, bool is_cut)
{
    if (value.length == 0)
        return;
    if (http1_is_framing(parser->last_field)) {
        parser->ambiguous = true;
        /* Within an element there is a blank now, which no length and no coding has. */
        if (is_cut || (!(parser->flags & HTTP1_AFTER_COMMA) && value.bytes[0] != ','))
            doubt_field(parser);
    }
    if (parser->last_field == HTTP1_AFTER_LENGTH)
        read_content_length(parser, value);
    else if (parser->last_field == HTTP1_AFTER_CODING)
        read_transfer_encoding(parser, value);
    else if (parser->last_field == HTTP1_AFTER_CONNECTION)
        read_connection(parser, value);
}

bool http1_has_length(const struct http1 *parser)
{
    return parser->flags & HTTP1_HAS_LENGTH;
}

inline bool http1_opens_tunnel(const struct http1 *parser)
{
    if (parser->role != HTTP1_RESPONSES)
        return false;
    return parser->status == 101 || (parser->answers_connect && parser->status / 100 == 2);
}

static bool response_has_body(const struct http1 *parser)
{
    unsigned status = parser->status;
    if (parser->answers_head || status / 100 == 1 || status == 204 || status == 304)
        return false;
    return !http1_opens_tunnel(parser);
}

/* The rules of RFC 9112 6.3, in their order. */
static bool decide_framing(struct http1 *parser)
{
    bool is_request = parser->role == HTTP1_REQUESTS;
    bool has_length = parser->flags & HTTP1_SEEN_CONTENT_LENGTH;

    if (parser->is_cgi) {
        parser->framing = HTTP1_CLOSE_DELIMITED;
    } else if (!is_request && !response_has_body(parser)) { /* 1, 2: whatever the fields say */
        parser->framing = HTTP1_NO_BODY;
        parser->ambiguous = false;
    } else if (parser->flags & HTTP1_SEEN_TRANSFER_ENCODING) { /* 3, 4; in HTTP/1.0 the framing is faulty (6.1) */
        bool is_chunked = parser->flags & HTTP1_CHUNKED_IS_LAST;
        if ((parser->flags & HTTP1_CODING_BAD) || (is_request && !is_chunked))
            return false;
        parser->ambiguous |= has_length || parser->version_minor == 0;
        parser->framing = is_chunked ? HTTP1_CHUNKED : HTTP1_CLOSE_DELIMITED;
    } else if (has_length) { /* 5, 6 */
        if ((parser->flags & HTTP1_LENGTH_BAD) || !(parser->flags & HTTP1_HAS_LENGTH))
            return false;
        parser->framing = HTTP1_COUNTED;
    } else { /* 7, 8 */
        parser->framing = is_request ? HTTP1_NO_BODY : HTTP1_CLOSE_DELIMITED;
    }
    return true;
}

/* RFC 9112 9.3; and 6.1: with both framing fields, or a coding in HTTP/1.0, the server has to close. */
static bool decide_keep_alive(const struct http1 *parser)
{
    bool is_faulty =
        parser->framing == HTTP1_CHUNKED && ((parser->flags & HTTP1_SEEN_CONTENT_LENGTH) || parser->version_minor == 0);

    if (parser->framing == HTTP1_CLOSE_DELIMITED || is_faulty || http1_opens_tunnel(parser) ||
        (parser->flags & HTTP1_SEEN_CLOSE))
        return false;
    return parser->version_minor > 0 || (parser->flags & HTTP1_SEEN_KEEP_ALIVE);
}

bool http1_decide(struct http1 *parser)
{
    if (!decide_framing(parser))
        return false;
    parser->keep_alive = decide_keep_alive(parser);
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = slice_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http1_read_chunk_size(const struct http1_line *line, uint64_t *ret_size)
{
    uint64_t size = 0;
    size_t i = 0;
    for (; i < line->length; i++) {
        int digit = hex_digit(line->bytes[i]);
        if (digit < 0)
            break;
        if (size > length_max >> 4)
            return false;
        size = size << 4 | (uint64_t)digit;
    }
    if (i == 0)
        return false;
    struct slice rest = slice_trim((struct slice){line->bytes + i, line->length - i});
    if (rest.length > 0 && rest.bytes[0] != ';')
        return false;
    *ret_size = size;
    return true;
}
