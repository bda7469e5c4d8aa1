/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/gateway_internal.h"

#include "preload/cgi_head.h"

#include <string.h>

enum {
    HEADER = 8,
};

enum record_type {
    BEGIN_REQUEST = 1,
    ABORT_REQUEST,
    END_REQUEST,
    PARAMS,
    STDIN,
    STDOUT,
    STDERR,
    GET_VALUES = 9,
    TYPES = 11
};

/* A request, of 8 bytes of content; or a question about the program, which has no request's id. */
bool fastcgi_begins(const char *bytes, size_t len)
{
    bool is_question = len > 1 && bytes[1] == GET_VALUES;

    if (bytes[0] != 1 || (len > 1 && bytes[1] != BEGIN_REQUEST && !is_question))
        return false;
    if (len > 3 && (bytes[2] == 0 && bytes[3] == 0) != is_question)
        return false;
    return len < 6 || is_question || (bytes[4] == 0 && bytes[5] == HEADER);
}

static enum record_type type_of(const struct fastcgi *record)
{
    return (enum record_type)record->header[1];
}

static uint16_t id_of(const struct fastcgi *record)
{
    return (uint16_t)(record->header[2] << 8 | record->header[3]);
}

static void note_record(struct fastcgi *record)
{
    record->content = (uint16_t)(record->header[4] << 8 | record->header[5]);
    record->padding = record->header[6];
    record->body_length = 0;
}

/* Take a byte of a record's header. True: it is complete. */
static bool take_header(struct fastcgi *record, char byte)
{
    if (record->header_length == HEADER) /* the record before is over */
        record->header_length = 0;
    record->header[record->header_length++] = (uint8_t)byte;
    return record->header_length == HEADER;
}

static bool is_in_record(const struct fastcgi *record)
{
    return record->content > 0 || record->padding > 0;
}

/* Take what is there of the record's content, of which the first bytes are kept. Returns its length. */
static size_t take_content(struct fastcgi *record, const char *bytes, size_t len)
{
    size_t used = len < record->content ? len : record->content;

    for (size_t i = 0; i < used && record->body_length < sizeof(record->body); i++)
        record->body[record->body_length++] = (uint8_t)bytes[i];
    record->content = (uint16_t)(record->content - used);
    return used;
}

static size_t take_padding(struct fastcgi *record, size_t len)
{
    size_t used = len < record->padding ? len : record->padding;

    record->padding = (uint8_t)(record->padding - used);
    return used;
}

/* Requests */

/* The content of BEGIN_REQUEST: a role (three are known) and flags. The first one must look like it, for the header
 * alone may be another protocol's. */
static bool begin_request(struct gateway *gateway, struct http1 *parser)
{
    static const uint8_t reserved[5] = {0};
    const uint8_t *body = gateway->requests.body;

    if (gateway->id == 0 &&
        (body[0] != 0 || body[1] < 1 || body[1] > 3 || memcmp(body + 3, reserved, sizeof(reserved)) != 0))
        return false;
    gateway->id = id_of(&gateway->requests);
    parser->keep_alive = body[2] & 1;
    return true;
}

/* The header of a request's record is complete. */
static enum http1_event request_record(struct gateway *gateway, struct http1 *parser, struct http1_out *ret_out)
{
    struct fastcgi *record = &gateway->requests;

    note_record(record);
    if (record->header[0] != 1 || record->header[1] > TYPES ||
        (gateway->id == 0 && !fastcgi_begins((const char *)record->header, HEADER)))
        return gateway_bad(gateway, parser);
    switch (type_of(record)) {
    case BEGIN_REQUEST:
        if (parser->state != HTTP1_AT_START || record->content != HEADER || id_of(record) == 0)
            return gateway_bad(gateway, parser);
        gateway_begin_head(gateway, parser);
        gateway->at = HEADER;
        return HTTP1_NEED_MORE;
    case PARAMS:
        if (parser->state != HTTP1_IN_START_LINE || id_of(record) != gateway->id)
            return gateway_bad(gateway, parser);
        gateway->params.record_at = gateway->at - HEADER;
        return record->content > 0 ? HTTP1_NEED_MORE : gateway_end_head(gateway, parser, ret_out);
    case STDIN:
        if (id_of(record) != gateway->id)
            return HTTP1_NEED_MORE;
        if (parser->state != HTTP1_IN_BODY)
            return parser->state == HTTP1_IN_START_LINE ? gateway_bad(gateway, parser) : HTTP1_NEED_MORE;
        if (record->content > 0)
            return HTTP1_NEED_MORE;
        parser->remaining = 0;
        return http1_end(parser);
    case ABORT_REQUEST: /* of another id, as above: of one that was answered meanwhile */
        gateway->aborted |= id_of(record) == gateway->id;
        return HTTP1_NEED_MORE;
    case END_REQUEST:
    case STDOUT:
    case STDERR:
        return gateway_bad(gateway, parser);
    case GET_VALUES:
    case TYPES:
        break;
    }
    return HTTP1_NEED_MORE;
}

