/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/recent.h"

#include "exporters/encode/hex.h"
#include "exporters/encode/utf8.h"
#include "preload/wire.h"

#include <stdlib.h>
#include <string.h>

enum { TARGET_MAX = 80 };

struct request {
    uint64_t start_ns, end_ns; /* of the process's clock */
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint16_t status;
    uint8_t method, error; /* checked */
    uint8_t target_length;
    char target[TARGET_MAX]; /* the path's start, as it was sent */
};

struct recent {
    size_t count; /* ever */
    struct request requests[RECENT_REQUESTS_MAX];
};

static const char *const methods[WIRE_METHOD_COUNT] = {[WIRE_METHOD_OTHER] = "_OTHER",
#define X(NAME) [WIRE_METHOD_##NAME] = #NAME,
                                                       WIRE_METHODS(X)
#undef X
};
static const char *const errors[WIRE_ERROR_COUNT] = {
#define X(NAME, text) [WIRE_ERROR_##NAME] = (text),
    WIRE_ERRORS(X)
#undef X
};

static void note_path(struct request *to, const uint8_t *bytes, size_t length)
{
    while (length >= 4) {
        uint16_t text_length;

        memcpy(&text_length, bytes + 2, sizeof(text_length));
        if (text_length > length - 4)
            return;
        if (bytes[0] == WIRE_TEXT_PATH) {
            to->target_length = text_length < TARGET_MAX ? (uint8_t)text_length : TARGET_MAX;
            memcpy(to->target, bytes + 4, to->target_length);
            return;
        }
        bytes += 4 + text_length;
        length -= 4 + (size_t)text_length;
    }
}

void recent_note(struct recent **recent, const void *payload, size_t length)
{
    const struct wire_request *request = payload;
    struct request *to;

    if (length < sizeof(*request) || request->kind != WIRE_KIND_SERVER ||
        request->text_length > length - sizeof(*request))
        return;
    if (!*recent)
        *recent = calloc(1, sizeof(**recent));
    if (!*recent)
        return;
    to = &(*recent)->requests[(*recent)->count++ % RECENT_REQUESTS_MAX];
    *to = (struct request){.start_ns = request->start_ns,
                           .end_ns = request->end_ns,
                           .status = request->status,
                           .method = request->method < WIRE_METHOD_COUNT ? request->method : 0,
                           .error = request->error < WIRE_ERROR_COUNT ? request->error : 0};
    memcpy(to->trace_id, request->trace_id, sizeof(to->trace_id));
    memcpy(to->span_id, request->span_id, sizeof(to->span_id));
    note_path(to, request->text, request->text_length);
}

static json_t *pack(const struct request *request, int64_t wall_offset_ns)
{
    char target[TARGET_MAX * UTF8_REPAIRED_MAX + 1], trace_id[33], span_id[17];
    json_t *object;

    (void)utf8_repair(request->target, request->target_length, UINT32_MAX, target);
    hex_write(request->trace_id, sizeof(request->trace_id), trace_id);
    hex_write(request->span_id, sizeof(request->span_id), span_id);
    object =
        json_pack("{s:s, s:s, s:i, s:I, s:I, s:s, s:s}", "method", methods[request->method], "url", target, "status",
                  (int)request->status, "started_unix_ns", (json_int_t)(request->start_ns + (uint64_t)wall_offset_ns),
                  "ended_unix_ns", (json_int_t)(request->end_ns + (uint64_t)wall_offset_ns), "trace_id", trace_id,
                  "span_id", span_id);
    if (errors[request->error][0])
        (void)json_object_set_new(object, "error", json_string(errors[request->error]));
    return object;
}

json_t *recent_list(const struct recent *recent, int64_t wall_offset_ns)
{
    json_t *list = json_array();
    size_t count = recent ? recent->count : 0;

    for (size_t i = count > RECENT_REQUESTS_MAX ? count - RECENT_REQUESTS_MAX : 0; i < count; i++)
        (void)json_array_append_new(list, pack(&recent->requests[i % RECENT_REQUESTS_MAX], wall_offset_ns));
    return list;
}

json_t *recent_find(const struct recent *recent, const uint8_t span_id[8], int64_t wall_offset_ns)
{
    for (size_t i = 0; recent && i < recent->count && i < RECENT_REQUESTS_MAX; i++) {
        const struct request *request = &recent->requests[i];
        json_t *object;

        if (memcmp(request->span_id, span_id, sizeof(request->span_id)) != 0)
            continue;
        object = pack(request, wall_offset_ns);
        (void)json_object_set(object, "path", json_object_get(object, "url"));
        return object;
    }
    return NULL;
}
