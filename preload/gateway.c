/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/gateway_internal.h"

#include "preload/cgi_head.h"
#include "preload/http1_head.h"
#include "preload/ip.h"

#include <string.h>

/* How much of a complete head was reported. */
enum { HEAD_NOT_OVER, HEAD_LACKS_HOST, HEAD_IN_FIELDS };

enum { UWSGI_HEADER = 4, SCGI_DIGITS_MAX = 7 };

/* What kind of program is asked (modifier1): 0 is Python's, 5 Perl's, 14 PHP's; from 32 on they are no requests. */
enum { UWSGI_MODIFIERS = 32 };

static const char scgi_first[] = "CONTENT_LENGTH";

static bool scgi_begins(const char *bytes, size_t len)
{
    size_t digits = 0, name;

    while (digits < len && bytes[digits] >= '0' && bytes[digits] <= '9')
        digits++;
    if (digits == 0 || digits > SCGI_DIGITS_MAX || bytes[0] == '0' || (digits < len && bytes[digits] != ':'))
        return false;
    if (digits + 1 >= len)
        return true;
    name = len - digits - 1 < sizeof(scgi_first) ? len - digits - 1 : sizeof(scgi_first);
    return memcmp(bytes + digits + 1, scgi_first, name) == 0;
}

/* The header, and the first name's length and bytes. */
static bool uwsgi_begins(const char *bytes, size_t len)
{
    bool is_blank_line = bytes[0] == '\r' || bytes[0] == '\n'; /* which HTTP may begin with */

    if ((uint8_t)bytes[0] >= UWSGI_MODIFIERS || is_blank_line || (len > 2 && bytes[1] == 0 && bytes[2] == 0))
        return false;
    if (len > 4 && (bytes[4] < 2 || bytes[4] > PARAMS_NAME_MAX))
        return false;
    if (len > 5 && bytes[5] != 0)
        return false;
    for (size_t i = 6; i < len && i < GATEWAY_FIRST_BYTES; i++)
        if (bytes[i] < 'A' || bytes[i] > 'Z')
            return false;
    return true;
}

enum wire_protocol gateway_begins(const char *bytes, size_t len)
{
    if (fastcgi_begins(bytes, len))
        return WIRE_PROTOCOL_FASTCGI;
    if (scgi_begins(bytes, len))
        return WIRE_PROTOCOL_SCGI;
    return uwsgi_begins(bytes, len) ? WIRE_PROTOCOL_UWSGI : WIRE_PROTOCOL_NONE;
}

void gateway_begin(struct gateway *gateway, enum wire_protocol protocol, struct http1 *requests,
                   struct http1 *responses)
{
    gateway->protocol = (uint8_t)protocol;
    gateway->id = 0;
    gateway->is_client = false;
    gateway->params.unreported = requests->unreported;
    gateway->params.format = protocol == WIRE_PROTOCOL_FASTCGI ? PARAMS_FASTCGI
                             : protocol == WIRE_PROTOCOL_SCGI  ? PARAMS_SCGI
                                                               : PARAMS_UWSGI;
    gateway->responses = (struct fastcgi){0};
    gateway->errors.length = 0;
    gateway->answered = (struct gateway_records){0};
    responses->is_cgi = protocol != WIRE_PROTOCOL_UWSGI; /* which is answered in HTTP */
    responses->unreported &= ~CGI_LETTERS;
    gateway_forget_request(gateway);
}

bool gateway_is_between(const struct gateway *gateway)
{
    return gateway->asked.left == 0 && gateway->asked.header_length == 0;
}

void gateway_forget_request(struct gateway *gateway)
{
    gateway->requests = (struct fastcgi){0};
    gateway->asked = (struct gateway_records){0};
    gateway->emitted = HEAD_NOT_OVER;
    gateway->at = gateway->block = 0;
}

