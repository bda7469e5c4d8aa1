/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/xray_segment.h"

#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/span.h"
#include "exporters/encode/json_access.h"
#include "exporters/encode/xray_attributes.h"
#include "exporters/encode/xray_cause.h"
#include "exporters/encode/xray_document.h"
#include "exporters/encode/xray_http.h"
#include "exporters/encode/xray_name.h"
#include "exporters/encode/xray_text.h"

#include <stdbool.h>
#include <string.h>

/* Seconds, to the microsecond. */
static json_t *make_time(uint64_t unix_ns)
{
    return json_real((double)(unix_ns / 1000) / 1e6);
}

enum document_kind { SEGMENT, SUBSEGMENT };

/* What X-Ray requires; parent_id may be NULL. NULL when out of memory: whatever else is missing then, none of this. */
static json_t *make_head(enum document_kind kind, json_t *name, const uint8_t id[8], const uint8_t *parent_id,
                         const struct span *span)
{
    json_t *document = json_object();
    size_t size = 5 + !span->is_open + (parent_id != NULL) + (kind == SUBSEGMENT ? 2 : 0);

    json_set(document, "name", name);
    json_set(document, "id", xray_text_id(id));
    json_set(document, "trace_id", xray_text_trace_id(span->request->trace_id));
    if (parent_id != NULL)
        json_set(document, "parent_id", xray_text_id(parent_id));
    if (kind == SUBSEGMENT) {
        json_set(document, "type", json_string("subsegment"));
        json_set(document, "namespace", json_string("remote"));
    }
    json_set(document, "start_time", make_time(span->start_unix_ns));
    if (!span->is_open)
        json_set(document, "end_time", make_time(span->end_unix_ns));
    json_set(document, "in_progress", json_boolean(span->is_open));
    if (json_object_size(document) == size)
        return document;
    json_decref(document);
    return NULL;
}

/* Interpreters as X-Ray's SDK for them calls them; OpenTelemetry has small letters. */
static const char *runtime_name(const char *name)
{
    if (name != NULL && strcmp(name, "cpython") == 0)
        return "CPython";
    if (name != NULL && strcmp(name, "pypy") == 0)
        return "PyPy";
    return name;
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_set(object, key, json_string(text));
}

static void add_service(json_t *segment, const struct resource *resource)
{
    json_t *service = json_object();

    set_text(service, "version", resource_find(resource, "service.version"));
    set_text(service, "runtime", runtime_name(resource_find(resource, "process.runtime.name")));
    set_text(service, "runtime_version", resource_find(resource, "process.runtime.version"));
    json_set_unless_empty(segment, "service", service);
}

/* "arn:aws:logs:REGION:ACCOUNT:log-group:NAME:*" -> NAME; what is no such thing names none. */
static json_t *make_log_group(struct slice text, bool is_arn)
{
    static const char mark[] = ":log-group:";
    const char *name = is_arn ? memmem(text.bytes, text.length, mark, strlen(mark)) : NULL;
    json_t *group = json_object();
    struct slice found = text;

    if (name != NULL) {
        const char *end = text.bytes + text.length;
        name += strlen(mark);
        const char *colon = memchr(name, ':', (size_t)(end - name));
        found = (struct slice){name, (size_t)((colon != NULL ? colon : end) - name)};
    }
    if (!is_arn || name != NULL)
        json_set(group, "log_group", xray_text(found, XRAY_ANNOTATION_MAX));
    if (is_arn)
        json_set(group, "arn", xray_text(text, XRAY_ANNOTATION_MAX));
    return group;
}

/* The resource's list of ARNs, which say more, else of names. */
static void add_log_groups(json_t *aws, const struct resource *resource)
{
    const char *arns = resource_find(resource, "aws.log.group.arns");
    const char *next = arns != NULL ? arns : resource_find(resource, "aws.log.group.names");
    json_t *groups = json_array();

    while (next != NULL && *next != '\0') {
        next += strspn(next, "; ,");
        size_t length = strcspn(next, "; ,");

        if (length > 0)
            (void)json_array_append_new(groups, make_log_group((struct slice){next, length}, arns != NULL));
        next += length;
    }
    json_set_unless_empty(aws, "cloudwatch_logs", groups);
}

