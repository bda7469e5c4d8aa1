/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/span.h"

#include "exporters/agent/process.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_zero(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i])
            return false;
    return true;
}

static bool address_is_valid(const struct wire_address *address)
{
    return address->family <= WIRE_FAMILY_UNIX;
}

static bool request_is_valid(const struct wire_request *request)
{
    return (request->kind == WIRE_KIND_SERVER || request->kind == WIRE_KIND_CLIENT) &&
           request->method < WIRE_METHOD_COUNT && request->error < WIRE_ERROR_COUNT &&
           (request->status == 0 || (request->status >= 100 && request->status <= 999)) &&
           request->withheld < WIRE_WITHHOLD_COUNT && address_is_valid(&request->peer) &&
           address_is_valid(&request->local) && !is_zero(request->trace_id, sizeof(request->trace_id)) &&
           !is_zero(request->span_id, sizeof(request->span_id));
}

static void take_header(struct slice *headers, uint32_t *count, uint32_t *dropped_count, struct slice text)
{
    if (*count == SPAN_HEADERS_MAX)
        (*dropped_count)++;
    else
        headers[(*count)++] = text;
}

/* One that is cut, or names nothing, is none. */
static void take_link(struct span *span, struct slice text)
{
    struct wire_link *link = &span->links[span->link_count];

    if (span->link_count == SPAN_LINKS_MAX || text.length != sizeof(*link))
        return;
    memcpy(link, text.bytes, sizeof(*link));
    if (!is_zero(link->trace_id, sizeof(link->trace_id)) && !is_zero(link->span_id, sizeof(link->span_id)))
        span->link_count++;
}

static void take_text(struct span *span, unsigned id, struct slice text)
{
    if (id == WIRE_TEXT_REQUEST_HEADER)
        take_header(span->request_headers, &span->request_header_count, &span->header_dropped_count, text);
    else if (id == WIRE_TEXT_RESPONSE_HEADER)
        take_header(span->response_headers, &span->response_header_count, &span->header_dropped_count, text);
    else if (id == WIRE_TEXT_LINK)
        take_link(span, text);
    else if (span->text[id].length == 0)
        span->text[id] = text;
}

/* Entries of { id, pad, length, bytes }: 0, or -EBADMSG when one reaches beyond the end or is of no known kind. */
static int parse_text(struct span *span, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        uint16_t text_length;
        unsigned id;

        if (length < 4)
            return -EBADMSG;
        id = bytes[0];
        memcpy(&text_length, bytes + 2, sizeof(text_length));
        bytes += 4;
        length -= 4;
        if (id >= WIRE_TEXT_COUNT || text_length > length)
            return -EBADMSG;
        if (id != WIRE_TEXT_NONE)
            take_text(span, id, (struct slice){(const char *)bytes, text_length});
        bytes += text_length;
        length -= text_length;
    }
    return 0;
}

/* One that is cut, for want of room, says nothing. */
static void set_client(struct span *span)
{
    struct slice text = span->text[WIRE_TEXT_CLIENT];

    if (span->request->kind == WIRE_KIND_CLIENT && text.length >= sizeof(span->client))
        memcpy(&span->client, text.bytes, sizeof(span->client));
    else
        span->client = (struct wire_client){0};
}

static uint64_t wall_ns(const struct process *process, uint64_t mono_ns)
{
    return mono_ns + (uint64_t)process->wall_offset_ns;
}

/* A clock that jumped, or a writer that lies, makes a short span, never a negative one. */
static void set_times(struct span *span)
{
    const struct wire_request *request = span->request;
    uint64_t end_ns = request->end_ns > request->start_ns ? request->end_ns : request->start_ns;
    uint64_t first_byte_ns = request->first_byte_ns;

    span->is_open = request->end_ns == 0;
    span->start_unix_ns = wall_ns(span->process, request->start_ns);
    span->end_unix_ns = wall_ns(span->process, end_ns);
    span->first_byte_unix_ns = first_byte_ns >= request->start_ns && first_byte_ns <= end_ns && first_byte_ns
                                   ? wall_ns(span->process, first_byte_ns)
                                   : 0;
    if (span->end_unix_ns < span->start_unix_ns) { /* wrapped around */
        span->end_unix_ns = span->start_unix_ns;
        span->first_byte_unix_ns = 0;
    }
}

