/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/http1.h"

#include <string.h>

#include "preload/http1_head.h"
#include "preload/scan.h"

enum { LINE_HEAD = HTTP1_STASH_SIZE - HTTP1_LINE_TAIL }; /* kept of the start of a cut line */

/* One call's bytes. */
struct feed {
    struct http1 *parser;
    const char *start;
    const char *at;
    const char *end;
    char *stash;
    struct http1_out *out;
};

__attribute__((cold)) static enum http1_event fail(struct http1 *parser, enum http1_event how)
{
    parser->state = HTTP1_FAILED;
    parser->stash_length = 0;
    return how;
}

/* Bytes that break a start line: not HTTP at all, or a connection that was HTTP so far and lost its way. */
__attribute__((cold)) static enum http1_event fail_start(struct http1 *parser)
{
    return fail(parser, parser->flags & HTTP1_SPOKE_HTTP ? HTTP1_BAD : HTTP1_NOT_MINE);
}

static enum http1_event message_end(struct http1 *parser)
{
    parser->state = http1_opens_tunnel(parser) ? HTTP1_TUNNEL : HTTP1_AT_START;
    return HTTP1_MESSAGE_END;
}

/* Lines */

/* Keep a piece of a line. When it is full, its last HTTP1_LINE_TAIL bytes are those that came last. */
static void stash_append(struct http1 *parser, char *stash, const char *bytes, size_t len)
{
    size_t room = HTTP1_STASH_SIZE - parser->stash_length;
    size_t fitting = len < room ? len : room;
    memcpy(stash + parser->stash_length, bytes, fitting);
    parser->stash_length += (uint32_t)fitting;
    bytes += fitting;
    len -= fitting;
    if (len == 0)
        return;

    char *tail = stash + LINE_HEAD;
    parser->flags |= HTTP1_LINE_IS_CUT;
    if (len > HTTP1_LINE_TAIL) {
        bytes += len - HTTP1_LINE_TAIL;
        len = HTTP1_LINE_TAIL;
    }
    memmove(tail, tail + len, HTTP1_LINE_TAIL - len);
    memcpy(tail + HTTP1_LINE_TAIL - len, bytes, len);
}

static struct http1_line line_whole(const char *bytes, size_t len)
{
    bool has_cr = len > 0 && bytes[len - 1] == '\r';
    if (len > HTTP1_STASH_SIZE)
        return (struct http1_line){bytes, LINE_HEAD, bytes + len - HTTP1_LINE_TAIL, has_cr};
    return (struct http1_line){bytes, len - has_cr, NULL, has_cr};
}

static struct http1_line line_stashed(struct http1 *parser, const char *stash)
{
    size_t len = parser->stash_length;
    parser->stash_length = 0;
    if (parser->flags & HTTP1_LINE_IS_CUT) {
        parser->flags &= (uint16_t)~HTTP1_LINE_IS_CUT;
        return (struct http1_line){stash, LINE_HEAD, stash + LINE_HEAD, stash[HTTP1_STASH_SIZE - 1] == '\r'};
    }
    return line_whole(stash, len);
}

/* WITH_CR: taken, and a CR stands in it that is no part of its end. FAILED: a NUL stands in it. */
enum taken { LINE_TAKEN, LINE_WITH_CR, LINE_MISSING, LINE_FAILED, LINE_WANTS_STASH };

/* A line that comes in pieces, is longer than the stash, or has a NUL or a CR in it. */
__attribute__((cold)) static enum taken take_unusual_line(struct feed *feed, struct http1_line *ret_line)
{
    struct http1 *parser = feed->parser;
    size_t left = (size_t)(feed->end - feed->at);
    const char *start = feed->at;
    const char *newline = memchr(start, '\n', left);
    size_t length = newline ? (size_t)(newline - start) : left;
    size_t used = newline ? length + 1 : length;
    bool is_whole = newline && parser->stash_length == 0;

    if (!is_whole && !feed->stash)
        return LINE_WANTS_STASH;
    feed->at += used;

    if (is_whole) {
        *ret_line = line_whole(start, length);
    } else {
        stash_append(parser, feed->stash, start, length);
        if (!newline)
            return LINE_MISSING;
        *ret_line = line_stashed(parser, feed->stash);
    }
    if (http1_line_has(ret_line, '\0'))
        return LINE_FAILED;
    return http1_line_has(ret_line, '\r') ? LINE_WITH_CR : LINE_TAKEN;
}