/* Where it runs; what is said later wins. NULL: nothing is known. */
static void add_place(json_t *segment, json_t *aws, const json_t *place)
{
    json_t *origin = json_object_get(place, "origin"), *facts = json_object_get(place, "aws");

    if (origin != NULL)
        (void)json_object_set(segment, "origin", origin);
    if (facts != NULL)
        (void)json_object_update(aws, facts);
}

static void add_aws(json_t *segment, const struct span *span, const struct xray_options *options)
{
    json_t *aws = json_object();
    json_t *xray = json_pack("{s:s, s:s}", "sdk", "spanshim", "sdk_version", SPANSHIM_VERSION);

    json_set(xray, "sampling_rule_name", xray_text(span->text[WIRE_TEXT_XRAY_RULE], WIRE_XRAY_NAME_MAX));
    add_place(segment, aws, options->plugins);
    add_place(segment, aws, span->process->xray_place);
    add_log_groups(aws, span->process->resource);
    json_set(aws, "xray", xray);
    json_set_unless_empty(segment, "aws", aws);
}

/* What the service and its host have to say, in every segment. */
static void add_origin(json_t *segment, const struct span *span, const struct xray_options *options)
{
    add_service(segment, span->process->resource);
    add_aws(segment, span, options);
}

static json_t *make_link(const struct wire_link *link)
{
    return json_pack("{s:o, s:o, s:{s:s}}", "trace_id", xray_text_trace_id(link->trace_id), "id",
                     xray_text_id(link->span_id), "attributes", "aws.xray.reserved.reference_type", "parent");
}

/* Other traces that the request named beside its parent's. */
static void add_links(json_t *segment, const struct span *span)
{
    json_t *links = json_array();

    for (uint32_t i = 0; i < span->link_count; i++)
        (void)json_array_append_new(links, make_link(&span->links[i]));
    json_set_unless_empty(segment, "links", links);
}

json_t *xray_segment(const struct span *span, const struct xray_options *options, struct otlp_attributes *storage)
{
    const struct wire_request *request = span->request;
    const uint8_t *parent_id = span_has_parent(span) ? request->parent_span_id : NULL;
    json_t *segment = make_head(SEGMENT, xray_name_of_segment(span), request->span_id, parent_id, span);

    json_set_unless_empty(segment, "http", xray_http(span));
    xray_cause_add(segment, span);
    json_set(segment, "user", xray_text(span->text[WIRE_TEXT_USER], XRAY_STRING_MAX));
    add_origin(segment, span, options);
    add_links(segment, span);
    xray_attributes_add(segment, span, options, storage);
    return segment;
}

json_t *xray_subsegment(const struct span *call, const uint8_t parent_id[8], const struct xray_options *options,
                        struct otlp_attributes *storage)
{
    json_t *subsegment = make_head(SUBSEGMENT, xray_name_of_call(call), call->request->span_id, parent_id, call);

    json_set_unless_empty(subsegment, "http", xray_http(call));
    xray_cause_add(subsegment, call);
    xray_attributes_add(subsegment, call, options, storage);
    return subsegment;
}

json_t *xray_segment_around(const struct span *call, const struct xray_options *options,
                            struct otlp_attributes *storage)
{
    uint8_t id[8];

    xray_derive_id(call->request->span_id, XRAY_PART_CALLER, id);
    json_t *segment = make_head(SEGMENT, xray_name_of_service(call), id, NULL, call);
    json_t *subsegments = json_array();
    add_origin(segment, call, options);
    if (json_array_append_new(subsegments, xray_subsegment(call, id, options, storage)) < 0 ||
        json_object_set(segment, "subsegments", subsegments) < 0) {
        json_decref(segment);
        segment = NULL;
    }
    json_decref(subsegments);
    return segment;
}