/* Routes are those of the program's own paths. */
static void set_route(struct span *span)
{
    const struct routes *routes = span->request->kind == WIRE_KIND_SERVER ? span->process->routes : NULL;
    struct slice path = span->text[WIRE_TEXT_PATH];
    const char *route = routes != NULL ? routes_find(routes, path.bytes, path.length) : NULL;

    span->route = (struct slice){route, route != NULL ? strlen(route) : 0};
}

static struct slice sent_method(const struct span *span)
{
    switch ((enum wire_method)span->request->method) {
#define X(NAME)                                                                                                        \
    case WIRE_METHOD_##NAME:                                                                                           \
        return (struct slice){#NAME, sizeof(#NAME) - 1};
        WIRE_METHODS(X)
#undef X
    case WIRE_METHOD_OTHER:
    case WIRE_METHOD_COUNT:
        break;
    }
    return span->text[WIRE_TEXT_METHOD];
}

/* Methods are case-sensitive, and so is the list. */
static bool is_in_list(const char *list, struct slice word)
{
    while (*list != '\0') {
        list += strspn(list, ", \t");
        size_t length = strcspn(list, ", \t");

        if (length == word.length && length > 0 && memcmp(list, word.bytes, length) == 0)
            return true;
        list += length;
    }
    return false;
}

static bool was_requested(const struct wire_request *request)
{
    return request->kind == WIRE_KIND_SERVER || (request->flags & WIRE_REQUEST_NOT_CONNECTED) == 0;
}

/* Known are those that the wire has a number for, unless the user has a list. */
static void set_method(struct span *span)
{
    if (!was_requested(span->request)) {
        span->method = span->method_original = (struct slice){0};
        return;
    }

    const char *list = span->process->known_methods;
    struct slice sent = sent_method(span);
    bool is_known = list != NULL ? sent.length <= SPAN_METHOD_MAX && is_in_list(list, sent)
                                 : span->request->method != WIRE_METHOD_OTHER;

    span->method = is_known ? sent : (struct slice){"_OTHER", strlen("_OTHER")};
    span->method_original = is_known ? (struct slice){0} : sent;
}

int span_parse(const struct process *process, const void *payload, size_t length, struct span *ret_span)
{
    const struct wire_request *request = payload;
    struct span *span = ret_span;

    if (length < sizeof(*request) || length > WIRE_RECORD_MAX)
        return -EBADMSG;
    if (request->text_length > length - sizeof(*request) || !request_is_valid(request))
        return -EBADMSG;
    memset(span->text, 0, sizeof(span->text));
    span->process = process;
    span->request = request;
    span->request_header_count = span->response_header_count = span->header_dropped_count = span->link_count = 0;
    set_times(span);
    int r = parse_text(span, request->text, request->text_length);
    set_client(span);
    set_method(span);
    set_route(span);
    return r;
}

bool span_has_parent(const struct span *span)
{
    return !is_zero(span->request->parent_span_id, sizeof(span->request->parent_span_id));
}

size_t span_name(const struct span *span, char name[SPAN_NAME_SIZE])
{
    bool is_other =
        span->method.length == strlen("_OTHER") && memcmp(span->method.bytes, "_OTHER", strlen("_OTHER")) == 0;
    char *end = name;

    if (span->method.length == 0)
        end = stpcpy(name, "connect");
    else
        end = is_other ? stpcpy(name, "HTTP") : mempcpy(name, span->method.bytes, span->method.length);
    if (span->route.length > 0) {
        *end++ = ' ';
        end = mempcpy(end, span->route.bytes, span->route.length);
    }
    *end = '\0';
    return (size_t)(end - name);
}

struct slice span_error_type(const struct span *span, char code[8])
{
    const struct wire_request *request = span->request;

    if (span->text[WIRE_TEXT_ERROR_TYPE].length > 0)
        return span->text[WIRE_TEXT_ERROR_TYPE];
    switch ((enum wire_error)request->error) {
#define X(NAME, text)                                                                                                  \
    case WIRE_ERROR_##NAME:                                                                                            \
        if (text[0])                                                                                                   \
            return (struct slice){text, sizeof(text) - 1};                                                             \
        break;
        WIRE_ERRORS(X)
#undef X
    case WIRE_ERROR_COUNT:
        break;
    }
    /* A client's 4xx is an error of its call; a server that answers 4xx did its work. */
    if (request->status < 400 || (request->kind == WIRE_KIND_SERVER && request->status < 500))
        return (struct slice){0};
    int length = snprintf(code, 8, "%u", request->status % 1000u);
    return (struct slice){code, (size_t)length};
}
