/* SPDX-License-Identifier: Apache-2.0 */
/* Each span is packed by protobuf-c straight into the output, one after the other; the messages around them (resource,
 * scope) are put before them when a group's spans are complete. So the message structs of one span are reused for the
 * next and stay in the processor's cache, and nothing is allocated per span. */
#include "exporters/encode/otlp_trace.h"

#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/span.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/otlp_attributes.h"
#include "exporters/encode/otlp_event.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LINK_LENGTH_MAX = 48,
    SPAN_OVERHEAD =
        256 + SPAN_NAME_SIZE + SPAN_LINKS_MAX * LINK_LENGTH_MAX, /* of a span's own fields, its texts aside */
    VARINT_MAX = 10,
    FLAG_SAMPLED_RANDOM = 0x03,
    FLAG_HAS_REMOTE = 0x100,
    FLAG_REMOTE = 0x200,
    TAG_RESOURCE_SPANS = 1 << 3 | 2,                  /* ExportTraceServiceRequest.resource_spans */
    TAG_SCOPE_SPANS = 2 << 3 | 2,                     /* ResourceSpans.scope_spans */
    TAG_RESOURCE = 1 << 3 | 2,                        /* ResourceSpans.resource */
    TAG_SCOPE = 1 << 3 | 2,                           /* ScopeSpans.scope */
    TAG_SPANS = 2 << 3 | 2,                           /* ScopeSpans.spans */
    RESOURCE_PAIRS_MAX = RESOURCE_ATTRIBUTES_MAX + 6, /* of the image, and of the process */
    RESOURCE_ARGUMENTS_MAX = 64,
};

/* How a span was seen. */
enum scope { SCOPE_HTTP, SCOPE_CURL, SCOPE_COUNT };

/* An InstrumentationScope, packed. */
struct packed_scope {
    uint8_t bytes[64];
    size_t length;
};

struct otlp_encoder {
    struct buffer out;
    bool *is_written; /* per span of the batch */
    size_t is_written_capacity;
    struct packed_scope scopes[SCOPE_COUNT];
    struct otlp_attributes attributes;
    struct otlp_event event;
    Otlp__Span__Link links[SPAN_LINKS_MAX];
    Otlp__Span__Link *link_list[SPAN_LINKS_MAX];
    Otlp__KeyValue resource_pairs[RESOURCE_PAIRS_MAX];
    Otlp__AnyValue resource_values[RESOURCE_PAIRS_MAX];
    Otlp__KeyValue *resource_list[RESOURCE_PAIRS_MAX];
    Otlp__AnyValue argument_values[RESOURCE_ARGUMENTS_MAX];
    Otlp__AnyValue *argument_list[RESOURCE_ARGUMENTS_MAX];
    Otlp__ArrayValue arguments;
};

static void pack_scope(struct packed_scope *packed, const char *name)
{
    Otlp__InstrumentationScope scope = OTLP__INSTRUMENTATION_SCOPE__INIT;

    scope.name = (char *)(uintptr_t)name;
    scope.version = (char *)SPANSHIM_VERSION;
    packed->length = otlp__instrumentation_scope__pack(&scope, packed->bytes);
}

static enum scope scope_of(const struct span *span)
{
    return (span->request->flags & WIRE_REQUEST_BY_CURL) != 0 ? SCOPE_CURL : SCOPE_HTTP;
}

struct otlp_encoder *otlp_encoder_new(void)
{
    struct otlp_encoder *encoder = calloc(1, sizeof(*encoder));

    if (encoder == NULL)
        return NULL;
    pack_scope(&encoder->scopes[SCOPE_HTTP], "spanshim.http");
    pack_scope(&encoder->scopes[SCOPE_CURL], "spanshim.curl");
    otlp_attributes_init(&encoder->attributes);
    for (size_t i = 0; i < RESOURCE_PAIRS_MAX; i++) {
        otlp__key_value__init(&encoder->resource_pairs[i]);
        otlp__any_value__init(&encoder->resource_values[i]);
        encoder->resource_pairs[i].value = &encoder->resource_values[i];
        encoder->resource_list[i] = &encoder->resource_pairs[i];
    }
    otlp__array_value__init(&encoder->arguments);
    encoder->arguments.values = encoder->argument_list;
    for (size_t i = 0; i < RESOURCE_ARGUMENTS_MAX; i++) {
        otlp__any_value__init(&encoder->argument_values[i]);
        encoder->argument_values[i].value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
        encoder->argument_list[i] = &encoder->argument_values[i];
    }
    return encoder;
}

