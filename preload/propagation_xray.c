/* SPDX-License-Identifier: Apache-2.0 */
/* AWS X-Ray: X-Amzn-Trace-Id: Root=1-<8 hex>-<24 hex>;Parent=<16 hex>;Sampled=<0, 1 or ?>;... Pieces come in any order,
 * one that makes no sense is passed over, the last one of a key counts. Pieces with other keys (Lineage) are kept for
 * the next hop, but for a load balancer's own (Self). */
#include "preload/carried.h"
#include "preload/propagation_internal.h"

#include <string.h>

enum {
    ROOT_LENGTH = 35,
    ROOT_DASH = 10,  /* where the second one stands */
    ROOT_EPOCH = 4,  /* bytes of the trace id before it: seconds, but nobody checks that */
    KEY_LENGTH = 64, /* of a piece that is kept, at most */
};

static bool read_root(struct slice text, uint8_t ret_id[16])
{
    if (text.length != ROOT_LENGTH || text.bytes[0] != '1' || text.bytes[1] != '-' || text.bytes[ROOT_DASH] != '-')
        return false;
    return propagation_read_hex(text.bytes + 2, ret_id, ROOT_EPOCH) &&
           propagation_read_hex(text.bytes + ROOT_DASH + 1, ret_id + ROOT_EPOCH, 16 - ROOT_EPOCH) &&
           !propagation_is_zero(ret_id, 16);
}

static void read_sampled(struct propagation *propagation, struct trace_context *context, struct slice value)
{
    bool is_one = slice_is(value, "1");

    context->decided = is_one || slice_is(value, "0");
    context->flags = is_one ? PROPAGATION_FLAG_SAMPLED : 0;
    propagation->xray_asks = slice_is(value, "?");
}

static bool is_key(struct slice key)
{
    for (size_t i = 0; i < key.length; i++) {
        char c = slice_lower(key.bytes[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
            return false;
    }
    return key.length > 0 && key.length <= KEY_LENGTH;
}

static void keep(struct propagation *propagation, struct slice key, struct slice piece)
{
    if (!propagation->keeps || !is_key(key) || !propagation_is_text(piece))
        return;
    if (carried_reserve(&propagation->carried, 0))
        carried_add_xray(propagation->carried, piece);
    else
        propagation->lost = true;
}

static void read_piece(struct propagation *propagation, struct trace_context *context, struct slice piece)
{
    struct slice value = piece, key;
    uint8_t id[16] = {0};

    if (!slice_next(&value, '=', &key) || !value.bytes)
        return;
    key = slice_trim(key);
    value = slice_trim(value);
    if (slice_is(key, "root")) {
        context->valid = read_root(value, id);
        memcpy(context->trace_id, id, sizeof(id));
    } else if (slice_is(key, "parent")) {
        if (!propagation_read_id(value, context->span_id, sizeof(context->span_id)))
            memset(context->span_id, 0, sizeof(context->span_id));
    } else if (slice_is(key, "sampled")) {
        read_sampled(propagation, context, value);
    } else if (!slice_is(key, "self")) {
        keep(propagation, key, piece);
    }
}

bool propagation_extract_xray(struct propagation *propagation, struct propagation_found *found, struct slice field,
                              struct slice value)
{
    struct slice piece;

    if (!slice_is(field, "x-amzn-trace-id"))
        return false;
    if (found->seen)
        return true;
    found->seen = 1;
    found->context = (struct trace_context){0};
    while (slice_next(&value, ';', &piece))
        read_piece(propagation, &found->context, slice_trim(piece));
    return true;
}

static void put_root(struct propagation_lines *lines, const struct trace_context *context)
{
    propagation_put_text(lines, "X-Amzn-Trace-Id: Root=1-");
    propagation_put_hex(lines, context->trace_id, ROOT_EPOCH);
    propagation_put_text(lines, "-");
    propagation_put_hex(lines, context->trace_id + ROOT_EPOCH, sizeof(context->trace_id) - ROOT_EPOCH);
}

static void put_sampled(struct propagation_lines *lines, const struct trace_context *context)
{
    propagation_put_text(lines, context->flags & PROPAGATION_FLAG_XRAY_SAMPLED ? ";Sampled=1" : ";Sampled=0");
}

void propagation_write_xray(struct propagation_lines *lines, const struct trace_context *context,
                            const struct propagation_carried *carried)
{
    put_root(lines, context);
    propagation_put_text(lines, ";Parent=");
    propagation_put_hex(lines, context->span_id, sizeof(context->span_id));
    put_sampled(lines, context);
    if (carried->xray.length > 0) {
        propagation_put_text(lines, ";");
        propagation_put(lines, carried->xray);
    }
    propagation_put_text(lines, "\r\n");
}

void propagation_write_xray_response(struct propagation_lines *lines, const struct trace_context *context,
                                     bool says_sampled)
{
    put_root(lines, context);
    if (says_sampled)
        put_sampled(lines, context);
    propagation_put_text(lines, "\r\n");
}