enum http1_event gateway_bad(const struct gateway *gateway, struct http1 *parser)
{
    parser->state = HTTP1_FAILED;
    return gateway->id == 0 ? HTTP1_NOT_MINE : HTTP1_BAD;
}

/* Heads */

void gateway_begin_head(struct gateway *gateway, struct http1 *parser)
{
    http1_begin(parser);
    params_begin(&gateway->params);
    gateway->aborted = false;
    gateway->emitted = HEAD_NOT_OVER;
    gateway->cursor = gateway->context_count = 0;
}

/* A decimal number; 0 when it is none. */
static uint64_t number_of(struct slice text)
{
    uint64_t number = 0;

    for (size_t i = 0; i < text.length && number < UINT64_MAX / 100; i++) {
        if (text.bytes[i] < '0' || text.bytes[i] > '9')
            return 0;
        number = number * 10 + (uint64_t)(text.bytes[i] - '0');
    }
    return number;
}

static void find_client(struct gateway *gateway)
{
    struct slice text = params_find(&gateway->params, "REMOTE_ADDR");
    struct ip ip;

    memset(&gateway->client, 0, sizeof(gateway->client));
    if (!ip_parse(text.bytes, text.length, &ip))
        return;
    gateway->client.family = ip.length == 4 ? WIRE_FAMILY_INET : WIRE_FAMILY_INET6;
    gateway->client.port = (uint16_t)number_of(params_find(&gateway->params, "REMOTE_PORT"));
    memcpy(gateway->client.ip, ip.bytes, ip.length);
}

static bool is_https(struct gateway *gateway)
{
    struct slice https = params_find(&gateway->params, "HTTPS");

    if (https.length > 0)
        return !slice_is(https, "off");
    return slice_is(params_find(&gateway->params, "REQUEST_SCHEME"), "https");
}

/* Put texts together behind the pairs, as far as there is room. */
static void append(struct gateway *gateway, struct slice *text, struct slice more)
{
    struct params *params = &gateway->params;
    size_t room = PARAMS_SIZE - params->length - text->length;

    if (more.length > room) {
        more.length = room;
        params->truncated = true;
    }
    memmove(params->text + params->length + text->length, more.bytes, more.length);
    text->length += more.length;
}

static struct slice no_text(struct gateway *gateway)
{
    return (struct slice){gateway->params.text + gateway->params.length, 0};
}

/* As the client sent it; of web servers that don't say, what they make of it. */
static struct slice target_of(struct gateway *gateway)
{
    struct slice target = params_find(&gateway->params, "REQUEST_URI");
    struct slice query = params_find(&gateway->params, "QUERY_STRING");

    if (target.length > 0)
        return target;
    target = no_text(gateway);
    append(gateway, &target, params_find(&gateway->params, "SCRIPT_NAME"));
    append(gateway, &target, params_find(&gateway->params, "PATH_INFO"));
    if (query.length > 0) {
        append(gateway, &target, (struct slice){"?", 1});
        append(gateway, &target, query);
    }
    return target;
}

enum http1_event gateway_end_head(struct gateway *gateway, struct http1 *parser, struct http1_out *ret_out)
{
    struct params *params = &gateway->params;

    if (!params_is_whole(params) || params_find(params, "REQUEST_METHOD").length == 0)
        return gateway_bad(gateway, parser);
    if (gateway->id == 0) /* it speaks SCGI or uwsgi */
        gateway->id = 1;
    find_client(gateway);
    gateway->is_https = is_https(gateway);
    gateway->server_port = (uint16_t)number_of(params_find(params, "SERVER_PORT"));
    gateway->emitted = params_find(params, "HTTP_HOST").length > 0 ? HEAD_IN_FIELDS : HEAD_LACKS_HOST;
    gateway->at--; /* the last byte is taken later */
    parser->content_length = number_of(params_find(params, "CONTENT_LENGTH"));
    ret_out->a = params_find(params, "REQUEST_METHOD");
    ret_out->b = target_of(gateway);
    ret_out->truncated = params->truncated;
    return HTTP1_START_LINE;
}