/* Take the next line. MISSING: its end hasn't come; all bytes are used and kept in the stash. */
__attribute__((always_inline)) static inline enum taken take_line(struct feed *feed, struct http1_line *ret_line)
{
    struct http1 *parser = feed->parser;
    const char *start = feed->at;
    if (start == feed->end)
        return LINE_MISSING;

    const char *stop = scan_line(feed->start, start, feed->end);
    bool is_crlf = feed->end - stop >= 2 && memcmp(stop, "\r\n", 2) == 0;
    bool is_plain = is_crlf || (stop < feed->end && *stop == '\n');
    if (__builtin_expect(!is_plain || parser->stash_length > 0 || stop - start > HTTP1_STASH_SIZE - 2, 0)) {
        struct http1_line line; /* not the caller's: it may stay in registers */
        enum taken taken = take_unusual_line(feed, &line);
        *ret_line = line;
        return taken;
    }
    feed->at = stop + 1 + is_crlf;
    *ret_line = (struct http1_line){start, (size_t)(stop - start), NULL, is_crlf};
    return LINE_TAKEN;
}

/* The same where lines are few. */
__attribute__((noinline)) static enum taken take_rare_line(struct feed *feed, struct http1_line *ret_line)
{
    return take_line(feed, ret_line);
}

/* What a line that was not taken leads to. */
static enum http1_event no_line(struct http1 *parser, enum taken taken)
{
    if (taken == LINE_MISSING)
        return HTTP1_NEED_MORE;
    return taken == LINE_WANTS_STASH ? HTTP1_NEED_STASH : fail(parser, HTTP1_BAD);
}

/* Start lines */

void http1_begin(struct http1 *parser)
{
    parser->state = HTTP1_IN_START_LINE;
    parser->last_field = HTTP1_AFTER_NONE;
    parser->framing = HTTP1_NO_BODY;
    parser->version_minor = 0;
    parser->status = 0;
    parser->flags &= HTTP1_SPOKE_HTTP;
    parser->keep_alive = false;
    parser->ambiguous = false;
    parser->remaining = 0;
    parser->body_length = 0;
    parser->content_length = 0;
}

/* What is no HTTP may never send a line end: it is said before. */
static enum http1_event no_start_line(struct feed *feed, enum taken taken)
{
    struct http1 *parser = feed->parser;
    if (taken == LINE_WANTS_STASH)
        return HTTP1_NEED_STASH;
    bool may_be =
        taken == LINE_MISSING && (parser->stash_length == 0 ||
                                  http1_looks_like((enum http1_role)parser->role, feed->stash, parser->stash_length));
    return may_be ? HTTP1_NEED_MORE : fail_start(parser);
}

static enum http1_event feed_start_line(struct feed *feed)
{
    struct http1 *parser = feed->parser;
    struct http1_line line;
    enum taken taken = take_rare_line(feed, &line);
    if (__builtin_expect(taken != LINE_TAKEN, 0)) {
        if (taken != LINE_WITH_CR || parser->role == HTTP1_REQUESTS)
            return no_start_line(feed, taken);
        parser->ambiguous =
            true; /* it may stand in the reason phrase only, and others may take it for the line's end */
    }

    bool understood = parser->role == HTTP1_REQUESTS ? http1_read_request_line(parser, &line, feed->out)
                                                     : http1_read_status_line(parser, &line, feed->out);
    if (!understood)
        return fail_start(parser);
    parser->flags |= HTTP1_SPOKE_HTTP;
    parser->state = HTTP1_IN_FIELDS;
    feed->out->truncated = line.tail != NULL;
    return HTTP1_START_LINE;
}

/* The first byte decides between a blank line and a message: that one has begun is known with it. RFC 9112 2.2 lets
 * blank lines stand before requests; clients pass over them before responses, too. */
static enum http1_event feed_at_start(struct feed *feed)
{
    struct http1 *parser = feed->parser;
    if (feed->at == feed->end)
        return HTTP1_NEED_MORE;

