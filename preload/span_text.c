/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/span_internal.h"

#include <stdatomic.h>
#include <string.h>

enum {
    TEXT_MAX_LENGTH = 256,
    TEXT_HEADER = 4, /* id, pad, length */
};

inline uint8_t *span_text_reserve(struct wire_request *request, size_t want, size_t *ret_room)
{
    size_t left = (size_t)WIRE_SLOT_TEXT - request->text_length;

    if (left <= TEXT_HEADER) {
        request->flags |= WIRE_REQUEST_TRUNCATED;
        return NULL;
    }
    left -= TEXT_HEADER;
    *ret_room = want < left ? want : left;
    return request->text + request->text_length + TEXT_HEADER;
}

inline void span_text_commit(struct wire_request *request, enum wire_text id, size_t length)
{
    uint8_t *header = request->text + request->text_length;

    header[0] = (uint8_t)id;
    header[1] = 0;
    header[2] = (uint8_t)length;
    header[3] = (uint8_t)(length >> 8);
    atomic_signal_fence(memory_order_release); /* killed now, the process leaves a whole text or none */
    request->text_length = (uint16_t)(request->text_length + TEXT_HEADER + length);
}

void span_text_add(struct wire_request *request, enum wire_text id, struct slice text, size_t limit)
{
    size_t room;
    uint8_t *to = text.length > 0 ? span_text_reserve(request, limit, &room) : NULL;

    if (!to)
        return;
    if (text.length > room) {
        text.length = room;
        request->flags |= WIRE_REQUEST_TRUNCATED;
    }
    slice_copy(to, text.bytes, text.length);
    span_text_commit(request, id, text.length);
}

struct slice span_text_of(const struct wire_request *request, enum wire_text id)
{
    for (size_t at = 0; at + TEXT_HEADER <= request->text_length;) {
        size_t length = request->text[at + 2] | (size_t)request->text[at + 3] << 8;

        if (request->text[at] == id)
            return (struct slice){(const char *)request->text + at + TEXT_HEADER, length};
        at += TEXT_HEADER + length;
    }
    return (struct slice){0};
}

void span_text_void(struct wire_request *request, enum wire_text id)
{
    for (size_t at = 0; at < request->text_length;
         at += TEXT_HEADER + (request->text[at + 2] | (size_t)request->text[at + 3] << 8))
        if (request->text[at] == id)
            request->text[at] = WIRE_TEXT_NONE;
}

void span_text(struct wire_slot *slot, enum wire_text id, struct slice text)
{
    span_text_add(wire_slot_request(slot), id, text, TEXT_MAX_LENGTH);
}

void span_client(struct wire_slot *slot, const struct wire_client *client)
{
    struct wire_request *request = wire_slot_request(slot);
    size_t room;
    uint8_t *to;

    if ((client->resend_count | client->resolve_ns | client->connect_ns | client->tls_ns | client->sent_ns) == 0)
        return;
    to = span_text_reserve(request, sizeof(*client), &room);
    if (!to || room < sizeof(*client))
        return;
    memcpy(to, client, sizeof(*client));
    span_text_commit(request, WIRE_TEXT_CLIENT, sizeof(*client));
}