void otlp_encoder_free(struct otlp_encoder *encoder)
{
    if (encoder == NULL)
        return;
    buffer_deinit(&encoder->out);
    free(encoder->is_written);
    free(encoder);
}

static size_t put_varint(uint8_t *out, uint64_t number)
{
    size_t n = 0;

    for (; number >= 0x80; number >>= 7)
        out[n++] = (uint8_t)(number | 0x80);
    out[n++] = (uint8_t)number;
    return n;
}

static size_t put_header(uint8_t *out, uint8_t tag, size_t length)
{
    out[0] = tag;
    return 1 + put_varint(out + 1, length);
}

static ProtobufCBinaryData binary(const uint8_t *bytes, size_t length)
{
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)(uintptr_t)bytes};
}

/* A client's parent is in its own process: where a header named it, the program had made it. */
static uint32_t span_flags(const struct span *span)
{
    const struct wire_request *request = span->request;
    uint32_t flags = (request->trace_flags & FLAG_SAMPLED_RANDOM) | FLAG_HAS_REMOTE;

    if (request->kind == WIRE_KIND_SERVER && span_has_parent(span) &&
        (request->flags & WIRE_REQUEST_REMOTE_PARENT) != 0)
        flags |= FLAG_REMOTE;
    return flags;
}

static void add_links(struct otlp_encoder *encoder, const struct span *span, uint32_t most, Otlp__Span *message)
{
    message->links = encoder->link_list;
    message->n_links = span->link_count < most ? span->link_count : most;
    message->dropped_links_count = span->link_count - (uint32_t)message->n_links;
    for (size_t i = 0; i < message->n_links; i++) {
        Otlp__Span__Link *link = &encoder->links[i];

        otlp__span__link__init(link);
        link->trace_id = binary(span->links[i].trace_id, sizeof(span->links[i].trace_id));
        link->span_id = binary(span->links[i].span_id, sizeof(span->links[i].span_id));
        link->flags = FLAG_HAS_REMOTE | FLAG_REMOTE;
        encoder->link_list[i] = link;
    }
}

static int write_span(struct otlp_encoder *encoder, const struct span *span, const struct otlp_limits *limits)
{
    struct otlp_attributes *attributes = &encoder->attributes;
    const struct wire_request *request = span->request;
    Otlp__Status status = OTLP__STATUS__INIT;
    Otlp__Span message = OTLP__SPAN__INIT;
    char name[SPAN_NAME_SIZE];

    (void)span_name(span, name);
    otlp_attributes_fill(attributes, span, limits->attribute_count, limits->attribute_length);
    message.trace_id = binary(request->trace_id, sizeof(request->trace_id));
    message.span_id = binary(request->span_id, sizeof(request->span_id));
    if (span_has_parent(span))
        message.parent_span_id = binary(request->parent_span_id, sizeof(request->parent_span_id));
    message.trace_state = (char *)(uintptr_t)attributes->trace_state;
    message.name = name;
    message.kind = (Otlp__Span__SpanKind)request->kind;
    message.start_time_unix_nano = span->start_unix_ns;
    message.end_time_unix_nano = span->end_unix_ns;
    message.attributes = attributes->list;
    message.n_attributes = attributes->count;
    message.dropped_attributes_count = attributes->dropped_count;
    message.flags = span_flags(span);
    add_links(encoder, span, limits->link_count, &message);
    if (attributes->is_error) {
        status.code = OTLP__STATUS__STATUS_CODE__STATUS_CODE_ERROR;
        status.message = (char *)(uintptr_t)attributes->error_message;
        message.status = &status;
    }

    otlp_event_add(&encoder->event, span, limits->attribute_length, &message);
    int r = buffer_reserve(&encoder->out, attributes->packed_max + encoder->event.packed_max + SPAN_OVERHEAD);
    if (r < 0) {
        otlp_event_release(&encoder->event);
        return r;
    }
    /* The length comes first and is not known yet; two bytes hold it nearly always. */
    uint8_t *start = encoder->out.bytes + encoder->out.length;
    size_t length = otlp__span__pack(&message, start + 3);
    otlp_event_release(&encoder->event);
    uint8_t header[1 + VARINT_MAX];
    size_t header_length = put_header(header, TAG_SPANS, length);
    if (header_length != 3)
        memmove(start + header_length, start + 3, length);
    memcpy(start, header, header_length);
    encoder->out.length += header_length + length;
    return 0;
}