    bool in_blank = parser->flags & HTTP1_BLANK_BEGUN;
    if (*feed->at == '\n') {
        parser->flags &= (uint16_t)~HTTP1_BLANK_BEGUN;
        feed->at++;
    } else if (in_blank) {
        http1_begin(parser);
        return fail_start(parser);
    } else if (*feed->at == '\r') {
        parser->flags |= HTTP1_BLANK_BEGUN;
        feed->at++;
    } else {
        http1_begin(parser);
        return feed_start_line(feed);
    }
    return HTTP1_NEED_MORE;
}

/* Fields */

static enum http1_event head_end(struct http1 *parser)
{
    if (!http1_decide(parser))
        return fail(parser, HTTP1_BAD);
    switch ((enum http1_framing)parser->framing) {
    case HTTP1_NO_BODY:
        parser->state = HTTP1_IN_BODY; /* of nothing: the next call reports its end */
        break;
    case HTTP1_COUNTED:
        parser->state = HTTP1_IN_BODY;
        parser->remaining = parser->content_length;
        break;
    case HTTP1_CHUNKED:
        parser->state = HTTP1_IN_CHUNK_SIZE;
        break;
    case HTTP1_CLOSE_DELIMITED:
        parser->state = HTTP1_UNTIL_CLOSE;
        break;
    }
    return HTTP1_HEAD_END;
}

__attribute__((always_inline)) static inline enum http1_event field(struct feed *feed, const struct http1_line *line,
                                                                    size_t name, size_t colon)
{
    *feed->out = (struct http1_out){{line->bytes, name}, http1_field_value(line, colon), {0}, line->tail};
    return HTTP1_FIELD;
}

static inline bool is_unreported(uint32_t unreported, char first)
{
    return (first & 0x40) && unreported >> (first & 31) & 1;
}

/* A line that begins with a blank: a continuation of the field before (obs-fold, RFC 9112 5.2). Before the first field
 * it is passed over (2.2); a recipient that doesn't may read a field in it. */
static enum http1_event folded_line(struct feed *feed, const struct http1_line *line)
{
    struct slice text = slice_trim((struct slice){line->bytes, line->length});

    if (feed->parser->last_field == HTTP1_AFTER_NONE) {
        feed->parser->ambiguous = true;
        return HTTP1_NEED_MORE;
    }
    http1_note_continuation(feed->parser, text, line->tail);
    *feed->out = (struct http1_out){{line->bytes, 0}, text, {0}, line->tail};
    return HTTP1_FIELD;
}

/* A line that is no plain field. A response may have blanks before the colon; a request may not (RFC 9112 5.1). */
__attribute__((cold)) static enum http1_event odd_line(struct feed *feed, const struct http1_line *line)
{
    struct http1 *parser = feed->parser;
    if (line->bytes[0] == ' ' || line->bytes[0] == '\t')
        return folded_line(feed, line);

    const char *end = line->bytes + line->length;
    size_t name = (size_t)(scan_name(line->bytes, end) - line->bytes);
    size_t colon = name + http1_blanks(line->bytes + name, line->length - name);
    if (name == 0 || colon == line->length || line->bytes[colon] != ':' || parser->role == HTTP1_REQUESTS)
        return fail(parser, HTTP1_BAD);
    parser->last_field = HTTP1_AFTER_OTHER;
    http1_note_field(parser, (struct slice){line->bytes, name}, http1_field_value(line, colon), line->tail);
    parser->ambiguous |= http1_is_framing(parser->last_field);
    return field(feed, line, name, colon);
}

/* A header line with a CR alone in it: RFC 9112 2.2 lets a recipient take that for a blank. Others may take it for the
 * line's end, or refuse it: nothing that the framing depends on may stand in such a line. */