/* The next header field. Of two with the same name the last one is the program's: it keeps them in a table. A client's
 * are all told: no trace header may stay where ours is put in. */
static bool next_field(struct gateway *gateway, struct http1_out *ret_out)
{
    struct params *params = &gateway->params;
    struct slice name, value, other, other_value;
    struct param other_param;

    while (params_next(params, &gateway->cursor, &name, &value, &gateway->param)) {
        bool is_last = true;

        for (uint32_t cursor = gateway->cursor;
             !gateway->is_client && params_next(params, &cursor, &other, &other_value, &other_param);)
            is_last &= !slice_is_same(name, other);
        name.length = is_last ? cgi_field_name(name, (char *)(uintptr_t)name.bytes) : 0;
        if (name.length == 0)
            continue;
        *ret_out = (struct http1_out){.a = name, .b = value, .truncated = gateway->param.is_cut};
        return true;
    }
    return false;
}

/* Without a Host the web server's own name is the best that is known. */
static bool host_field(struct gateway *gateway, struct http1_out *ret_out)
{
    struct slice host = params_find(&gateway->params, "SERVER_NAME");

    gateway->emitted = HEAD_IN_FIELDS;
    if (host.length == 0)
        return false;
    *ret_out = (struct http1_out){.a = {"host", 4}, .b = host};
    gateway->param.length = 0;
    return true;
}

/* The body of FastCGI is as long as its records say. */
static void begin_body(struct gateway *gateway, struct http1 *parser)
{
    parser->state = HTTP1_IN_BODY;
    parser->framing = HTTP1_COUNTED;
    parser->remaining = gateway->protocol == WIRE_PROTOCOL_FASTCGI ? INT64_MAX : parser->content_length;
}

/* Report the next part of a complete head. */
static size_t emit(struct gateway *gateway, struct http1 *parser, enum http1_event *ret_event,
                   struct http1_out *ret_out)
{
    *ret_event = HTTP1_FIELD;
    if ((gateway->emitted == HEAD_LACKS_HOST && host_field(gateway, ret_out)) || next_field(gateway, ret_out))
        return 0;
    gateway->emitted = HEAD_NOT_OVER;
    gateway->at++;
    begin_body(gateway, parser);
    *ret_event = HTTP1_HEAD_END;
    return 1;
}

/* SCGI and uwsgi */

/* A byte before the block: its length. *ret_is_over: it was the last one. False: it has no place there. */
static bool block_header(struct gateway *gateway, char byte, bool *ret_is_over)
{
    if (gateway->protocol == WIRE_PROTOCOL_SCGI) {
        *ret_is_over = byte == ':' && gateway->at > 1;
        if (*ret_is_over)
            gateway->block++; /* the comma behind it */
        else
            gateway->block = gateway->block * 10 + (uint32_t)(byte - '0');
        return *ret_is_over || (byte >= '0' && byte <= '9' && gateway->at <= SCGI_DIGITS_MAX);
    }
    if (gateway->at == 2 || gateway->at == 3)
        gateway->block |= (uint32_t)(uint8_t)byte << 8 * (gateway->at - 2);
    *ret_is_over = gateway->at == UWSGI_HEADER;
    return gateway->at < UWSGI_HEADER || gateway->block > 0;
}

/* Bytes of the block. The comma of SCGI ends it, uwsgi's last byte is one of a variable. */
static enum http1_event block_bytes(struct gateway *gateway, struct http1 *parser, const char *bytes, size_t len,
                                    struct http1_out *ret_out)
{
    size_t pairs = len;

    gateway->block -= (uint32_t)len;
    if (gateway->block == 0 && gateway->protocol == WIRE_PROTOCOL_SCGI && bytes[--pairs] != ',')
        return gateway_bad(gateway, parser);
    if (!params_feed(&gateway->params, bytes, pairs, gateway->at))
        return gateway_bad(gateway, parser);
    gateway->at += (uint32_t)len;
    if (gateway->block > 0)
        return HTTP1_NEED_MORE;
    return gateway_end_head(gateway, parser, ret_out);
}

