/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/xray_cause.h"

#include "exporters/agent/process.h"
#include "exporters/agent/span.h"
#include "exporters/encode/json_access.h"
#include "exporters/encode/xray_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static void set_true(json_t *document, const char *flag)
{
    (void)json_object_set_new(document, flag, json_true());
}

static void add_status(json_t *document, uint16_t status)
{
    if (status >= 500)
        set_true(document, "fault");
    else if (status >= 400)
        set_true(document, "error");
    if (status == 429)
        set_true(document, "throttle");
}

/* One without an id, for want of memory, is none. */
static void add_exception(json_t *document, const struct span *span, json_t *exception)
{
    json_t *exceptions = json_array(), *cause = json_object();
    uint8_t id[8];

    xray_derive_id(span->request->span_id, XRAY_PART_EXCEPTION, id);
    json_set(exception, "id", xray_text_id(id));
    json_set(exception, "remote", json_false());
    if (json_object_get(exception, "id") != NULL)
        (void)json_array_append(exceptions, exception);
    json_set_unless_empty(cause, "exceptions", exceptions);
    json_set_unless_empty(document, "cause", cause);
    json_decref(exception);
}

/* "connection_refused" -> "connection refused", where nobody said it in words. NULL: there are none. */
static json_t *make_words(struct slice type)
{
    char words[XRAY_STRING_MAX];

    if (type.length == 0 || type.length > sizeof(words) || type.bytes[0] == '_')
        return NULL;
    for (size_t i = 0; i < type.length; i++)
        words[i] = type.bytes[i] == '_' ? ' ' : type.bytes[i];
    return xray_text((struct slice){words, type.length}, XRAY_STRING_MAX);
}

/* The client's own doing, as far as a server is concerned. */
static bool is_by_client(const struct wire_request *request)
{
    return request->kind == WIRE_KIND_SERVER &&
           (request->error == WIRE_ERROR_CLIENT_CLOSED || request->error == WIRE_ERROR_CONNECTION_RESET);
}

static bool has_failed(const struct span *span)
{
    return span->request->error != WIRE_ERROR_NONE || span->text[WIRE_TEXT_ERROR_TYPE].length > 0;
}

static void add_failure(json_t *document, const struct span *span)
{
    struct slice message = span->text[WIRE_TEXT_ERROR_MESSAGE];
    char code[8];
    struct slice type = span_error_type(span, code);
    json_t *exception = json_object();

    set_true(document, is_by_client(span->request) ? "error" : "fault");
    json_set(exception, "type", xray_text(type, XRAY_STRING_MAX));
    json_set(exception, "message", message.length > 0 ? xray_text(message, XRAY_ANNOTATION_MAX) : make_words(type));
    add_exception(document, span, exception);
}

/* A copy, with the base name of its path. */
static json_t *make_frame(const json_t *frame)
{
    const char *path = json_text_of(frame, "path");
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    json_t *copy = json_copy((json_t *)(uintptr_t)frame);

    if (slash != NULL && slash[1] != '\0')
        json_set(copy, "path", json_string(slash + 1));
    return copy;
}

static void add_thrown(json_t *document, const struct span *span, const struct process_exception *thrown)
{
    json_t *exception = json_object(), *stack = json_array();
    const json_t *frame;
    size_t i;

    if (thrown->is_crash || has_failed(span))
        set_true(document, thrown->is_crash || !is_by_client(span->request) ? "fault" : "error");
    json_set(exception, "type", json_string(thrown->type));
    json_set(exception, "message", json_string(thrown->message));
    json_array_foreach(thrown->frames, i, frame)
    {
        (void)json_array_append_new(stack, make_frame(frame));
    }
    json_set_unless_empty(exception, "stack", stack);
    if (thrown->frames_left_out > 0)
        json_set(exception, "truncated", json_integer((json_int_t)thrown->frames_left_out));
    add_exception(document, span, exception);
    if (thrown->working_directory != NULL)
        json_set(json_object_get(document, "cause"), "working_directory", json_string(thrown->working_directory));
}

void xray_cause_add(json_t *document, const struct span *span)
{
    const struct wire_request *request = span->request;
    const struct process_exception *thrown = process_find_exception(span->process, request->span_id);

    add_status(document, request->status);
    if (thrown != NULL)
        add_thrown(document, span, thrown);
    else if (has_failed(span))
        add_failure(document, span);
}