__attribute__((cold, noinline)) static enum http1_event line_with_cr(struct feed *feed, const struct http1_line *line)
{
    struct http1 *parser = feed->parser;
    size_t name = http1_name_length(line->bytes, line->length);
    enum http1_event event;

    if (name == 0) {
        event = odd_line(feed, line);
    } else {
        parser->last_field = HTTP1_AFTER_OTHER;
        if (http1_may_frame(name))
            http1_note_field(parser, (struct slice){line->bytes, name}, http1_field_value_with_cr(line, name),
                             line->tail);
        *feed->out = (struct http1_out){{line->bytes, name}, http1_field_value_with_cr(line, name), {0}, line->tail};
        event = is_unreported(parser->unreported, *line->bytes) ? HTTP1_NEED_MORE : HTTP1_FIELD;
    }
    parser->ambiguous = true;
    return http1_is_framing(parser->last_field) ? fail(parser, HTTP1_BAD) : event;
}

/* Goes by lines that nobody wants without coming back to the caller. */
static enum http1_event feed_fields(struct feed *feed)
{
    struct http1 *parser = feed->parser;
    uint32_t unreported = parser->unreported;
    struct http1_line line;
    enum taken taken;

    while ((taken = take_line(feed, &line)) == LINE_TAKEN) {
        if (line.length == 0)
            return head_end(parser);
        size_t name = http1_name_length(line.bytes, line.length);
        if (name == 0) {
            struct http1_line odd = line;
            enum http1_event event = odd_line(feed, &odd);
            if (event == HTTP1_NEED_MORE)
                continue;
            return event;
        }
        parser->last_field = HTTP1_AFTER_OTHER;
        if (http1_may_frame(name))
            http1_note_field(parser, (struct slice){line.bytes, name}, http1_field_value(&line, name), line.tail);
        if (is_unreported(unreported, *line.bytes))
            continue;
        return field(feed, &line, name, name);
    }
    if (__builtin_expect(taken == LINE_WITH_CR, 0)) {
        struct http1_line odd = line;
        return line_with_cr(feed, &odd);
    }
    return no_line(parser, taken);
}

/* Trailers are checked and passed over: they can't change what the head said (RFC 9110 6.5.1). */
static enum http1_event feed_trailers(struct feed *feed)
{
    struct http1 *parser = feed->parser;
    struct http1_line line;
    enum taken taken = take_rare_line(feed, &line);
    if (taken != LINE_TAKEN && taken != LINE_WITH_CR)
        return no_line(parser, taken);
    if (line.length == 0)
        return message_end(parser);
    if (line.bytes[0] != ' ' && line.bytes[0] != '\t' && http1_name_length(line.bytes, line.length) == 0)
        return fail(parser, HTTP1_BAD);
    return HTTP1_NEED_MORE;
}

/* Bodies */

/* Count body bytes, seen or not. False when the sum is more than a number holds. */
static bool count_body(struct http1 *parser, uint64_t count)
{
    return !__builtin_add_overflow(parser->body_length, count, &parser->body_length);
}

/* The end of what `remaining` counted. */
static enum http1_event counted_end(struct http1 *parser)
{
    if (parser->state != HTTP1_IN_CHUNK_DATA)
        return message_end(parser);
    parser->state = HTTP1_IN_CHUNK_END;
    return HTTP1_NEED_MORE;
}

static enum http1_event feed_counted(struct feed *feed)
{
    struct http1 *parser = feed->parser;
    size_t left = (size_t)(feed->end - feed->at);
    size_t taken = left < parser->remaining ? left : (size_t)parser->remaining;
    feed->at += taken;
    parser->remaining -= taken;
    if (!count_body(parser, taken))
        return fail(parser, HTTP1_BAD);
    return parser->remaining == 0 ? counted_end(parser) : HTTP1_NEED_MORE;
}

/* The lines of chunks end in CRLF: RFC 9112 2.2 lets a bare LF end start lines and fields only. */

static enum http1_event feed_chunk_size(struct feed *feed)
{
    struct http1 *parser = feed->parser;
    struct http1_line line;
    enum taken taken = take_rare_line(feed, &line);
    if (taken != LINE_TAKEN)
        return no_line(parser, taken);
    if (!line.ends_in_crlf || !http1_read_chunk_size(&line, &parser->remaining))
        return fail(parser, HTTP1_BAD);
    parser->state = parser->remaining > 0 ? HTTP1_IN_CHUNK_DATA : HTTP1_IN_TRAILERS;
    return HTTP1_NEED_MORE;
}