static size_t feed_block(struct gateway *gateway, struct http1 *parser, const char *bytes, size_t len,
                         enum http1_event *ret_event, struct http1_out *ret_out)
{
    size_t at = 0;

    *ret_event = HTTP1_NEED_MORE;
    while (at < len && *ret_event == HTTP1_NEED_MORE) {
        size_t used = 1;

        if (parser->state == HTTP1_AT_START) {
            gateway_begin_head(gateway, parser);
            gateway->at = gateway->block = 0;
            gateway->in_block = false;
        }
        if (gateway->in_block) {
            used = len - at < gateway->block ? len - at : gateway->block;
            *ret_event = block_bytes(gateway, parser, bytes + at, used, ret_out);
        } else {
            gateway->at++;
            if (!block_header(gateway, bytes[at], &gateway->in_block))
                *ret_event = gateway_bad(gateway, parser);
        }
        at += used;
    }
    return *ret_event == HTTP1_START_LINE ? at - 1 : at;
}

size_t gateway_feed(struct gateway *gateway, struct http1 *parser, const char *bytes, size_t len, char *stash,
                    enum http1_event *ret_event, struct http1_out *ret_out)
{
    bool is_fastcgi = gateway->protocol == WIRE_PROTOCOL_FASTCGI;

    if (parser->state == HTTP1_FAILED) {
        *ret_event = HTTP1_NEED_MORE;
        return len;
    }
    if (parser->role == HTTP1_RESPONSES)
        return is_fastcgi ? fastcgi_feed_responses(gateway, parser, bytes, len, stash, ret_event, ret_out)
                          : cgi_head_feed(parser, bytes, len, stash, ret_event, ret_out);
    if (gateway->emitted != HEAD_NOT_OVER)
        return emit(gateway, parser, ret_event, ret_out);
    if (is_fastcgi)
        return fastcgi_feed_requests(gateway, parser, bytes, len, ret_event, ret_out);
    if (parser->state == HTTP1_IN_BODY)
        return http1_feed(parser, bytes, len, stash, ret_event, ret_out);
    return feed_block(gateway, parser, bytes, len, ret_event, ret_out);
}

enum http1_event gateway_read_environment(struct gateway *gateway, struct http1 *parser, char *const *envp,
                                          struct http1_out *ret_out)
{
    struct params *params = &gateway->params;

    gateway->protocol = WIRE_PROTOCOL_CGI;
    params->format = PARAMS_SCGI; /* the same, with "=" for the first NUL */
    params->unreported = parser->unreported;
    gateway_begin_head(gateway, parser);
    for (; *envp; envp++) {
        const char *equals = strchr(*envp, '=');

        if (!equals)
            continue;
        (void)params_feed(params, *envp, (size_t)(equals - *envp), 0);
        (void)params_feed(params, "", 1, 0);
        (void)params_feed(params, equals + 1, strlen(equals), 0);
    }
    return params_find(params, "REQUEST_METHOD").length > 0 ? gateway_end_head(gateway, parser, ret_out)
                                                            : HTTP1_NOT_MINE;
}

int gateway_skip(struct gateway *gateway, struct http1 *parser, uint64_t count, enum http1_event *ret_event)
{
    struct fastcgi *record = parser->role == HTTP1_REQUESTS ? &gateway->requests : &gateway->responses;

    if (gateway->protocol != WIRE_PROTOCOL_FASTCGI)
        return http1_skip(parser, count, ret_event);
    if (count > record->content || parser->state != HTTP1_IN_BODY) {
        parser->state = HTTP1_FAILED;
        return -1;
    }
    record->content = (uint16_t)(record->content - count);
    parser->body_length += count;
    *ret_event = HTTP1_NEED_MORE;
    return 0;
}