/* The next attribute's value; NULL when the user has set one of that name (`resource`) himself. */
static Otlp__AnyValue *add_resource_value(struct otlp_encoder *encoder, Otlp__Resource *message,
                                          const struct resource *resource, const char *name)
{
    if (resource != NULL && resource_find(resource, name) != NULL)
        return NULL;
    encoder->resource_pairs[message->n_attributes].key = (char *)(uintptr_t)name;
    return &encoder->resource_values[message->n_attributes++];
}

static void add_resource_text(struct otlp_encoder *encoder, Otlp__Resource *message, const struct resource *resource,
                              const char *name, const char *value)
{
    Otlp__AnyValue *any = add_resource_value(encoder, message, resource, name);

    if (any == NULL)
        return;
    any->value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    any->string_value = (char *)(uintptr_t)value;
}

static void add_resource_number(struct otlp_encoder *encoder, Otlp__Resource *message, const struct resource *resource,
                                const char *name, int64_t number)
{
    Otlp__AnyValue *any = number != 0 ? add_resource_value(encoder, message, resource, name) : NULL;

    if (any == NULL)
        return;
    any->value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
    any->int_value = number;
}

static void add_arguments(struct otlp_encoder *encoder, Otlp__Resource *message, const struct resource *resource)
{
    size_t count =
        resource->command_arg_count < RESOURCE_ARGUMENTS_MAX ? resource->command_arg_count : RESOURCE_ARGUMENTS_MAX;
    Otlp__AnyValue *any = count > 0 ? add_resource_value(encoder, message, resource, "process.command_args") : NULL;

    if (any == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        encoder->argument_values[i].string_value = resource->command_args[i];
    encoder->arguments.n_values = count;
    any->value_case = OTLP__ANY_VALUE__VALUE_ARRAY_VALUE;
    any->array_value = &encoder->arguments;
}

static void format_uuid(const uint8_t id[16], char out[37])
{
    for (size_t i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        at += (size_t)sprintf(out + at, "%02x", id[i]);
    }
}

/* ISO 8601, to the millisecond. */
static void format_time(uint64_t unix_ns, char out[32])
{
    time_t seconds = (time_t)(unix_ns / 1000000000u);
    struct tm utc;
    size_t length;

    gmtime_r(&seconds, &utc);
    length = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(out + length, 32 - length, ".%03uZ", (unsigned)(unix_ns / 1000000u % 1000u));
}

/* Texts of a process's resource that the message points to. */
struct resource_texts {
    char uuid[37];
    char created[32];
};

/* Fill in the process's resource; what the user set by OTEL_RESOURCE_ATTRIBUTES stays. */
static void fill_resource(struct otlp_encoder *encoder, const struct process *process, struct resource_texts *texts,
                          Otlp__Resource *message)
{
    const struct resource *resource = process->resource;

    message->attributes = encoder->resource_list;
    for (size_t i = 0; i < resource->attribute_count; i++)
        add_resource_text(encoder, message, NULL, resource->attributes[i].name, resource->attributes[i].value);
    format_uuid(process->instance_id, texts->uuid);
    add_resource_text(encoder, message, resource, "service.instance.id", texts->uuid);
    if (!resource->describes_process)
        return;
    add_resource_number(encoder, message, resource, "process.pid", process->pid);
    add_resource_number(encoder, message, resource, "process.parent_pid", process->parent_pid);
    if (process->user[0] != '\0')
        add_resource_text(encoder, message, resource, "process.owner", process->user);
    add_arguments(encoder, message, resource);
    if (!process->is_start_known)
        return;
    format_time(process->started_unix_ns, texts->created);
    add_resource_text(encoder, message, resource, "process.creation.time", texts->created);
}

/* Put resource and scope before the spans written from `start` on; `gap` bytes were left for them. */
static void close_group(struct otlp_encoder *encoder, const Otlp__Resource *resource, size_t resource_length,
                        const struct packed_scope *scope, size_t start, size_t gap)
{
    uint8_t scope_header[1 + VARINT_MAX];
    uint8_t resource_header[1 + VARINT_MAX];
    uint8_t scope_spans_header[1 + VARINT_MAX];
    size_t spans_length = encoder->out.length - start - gap;
    size_t scope_header_length = put_header(scope_header, TAG_SCOPE, scope->length);
    size_t scope_spans_length = scope_header_length + scope->length + spans_length;
    size_t resource_header_length = put_header(resource_header, TAG_RESOURCE, resource_length);
    size_t scope_spans_header_length = put_header(scope_spans_header, TAG_SCOPE_SPANS, scope_spans_length);
    uint8_t *out = encoder->out.bytes + start;

    out += put_header(out, TAG_RESOURCE_SPANS,
                      resource_header_length + resource_length + scope_spans_header_length + scope_spans_length);
    memcpy(out, resource_header, resource_header_length);
    out += resource_header_length;
    out += otlp__resource__pack(resource, out);
    memcpy(out, scope_spans_header, scope_spans_header_length);
    out += scope_spans_header_length;
    memcpy(out, scope_header, scope_header_length);
    out += scope_header_length;
    out = mempcpy(out, scope->bytes, scope->length);
    memmove(out, encoder->out.bytes + start + gap, spans_length);
    encoder->out.length = (size_t)(out - encoder->out.bytes) + spans_length;
}

/* All spans of one process that were seen in the same way, from `first` on. */
static int write_group(struct otlp_encoder *encoder, const struct span *const *spans, size_t span_count, size_t first,
                       const struct otlp_limits *limits)
{
    const struct process *process = spans[first]->process;
    enum scope scope = scope_of(spans[first]);
    Otlp__Resource resource = OTLP__RESOURCE__INIT;
    struct resource_texts texts;

    fill_resource(encoder, process, &texts, &resource);
    size_t resource_length = otlp__resource__get_packed_size(&resource);
    size_t start = encoder->out.length;
    size_t gap = resource_length + encoder->scopes[scope].length + 4 * (1 + VARINT_MAX);
    int r = buffer_reserve(&encoder->out, gap);
    if (r < 0)
        return r;
    encoder->out.length += gap;
    for (size_t i = first; i < span_count; i++) {
        if (spans[i]->process != process || scope_of(spans[i]) != scope)
            continue;
        encoder->is_written[i] = true;
        r = write_span(encoder, spans[i], limits);
        if (r < 0)
            return r;
    }
    close_group(encoder, &resource, resource_length, &encoder->scopes[scope], start, gap);
    return 0;
}

static int clear_written(struct otlp_encoder *encoder, size_t span_count)
{
    if (span_count > encoder->is_written_capacity) {
        bool *grown = realloc(encoder->is_written, span_count * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        encoder->is_written = grown;
        encoder->is_written_capacity = span_count;
    }
    memset(encoder->is_written, 0, span_count * sizeof(*encoder->is_written));
    return 0;
}

int otlp_trace_encode(struct otlp_encoder *encoder, const struct span *const *spans, size_t span_count,
                      const struct otlp_limits *limits, const uint8_t **ret_bytes, size_t *ret_length)
{
    int r = clear_written(encoder, span_count);

    encoder->out.length = 0;
    for (size_t i = 0; r == 0 && i < span_count; i++)
        if (!encoder->is_written[i])
            r = write_group(encoder, spans, span_count, i, limits);
    if (r < 0)
        return r;
    if (encoder->out.length > OTLP_REQUEST_MAX)
        return -EFBIG;
    *ret_bytes = encoder->out.bytes;
    *ret_length = encoder->out.length;
    return 0;
}