static enum http1_event feed_chunk_end(struct feed *feed)
{
    struct http1 *parser = feed->parser;
    struct http1_line line;
    enum taken taken = take_rare_line(feed, &line);
    if (taken != LINE_TAKEN)
        return no_line(parser, taken);
    if (!line.ends_in_crlf || line.length > 0)
        return fail(parser, HTTP1_BAD);
    parser->state = HTTP1_IN_CHUNK_SIZE;
    return HTTP1_NEED_MORE;
}

static enum http1_event feed_until_close(struct feed *feed)
{
    size_t left = (size_t)(feed->end - feed->at);
    feed->at = feed->end;
    return count_body(feed->parser, left) ? HTTP1_NEED_MORE : fail(feed->parser, HTTP1_BAD);
}

/* Every step uses a byte, changes the state, or reports: feeding ends. */
static enum http1_event step(struct feed *feed)
{
    switch ((enum http1_state)feed->parser->state) {
    case HTTP1_AT_START:
        return feed_at_start(feed);
    case HTTP1_IN_START_LINE:
        return feed_start_line(feed);
    case HTTP1_IN_FIELDS:
        return feed_fields(feed);
    case HTTP1_IN_BODY:
    case HTTP1_IN_CHUNK_DATA:
        return feed_counted(feed);
    case HTTP1_IN_CHUNK_SIZE:
        return feed_chunk_size(feed);
    case HTTP1_IN_CHUNK_END:
        return feed_chunk_end(feed);
    case HTTP1_IN_TRAILERS:
        return feed_trailers(feed);
    case HTTP1_UNTIL_CLOSE:
        return feed_until_close(feed);
    case HTTP1_TUNNEL:
    case HTTP1_FAILED:
        feed->at = feed->end;
        return HTTP1_NEED_MORE;
    }
    return fail(feed->parser, HTTP1_BAD);
}

size_t http1_feed(struct http1 *parser, const char *bytes, size_t len, char *stash, enum http1_event *ret_event,
                  struct http1_out *ret_out)
{
    struct feed feed = {
        .parser = parser, .start = bytes, .at = bytes, .end = bytes + len, .stash = stash, .out = ret_out};
    enum http1_event event;
    do
        event = step(&feed);
    while (event == HTTP1_NEED_MORE && feed.at < feed.end);
    *ret_event = event;
    return (size_t)(feed.at - bytes);
}

int http1_skip(struct http1 *parser, uint64_t count, enum http1_event *ret_event)
{
    bool is_counted = parser->state == HTTP1_IN_BODY || parser->state == HTTP1_IN_CHUNK_DATA;
    bool has_room = parser->state == HTTP1_UNTIL_CLOSE || parser->state == HTTP1_TUNNEL ||
                    (is_counted && count <= parser->remaining);
    if (count > 0 && (!has_room || !count_body(parser, count))) {
        (void)fail(parser, HTTP1_BAD);
        return -1;
    }
    *ret_event = HTTP1_NEED_MORE;
    if (is_counted && count > 0) {
        parser->remaining -= count;
        if (parser->remaining == 0)
            *ret_event = counted_end(parser);
    }
    return 0;
}

enum http1_event http1_end(struct http1 *parser)
{
    bool is_open = parser->state != HTTP1_AT_START || parser->stash_length > 0;
    if (parser->state == HTTP1_UNTIL_CLOSE || (parser->state == HTTP1_IN_BODY && parser->remaining == 0))
        return message_end(parser);
    if (!is_open || parser->state == HTTP1_TUNNEL || parser->state == HTTP1_FAILED)
        return HTTP1_NEED_MORE;
    return fail(parser, HTTP1_BAD);
}

bool http1_looks_like(enum http1_role role, const char *bytes, size_t len)
{
    while (len > 0 && (*bytes == '\n' || (*bytes == '\r' && (len == 1 || bytes[1] == '\n')))) {
        bytes++;
        len--;
    }
    if (role == HTTP1_RESPONSES)
        return memcmp(bytes, "HTTP/1.", len < 7 ? len : 7) == 0;
    size_t method = http1_token_length(bytes, len);
    if (method > HTTP1_METHOD_MAX)
        return false;
    return method == len || (method > 0 && http1_is_blank(bytes[method]));
}
