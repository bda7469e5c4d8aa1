/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/otlp_envelope.h"

#include "otlp.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    VARINT_MAX = 10,
    TAG_RESOURCE_ITEMS =
        1 << 3 | 2,               /* ExportTraceServiceRequest.resource_spans, ExportLogsServiceRequest.resource_logs */
    TAG_SCOPE_ITEMS = 2 << 3 | 2, /* ResourceSpans.scope_spans, ResourceLogs.scope_logs */
    TAG_RESOURCE = 1 << 3 | 2,    /* ResourceSpans.resource, ResourceLogs.resource */
    TAG_SCOPE = 1 << 3 | 2,       /* ScopeSpans.scope, ScopeLogs.scope */
    TAG_ITEMS = 2 << 3 | 2,       /* ScopeSpans.spans, ScopeLogs.log_records */
};

void otlp_scope_init(struct otlp_scope *scope, const char *name)
{
    Otlp__InstrumentationScope message = OTLP__INSTRUMENTATION_SCOPE__INIT;

    message.name = (char *)(uintptr_t)name;
    message.version = (char *)SPANSHIM_VERSION;
    scope->length = otlp__instrumentation_scope__pack(&message, scope->bytes);
}

void otlp_envelope_init(struct otlp_envelope *envelope)
{
    otlp_resource_init(&envelope->resource);
}

void otlp_envelope_deinit(struct otlp_envelope *envelope)
{
    buffer_deinit(&envelope->out);
    free(envelope->is_written);
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

int otlp_envelope_add(struct otlp_envelope *envelope, const ProtobufCMessage *item, size_t packed_max)
{
    int r = buffer_reserve(&envelope->out, packed_max + 1 + VARINT_MAX);

    if (r < 0)
        return r;
    /* The length comes first and is not known yet; two bytes hold it nearly always. */
    uint8_t *start = envelope->out.bytes + envelope->out.length;
    size_t length = protobuf_c_message_pack(item, start + 3);
    uint8_t header[1 + VARINT_MAX];
    size_t header_length = put_header(header, TAG_ITEMS, length);
    if (header_length != 3)
        memmove(start + header_length, start + 3, length);
    memcpy(start, header, header_length);
    envelope->out.length += header_length + length;
    return 0;
}

/* Put resource and scope before the items written from `start` on; `gap` bytes were left for them. */
static void close_group(struct otlp_envelope *envelope, size_t resource_length, const struct otlp_scope *scope,
                        size_t start, size_t gap)
{
    uint8_t scope_header[1 + VARINT_MAX];
    uint8_t resource_header[1 + VARINT_MAX];
    uint8_t scope_items_header[1 + VARINT_MAX];
    size_t items_length = envelope->out.length - start - gap;
    size_t scope_header_length = put_header(scope_header, TAG_SCOPE, scope->length);
    size_t scope_items_length = scope_header_length + scope->length + items_length;
    size_t resource_header_length = put_header(resource_header, TAG_RESOURCE, resource_length);
    size_t scope_items_header_length = put_header(scope_items_header, TAG_SCOPE_ITEMS, scope_items_length);
    uint8_t *out = envelope->out.bytes + start;

    out += put_header(out, TAG_RESOURCE_ITEMS,
                      resource_header_length + resource_length + scope_items_header_length + scope_items_length);
    memcpy(out, resource_header, resource_header_length);
    out += resource_header_length;
    out += otlp__resource__pack(&envelope->resource.message, out);
    memcpy(out, scope_items_header, scope_items_header_length);
    out += scope_items_header_length;
    memcpy(out, scope_header, scope_header_length);
    out += scope_header_length;
    out = mempcpy(out, scope->bytes, scope->length);
    memmove(out, envelope->out.bytes + start + gap, items_length);
    envelope->out.length = (size_t)(out - envelope->out.bytes) + items_length;
}

/* All items of one process and one scope, from `first` on. */
static int write_group(struct otlp_envelope *envelope, const struct otlp_items *items, size_t first)
{
    const struct process *process = items->process_of(items->arg, first);
    const struct otlp_scope *scope = items->scope_of(items->arg, first);

    otlp_resource_fill(&envelope->resource, process);
    size_t resource_length = otlp__resource__get_packed_size(&envelope->resource.message);
    size_t start = envelope->out.length;
    size_t gap = resource_length + scope->length + 4 * (1 + VARINT_MAX);
    int r = buffer_reserve(&envelope->out, gap);
    if (r < 0)
        return r;
    envelope->out.length += gap;
    for (size_t i = first; r == 0 && i < items->count; i++) {
        if (items->process_of(items->arg, i) != process || items->scope_of(items->arg, i) != scope)
            continue;
        envelope->is_written[i] = true;
        r = items->write(items->arg, i);
    }
    if (r == 0)
        close_group(envelope, resource_length, scope, start, gap);
    return r;
}

static int clear_written(struct otlp_envelope *envelope, size_t count)
{
    if (count > envelope->is_written_capacity) {
        bool *grown = realloc(envelope->is_written, count * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        envelope->is_written = grown;
        envelope->is_written_capacity = count;
    }
    memset(envelope->is_written, 0, count * sizeof(*envelope->is_written));
    return 0;
}

int otlp_envelope_encode(struct otlp_envelope *envelope, const struct otlp_items *items, const uint8_t **ret_bytes,
                         size_t *ret_length)
{
    int r = clear_written(envelope, items->count);

    envelope->out.length = 0;
    for (size_t i = 0; r == 0 && i < items->count; i++)
        if (!envelope->is_written[i])
            r = write_group(envelope, items, i);
    if (r < 0)
        return r;
    if (envelope->out.length > OTLP_REQUEST_MAX)
        return -EFBIG;
    *ret_bytes = envelope->out.bytes;
    *ret_length = envelope->out.length;
    return 0;
}
