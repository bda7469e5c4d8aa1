/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/http1_head.h"

#include <string.h>

enum {
    METHOD_MAX = 32,
    VERSION_LENGTH = 8, /* HTTP/1.1 */
};

static const uint64_t length_max = INT64_MAX; /* of a body or chunk: more than any peer can mean */

/* RFC 9110 5.6.2: methods and codings. */
static const bool is_token[256] = {
    ['!'] = true,         ['#' ... '\''] = true, ['*' ... '+'] = true, ['-' ... '.'] = true, ['0' ... '9'] = true,
    ['A' ... 'Z'] = true, ['^' ... 'z'] = true,  ['|'] = true,         ['~'] = true,
};

size_t http1_token_length(const char *bytes, size_t len)
{
    size_t n = 0;
    while (n < len && is_token[(uint8_t)bytes[n]])
        n++;
    return n;
}

bool http1_line_is_clean(const struct http1_line *line)
{
    if (memchr(line->bytes, '\r', line->length) || memchr(line->bytes, '\0', line->length))
        return false;
    if (!line->tail)
        return true;
    return !memchr(line->tail, '\r', HTTP1_LINE_TAIL - 1) && !memchr(line->tail, '\0', HTTP1_LINE_TAIL);
}

static bool read_version(struct http1 *parser, const char *bytes)
{
    if (memcmp(bytes, "HTTP/1.", 7) != 0 || bytes[7] < '0' || bytes[7] > '9')
        return false;
    parser->version_minor = bytes[7] != '0'; /* 1.2 and up would be read as 1.1 (RFC 9110 2.5) */
    return true;
}

bool http1_read_request_line(struct http1 *parser, const struct http1_line *line, struct http1_out *ret_out)
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
    if (method == 0 || method > METHOD_MAX || line->bytes[method] != ' ')
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

bool http1_read_status_line(struct http1 *parser, const struct http1_line *line, struct http1_out *ret_out)
{
    const char *bytes = line->bytes;
    const size_t status = VERSION_LENGTH + 1, reason = status + 3;
    if (line->length < reason || !read_version(parser, bytes) || bytes[VERSION_LENGTH] != ' ')
        return false;
    if (line->length > reason && bytes[reason] != ' ')
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
        uint64_t digit = (uint64_t)(digits.bytes[i] - '0');
        if (value > (length_max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

/* A list of equal values is one value (RFC 9112 6.3, rule 5). */
static bool read_content_length(struct http1 *parser, struct slice value)
{
    struct slice piece;
    while (slice_next(&value, ',', &piece)) {
        uint64_t length;
        if (!read_decimal(slice_trim(piece), &length))
            return false;
        if (parser->flags & HTTP1_SEEN_CONTENT_LENGTH) {
            if (length != parser->content_length)
                return false;
            parser->flags |= HTTP1_SEEN_LENGTH_TWICE;
        }
        parser->flags |= HTTP1_SEEN_CONTENT_LENGTH;
        parser->content_length = length;
    }
    return true;
}

static bool read_transfer_encoding(struct http1 *parser, struct slice value)
{
    struct slice piece;
    parser->flags |= HTTP1_SEEN_TRANSFER_ENCODING;
    while (slice_next(&value, ',', &piece)) {
        piece = slice_trim(piece);
        if (piece.length == 0)
            continue;
        parser->flags &= (uint16_t)~HTTP1_CHUNKED_IS_LAST;
        size_t name = http1_token_length(piece.bytes, piece.length);
        if (!slice_is((struct slice){piece.bytes, name}, "chunked")) {
            if (name == 0)
                return false;
            continue;
        }
        if (name != piece.length || (parser->flags & HTTP1_SEEN_CHUNKED))
            return false; /* parameters, or applied twice: nobody agrees on the meaning */
        parser->flags |= HTTP1_SEEN_CHUNKED | HTTP1_CHUNKED_IS_LAST;
    }
    return true;
}

static void read_connection(struct http1 *parser, struct slice value)
{
    struct slice piece;
    while (slice_next(&value, ',', &piece)) {
        piece = slice_trim(piece);
        if (slice_is(piece, "close"))
            parser->flags |= HTTP1_SEEN_CLOSE;
        else if (slice_is(piece, "keep-alive"))
            parser->flags |= HTTP1_SEEN_KEEP_ALIVE;
    }
}

bool http1_note_field(struct http1 *parser, const struct http1_line *line, size_t name_length)
{
    struct slice name = {line->bytes, name_length};
    bool is_length = slice_is(name, "content-length");
    bool is_connection = !is_length && slice_is(name, "connection");

    if (!is_length && !is_connection && !slice_is(name, "transfer-encoding"))
        return true;
    parser->flags &= (uint16_t)~HTTP1_FOLD_ALLOWED;
    if (line->tail)
        return false;

    struct slice value = http1_field_value(line, name_length);
    if (is_length)
        return read_content_length(parser, value);
    if (!is_connection)
        return read_transfer_encoding(parser, value);
    read_connection(parser, value);
    return true;
}

bool http1_opens_tunnel(const struct http1 *parser)
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

static bool decide_framing(struct http1 *parser)
{
    bool is_request = parser->role == HTTP1_REQUESTS;
    bool has_length = parser->flags & HTTP1_SEEN_CONTENT_LENGTH,
         has_coding = parser->flags & HTTP1_SEEN_TRANSFER_ENCODING;

    parser->ambiguous = (parser->flags & HTTP1_SEEN_LENGTH_TWICE) || (has_length && has_coding);
    if (!is_request && !response_has_body(parser)) {
        parser->framing = HTTP1_NO_BODY;
    } else if (has_coding) {
        bool is_chunked = parser->flags & HTTP1_CHUNKED_IS_LAST;
        if (parser->version_minor == 0) /* RFC 9112 6.1: faulty framing */
            return false;
        if (!is_chunked && (is_request || has_length))
            return false;
        parser->framing = is_chunked ? HTTP1_CHUNKED : HTTP1_CLOSE_DELIMITED;
    } else if (has_length) {
        parser->framing = HTTP1_COUNTED;
    } else {
        parser->framing = is_request ? HTTP1_NO_BODY : HTTP1_CLOSE_DELIMITED;
    }
    return true;
}

static bool decide_keep_alive(const struct http1 *parser)
{
    if (parser->framing == HTTP1_CLOSE_DELIMITED || http1_opens_tunnel(parser) || (parser->flags & HTTP1_SEEN_CLOSE))
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
