/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/otlp_trace.h"

#include "exporters/agent/span.h"
#include "exporters/encode/otlp_attributes.h"
#include "exporters/encode/otlp_envelope.h"
#include "exporters/encode/otlp_event.h"
#include "exporters/encode/otlp_limits.h"
#include "otlp.pb-c.h"

#include <stdbool.h>
#include <stdlib.h>

enum {
    LINK_LENGTH_MAX = 48,
    SPAN_OVERHEAD =
        256 + SPAN_NAME_SIZE + SPAN_LINKS_MAX * LINK_LENGTH_MAX, /* of a span's own fields, its texts aside */
    FLAG_SAMPLED_RANDOM = 0x03,
    FLAG_HAS_REMOTE = 0x100,
    FLAG_REMOTE = 0x200,
};

/* How a span was seen. */
enum scope { SCOPE_HTTP, SCOPE_CURL, SCOPE_COUNT };

struct otlp_encoder {
    struct otlp_envelope envelope;
    struct otlp_scope scopes[SCOPE_COUNT];
    struct otlp_attributes attributes;
    struct otlp_event event;
    Otlp__Span__Link links[SPAN_LINKS_MAX];
    Otlp__Span__Link *link_list[SPAN_LINKS_MAX];
};

/* A batch that is being encoded. */
struct encoding {
    struct otlp_encoder *encoder;
    const struct span *const *spans;
    const struct otlp_limits *limits;
};

struct otlp_encoder *otlp_encoder_new(void)
{
    struct otlp_encoder *encoder = calloc(1, sizeof(*encoder));

    if (encoder == NULL)
        return NULL;
    otlp_scope_init(&encoder->scopes[SCOPE_HTTP], "spanshim.http");
    otlp_scope_init(&encoder->scopes[SCOPE_CURL], "spanshim.curl");
    otlp_attributes_init(&encoder->attributes);
    otlp_envelope_init(&encoder->envelope);
    return encoder;
}

void otlp_encoder_free(struct otlp_encoder *encoder)
{
    if (encoder == NULL)
        return;
    otlp_envelope_deinit(&encoder->envelope);
    free(encoder);
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

static int write_span(void *arg, size_t n)
{
    const struct encoding *encoding = arg;
    struct otlp_encoder *encoder = encoding->encoder;
    const struct otlp_limits *limits = encoding->limits;
    const struct span *span = encoding->spans[n];
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

    otlp_event_add(&encoder->event, span, limits, &message);
    int r = otlp_envelope_add(&encoder->envelope, &message.base,
                              attributes->packed_max + encoder->event.packed_max + SPAN_OVERHEAD);
    otlp_event_release(&encoder->event);
    return r;
}

static const struct process *process_of(const void *arg, size_t n)
{
    const struct encoding *encoding = arg;

    return encoding->spans[n]->process;
}

static const struct otlp_scope *scope_of(const void *arg, size_t n)
{
    const struct encoding *encoding = arg;
    bool is_curl = (encoding->spans[n]->request->flags & WIRE_REQUEST_BY_CURL) != 0;

    return &encoding->encoder->scopes[is_curl ? SCOPE_CURL : SCOPE_HTTP];
}

int otlp_trace_encode(struct otlp_encoder *encoder, const struct span *const *spans, size_t span_count,
                      const struct otlp_limits *limits, const uint8_t **ret_bytes, size_t *ret_length)
{
    struct encoding encoding = {.encoder = encoder, .spans = spans, .limits = limits};
    const struct otlp_items items = {
        .count = span_count, .process_of = process_of, .scope_of = scope_of, .write = write_span, .arg = &encoding};

    return otlp_envelope_encode(&encoder->envelope, &items, ret_bytes, ret_length);
}
