/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/xray_document.h"

#include "exporters/agent/span.h"
#include "exporters/encode/otlp_attributes.h"
#include "exporters/encode/xray_segment.h"
#include "exporters/encode/xray_shed.h"
#include "exporters/encode/xray_tree.h"

#include <errno.h>
#include <stdlib.h>

/* A batch on its way into the payload. */
struct batch {
    const struct xray_options *options;
    struct xray_tree tree;
    struct otlp_attributes *storage;
    struct buffer *payload;
    size_t dropped;
};

/* One document; `alone` gets what had to leave it. */
static int write_one(struct batch *batch, json_t *document, json_t *alone)
{
    int r = xray_shed_write(document, batch->options->document_max, batch->payload, alone);

    if (r != -EMSGSIZE)
        return r;
    batch->dropped++;
    return 0;
}

/* The document (taken), then what was embedded and had no room in it: nothing is embedded in that. */
static int write_document(struct batch *batch, json_t *document)
{
    json_t *alone = json_array(), *none = json_array(), *subsegment;
    int r = document != NULL && alone != NULL && none != NULL ? write_one(batch, document, alone) : -ENOMEM;
    size_t i;

    json_array_foreach(alone, i, subsegment)
    {
        if (r == 0)
            r = write_one(batch, subsegment, none);
    }
    json_decref(none);
    json_decref(alone);
    json_decref(document);
    return r;
}

static int write_call(struct batch *batch, const struct span *call)
{
    if (!span_has_parent(call))
        return write_document(batch, xray_segment_around(call, batch->options, batch->storage));
    return write_document(batch, xray_subsegment(call, call->request->parent_span_id, batch->options, batch->storage));
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
    r = write_document(batch, segment);
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
