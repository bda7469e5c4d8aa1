/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/xray_document.h"

#include "exporters/agent/span.h"
#include "exporters/encode/otlp_attributes.h"
#include "exporters/encode/xray_segment.h"
#include "exporters/encode/xray_shed.h"
#include "exporters/encode/xray_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A batch on its way into the payload. */
struct batch {
    const struct xray_options *options;
    struct xray_tree tree;
    struct otlp_attributes *storage;
    struct buffer *payload;
    size_t dropped;
};

/* What was embedded and had to go. */
static int write_alone(struct batch *batch, json_t *subsegments)
{
    json_t *none = json_array(), *subsegment;
    size_t i;
    int r = none != NULL ? 0 : -ENOMEM;

    json_array_foreach(subsegments, i, subsegment)
    {
        if (r == 0)
            r = xray_shed_write(subsegment, batch->options->document_max, batch->payload, none);
        if (r == -EMSGSIZE) {
            batch->dropped++;
            r = 0;
        }
    }
    json_decref(none);
    return r;
}

/* The document (taken), then what was embedded and had no room in it. */
static int write(struct batch *batch, json_t *document)
{
    json_t *alone = json_array();
    int r = document != NULL && alone != NULL
                ? xray_shed_write(document, batch->options->document_max, batch->payload, alone)
                : -ENOMEM;

    if (r == -EMSGSIZE) {
        batch->dropped++;
        r = 0;
    }
    if (r == 0)
        r = write_alone(batch, alone);
    json_decref(alone);
    json_decref(document);
    return r;
}

static int write_call(struct batch *batch, const struct span *call)
{
    static const uint8_t none[sizeof(call->request->parent_span_id)];

    if (memcmp(call->request->parent_span_id, none, sizeof(none)) == 0)
        return write(batch, xray_segment_around(call, batch->options, batch->storage));
    return write(batch, xray_subsegment(call, call->request->parent_span_id, batch->options, batch->storage));
}

/* 0 or -ENOMEM. */
static int embed(struct batch *batch, json_t *segment, const struct span *const *calls, size_t count)
{
    json_t *subsegments = json_array();
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = json_array_append_new(
            subsegments, xray_subsegment(calls[i], calls[i]->request->parent_span_id, batch->options, batch->storage));
    if (r == 0 && count > 0)
        r = json_object_set(segment, "subsegments", subsegments);
    json_decref(subsegments);
    return r == 0 ? 0 : -ENOMEM;
}

/* A request, its first calls embedded. An open one will come again: what is embedded in it would be replaced then. */
static int write_request(struct batch *batch, const struct span *span)
{
    size_t first = 0, count = span->is_open ? 0 : xray_tree_take(&batch->tree, span, &first);
    size_t embedded = count < XRAY_EMBEDDED_MAX ? count : XRAY_EMBEDDED_MAX;
    const struct span *const *calls = batch->tree.calls + first;
    json_t *segment = xray_segment(span, batch->options, batch->storage);

    int r = embed(batch, segment, calls, embedded);
    if (r < 0) {
        json_decref(segment);
        return r;
    }
    r = write(batch, segment);
    for (size_t i = embedded; r == 0 && i < count; i++)
        r = write_call(batch, calls[i]);
    return r;
}

static int write_all(struct batch *batch, const struct span *const *spans, size_t count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        if (spans[i]->request->kind == WIRE_KIND_SERVER)
            r = write_request(batch, spans[i]);
    for (size_t i = 0; r == 0 && i < batch->tree.count; i++)
        if (!batch->tree.is_taken[i])
            r = write_call(batch, batch->tree.calls[i]);
    return r;
}

int xray_documents_append(const struct span *const *spans, size_t count, const struct xray_options *options,
                          struct buffer *payload, size_t *ret_dropped)
{
    struct batch batch = {.options = options, .payload = payload, .storage = malloc(sizeof(*batch.storage))};
    int r = batch.storage != NULL ? xray_tree_init(&batch.tree, spans, count) : -ENOMEM;

    if (r == 0) {
        otlp_attributes_init(batch.storage);
        r = write_all(&batch, spans, count);
    }
    xray_tree_deinit(&batch.tree);
    free(batch.storage);
    *ret_dropped = batch.dropped;
    return r;
}