/* Content of a request's record. */
static enum http1_event request_content(struct gateway *gateway, struct http1 *parser, const char *bytes, size_t len)
{
    struct fastcgi *record = &gateway->requests;

    if (type_of(record) == PARAMS && !params_feed(&gateway->params, bytes, len, gateway->at - (uint32_t)len))
        return gateway_bad(gateway, parser);
    if (type_of(record) == BEGIN_REQUEST && record->content == 0 && !begin_request(gateway, parser))
        return gateway_bad(gateway, parser);
    if (type_of(record) == STDIN && parser->state == HTTP1_IN_BODY && id_of(record) == gateway->id)
        parser->body_length += len;
    return HTTP1_NEED_MORE;
}

size_t fastcgi_feed_requests(struct gateway *gateway, struct http1 *parser, const char *bytes, size_t len,
                             enum http1_event *ret_event, struct http1_out *ret_out)
{
    struct fastcgi *record = &gateway->requests;
    enum http1_event event = HTTP1_NEED_MORE;
    size_t at = 0;

    while (at < len && event == HTTP1_NEED_MORE && parser->state != HTTP1_FAILED) {
        size_t used = 1;

        gateway->at++;
        if (!is_in_record(record)) {
            if (take_header(record, bytes[at]))
                event = request_record(gateway, parser, ret_out);
        } else if (record->content > 0) {
            used = take_content(record, bytes + at, len - at);
            gateway->at += (uint32_t)used - 1;
            event = request_content(gateway, parser, bytes + at, used);
        } else {
            used = take_padding(record, len - at);
            gateway->at += (uint32_t)used - 1;
        }
        at += used;
    }
    *ret_event = event;
    return event == HTTP1_START_LINE ? at - 1 : at;
}

/* Responses */

/* The header of a response's record is complete. Only the request that is open is answered; what tells of the program
 * has no request's id. */
static bool response_record(struct gateway *gateway)
{
    struct fastcgi *record = &gateway->responses;
    enum record_type type = type_of(record);

    note_record(record);
    if (record->header[0] != 1 || type > TYPES)
        return false;
    if (id_of(record) == 0)
        return type >= GET_VALUES;
    return id_of(record) == gateway->id && (type == END_REQUEST || type == STDOUT || type == STDERR);
}

/* END_REQUEST is complete. */
static enum http1_event end_response(struct gateway *gateway, struct http1 *parser)
{
    gateway->answer_end = gateway->responses.body[4];
    if (parser->state != HTTP1_IN_BODY) { /* no answer, or half a head */
        parser->status = 0;
        parser->state = HTTP1_AT_START;
        parser->stash_length = 0;
        return HTTP1_MESSAGE_END;
    }
    parser->remaining = 0;
    return http1_end(parser);
}

static size_t response_content(struct gateway *gateway, struct http1 *parser, const char *bytes, size_t len,
                               char *stash, enum http1_event *ret_event, struct http1_out *ret_out)
{
    struct fastcgi *record = &gateway->responses;
    size_t room = len < record->content ? len : record->content;

    if (type_of(record) != STDOUT) {
        room = take_content(record, bytes, len);
        if (type_of(record) == STDERR && !gateway->is_client)
            gateway->errors = (struct slice){bytes, room};
        if (type_of(record) == END_REQUEST && record->content == 0)
            *ret_event = end_response(gateway, parser);
        return room;
    }
    room = cgi_head_feed(parser, bytes, room, stash, ret_event, ret_out);
    record->content = (uint16_t)(record->content - room);
    if (*ret_event == HTTP1_HEAD_END) { /* the connection may go on: its end is not the body's */
        parser->state = HTTP1_IN_BODY;
        parser->remaining = INT64_MAX;
    }
    return room;
}

size_t fastcgi_feed_responses(struct gateway *gateway, struct http1 *parser, const char *bytes, size_t len, char *stash,
                              enum http1_event *ret_event, struct http1_out *ret_out)
{
    struct fastcgi *record = &gateway->responses;
    size_t at = 0;

    *ret_event = HTTP1_NEED_MORE;
    while (at < len && *ret_event == HTTP1_NEED_MORE) {
        if (!is_in_record(record)) {
            if (take_header(record, bytes[at++]) && !response_record(gateway)) {
                parser->state = HTTP1_FAILED;
                *ret_event = HTTP1_BAD;
            }
        } else if (record->content > 0) {
            at += response_content(gateway, parser, bytes + at, len - at, stash, ret_event, ret_out);
        } else {
            at += take_padding(record, len - at);
        }
    }
    return at;
}
