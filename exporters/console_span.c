/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/console_span.h"

#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/span.h"
#include "exporters/encode/url.h"

#include <stdlib.h>
#include <string.h>

#define ARROW "→ "

static char *put(char *out, struct slice text)
{
    return text.length > 0 ? mempcpy(out, text.bytes, text.length) : out;
}

/* "/path?query", as sent. */
static char *put_target(char *out, const struct span *span)
{
    out = put(out, span->text[WIRE_TEXT_PATH]);
    if (span->text[WIRE_TEXT_QUERY].length > 0) {
        *out++ = '?';
        out = put(out, span->text[WIRE_TEXT_QUERY]);
    }
    return out;
}

/* "GET /path?query"; of a client's request "→ GET host:port/path?query". */
static bool set_name(struct console_span *copy, const struct span *span)
{
    struct slice method = span->method_original.length > 0 ? span->method_original : span->method;
    char name[sizeof(ARROW) + WIRE_RECORD_MAX + 1 + URL_SIZE];
    char *end = copy->is_client ? stpcpy(name, ARROW) : name;

    end = put(end, method.length > 0 ? method : (struct slice){"connect", strlen("connect")});
    *end++ = ' ';
    size_t length = copy->is_client ? url_write(span, URL_FOR_PEOPLE, end) : 0;
    end = length > 0 ? end + length : put_target(end, span);
    copy->name_length = (size_t)(end - name);
    copy->name = malloc(copy->name_length + 1);
    if (copy->name != NULL)
        *(char *)mempcpy(copy->name, name, copy->name_length) = '\0';
    return copy->name != NULL;
}

/* A status that is the error is in its own column already. */
static bool set_error(struct console_span *copy, const struct span *span)
{
    char code[8];
    struct slice error = span_error_type(span, code);

    if (error.length == 0 || error.bytes == code)
        return true;
    copy->error = strndup(error.bytes, error.length);
    return copy->error != NULL;
}

bool console_span_init(struct console_span *copy, const struct span *span)
{
    const struct wire_request *request = span->request;

    *copy = (struct console_span){
        .start_ns = span->start_unix_ns,
        .end_ns = span->end_unix_ns,
        .status = request->status,
        .is_client = request->kind == WIRE_KIND_CLIENT,
        .service = strdup(span->process->resource->service_name),
    };
    copy->is_parent_local = copy->is_client && (request->flags & WIRE_REQUEST_REMOTE_PARENT) == 0;
    memcpy(copy->span_id, request->span_id, sizeof(copy->span_id));
    memcpy(copy->parent_id, request->parent_span_id, sizeof(copy->parent_id));
    if (copy->service != NULL && set_name(copy, span) && set_error(copy, span))
        return true;
    console_span_deinit(copy);
    return false;
}

void console_span_deinit(struct console_span *copy)
{
    free(copy->service);
    free(copy->name);
    free(copy->error);
}
