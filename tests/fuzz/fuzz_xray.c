/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a record holds, what is sent to X-Ray are documents by its schema, each one line within the limit, however
 * small that is. Input: a record's payload. */
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/span.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/xray_document.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/xray_check.h"

#include <stdlib.h>
#include <string.h>

/* How many lines; all of them are documents. */
static size_t check_lines(const struct buffer *payload, size_t document_max)
{
    size_t count = 0;

    for (size_t at = 0, length; at < payload->length; at += length + 1, count++) {
        const char *line = (const char *)payload->bytes + at, *end = memchr(line, '\n', payload->length - at);

        FUZZ_CHECK(end != NULL);
        length = (size_t)(end - line);
        FUZZ_CHECK(length <= document_max);
        json_t *document = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
        FUZZ_CHECK(document != NULL && xray_check_document(document) == NULL);
        json_decref(document);
    }
    return count;
}

/* The span, and a call of it: both arrive, or are counted. */
static void check_encoded(const struct span *span, size_t document_max)
{
    struct xray_options options = {
        .annotations = "url.path,http.request.header.x-id,user.id", .has_metadata = true, .document_max = document_max};
    _Alignas(struct wire_request) uint8_t bytes[WIRE_RECORD_MAX];
    struct wire_request *request = (struct wire_request *)(void *)bytes;
    struct span call = *span;
    const struct span *const batch[] = {span, &call};
    struct buffer payload = {0};
    size_t dropped;

    memcpy(bytes, span->request, sizeof(*request));
    request->kind = WIRE_KIND_CLIENT;
    memcpy(request->parent_span_id, request->span_id, sizeof(request->parent_span_id));
    call.request = request;
    FUZZ_CHECK(xray_documents_append(batch, 2, &options, &payload, &dropped) == 0);
    size_t count = check_lines(&payload, document_max);
    FUZZ_CHECK(count + dropped >= 1 && count + dropped <= 3);
    FUZZ_CHECK(dropped == 0 || document_max < 4096);
    buffer_deinit(&payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct resource *resource;
    struct process process = {.xray_name = "service", .xray_url = "*"};
    struct span span;

    if (resource == NULL) {
        struct settings *settings = settings_new(NULL, 0, NULL);
        resource = resource_new(&(struct resource_facts){.executable = "/x"}, settings);
        settings_unref(settings);
        FUZZ_CHECK(resource != NULL);
    }
    process.resource = resource;
    void *record = malloc(size > 0 ? size : 1); /* exactly as long, and aligned as a journal's records are */
    FUZZ_CHECK(record != NULL);
    if (size > 0)
        memcpy(record, data, size);
    if (span_parse(&process, record, size, &span) == 0) {
        check_encoded(&span, XRAY_DATAGRAM_DOCUMENT_MAX);
        check_encoded(&span, 8 * size % 4096);
    }
    free(record);
    return 0;
}
