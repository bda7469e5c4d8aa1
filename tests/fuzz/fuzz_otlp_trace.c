/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a record holds, what is sent is a request that the strictest receiver takes: it can be read back, its
 * strings are UTF-8, its keys are unique. Its JSON can be read. The console's text of it has no control characters.
 * Input: a record's payload. */
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/span.h"
#include "exporters/console_span.h"
#include "exporters/console_tree.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/otlp_json.h"
#include "exporters/encode/otlp_limits.h"
#include "exporters/encode/otlp_trace.h"
#include "exporters/encode/utf8.h"
#include "otlp.pb-c.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_text(const char *text)
{
    size_t length = strlen(text);
    uint32_t character;

    for (size_t n; length > 0; text += n, length -= n) {
        n = utf8_decode(text, length, &character);
        FUZZ_CHECK(n > 0);
    }
}

static void check_value(const Otlp__AnyValue *value)
{
    FUZZ_CHECK(value != NULL && value->value_case != OTLP__ANY_VALUE__VALUE__NOT_SET);
    if (value->value_case == OTLP__ANY_VALUE__VALUE_STRING_VALUE)
        check_text(value->string_value);
    if (value->value_case == OTLP__ANY_VALUE__VALUE_ARRAY_VALUE)
        for (size_t i = 0; i < value->array_value->n_values; i++)
            check_value(value->array_value->values[i]);
}

static void check_span(const Otlp__Span *span)
{
    FUZZ_CHECK(span->trace_id.len == 16 && span->span_id.len == 8);
    FUZZ_CHECK(span->parent_span_id.len == 0 || span->parent_span_id.len == 8);
    FUZZ_CHECK(span->end_time_unix_nano >= span->start_time_unix_nano);
    check_text(span->name);
    check_text(span->trace_state);
    for (size_t i = 0; i < span->n_attributes; i++) {
        check_text(span->attributes[i]->key);
        check_value(span->attributes[i]->value);
        for (size_t j = 0; j < i; j++)
            FUZZ_CHECK(strcmp(span->attributes[i]->key, span->attributes[j]->key) != 0);
    }
}

/* As many members and texts as the protobuf has, all of them JSON. */
static void check_json(const uint8_t *bytes, size_t length, size_t attribute_count)
{
    struct buffer out = {0};

    FUZZ_CHECK(otlp_json_append(&out, &otlp__export_trace_service_request__descriptor, bytes, length) == 0);
    json_t *request = json_loadb((const char *)out.bytes, out.length, JSON_REJECT_DUPLICATES, NULL);
    const json_t *group = json_array_get(json_object_get(request, "resourceSpans"), 0);
    const json_t *scope = json_array_get(json_object_get(group, "scopeSpans"), 0);
    const json_t *span = json_array_get(json_object_get(scope, "spans"), 0);
    FUZZ_CHECK(json_string_length(json_object_get(span, "traceId")) == 32);
    FUZZ_CHECK(json_array_size(json_object_get(span, "attributes")) == attribute_count);
    json_decref(request);
    buffer_deinit(&out);
}

static void check_encoded(struct otlp_encoder *encoder, const struct span *span, const struct otlp_limits *limits)
{
    const uint8_t *bytes;
    size_t length;

    FUZZ_CHECK(otlp_trace_encode(encoder, &span, 1, limits, &bytes, &length) == 0);
    Otlp__ExportTraceServiceRequest *request = otlp__export_trace_service_request__unpack(NULL, length, bytes);
    FUZZ_CHECK(request != NULL && otlp__export_trace_service_request__get_packed_size(request) == length);
    FUZZ_CHECK(request->n_resource_spans == 1 && request->resource_spans[0]->scope_spans[0]->n_spans == 1);
    const Otlp__Span *sent = request->resource_spans[0]->scope_spans[0]->spans[0];
    FUZZ_CHECK(sent->n_attributes <= limits->attribute_count);
    check_span(sent);
    check_json(bytes, length, sent->n_attributes);
    otlp__export_trace_service_request__free_unpacked(request, NULL);
}

static void check_printed(const struct span *span)
{
    struct console_span line;
    struct console_style style = {.width = 60 + span->request->status % 100u};
    struct console_columns columns = {0};
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    FUZZ_CHECK(out != NULL && console_span_init(&line, span));
    console_tree_print(out, span->request->trace_id, &line, 1, &style, &columns);
    FUZZ_CHECK(fclose(out) == 0 && strlen(text) == length);
    console_span_deinit(&line);
    check_text(text);
    for (size_t i = 0; i < length; i++)
        FUZZ_CHECK((unsigned char)text[i] >= ' ' || text[i] == '\n');
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct otlp_encoder *encoder;
    static struct resource *resource;
    struct otlp_limits limits = {
        .attribute_count = 128, .attribute_length = UINT32_MAX, .event_count = 1, .event_attribute_count = 3};
    struct process process = {.pid = 1};
    struct span span;

    if (encoder == NULL) {
        struct settings *settings = settings_new(NULL, 0, NULL);
        encoder = otlp_encoder_new();
        resource = resource_new(&(struct resource_facts){.executable = "/x"}, settings);
        settings_unref(settings);
        FUZZ_CHECK(encoder != NULL && resource != NULL);
    }
    process.resource = resource;
    void *record = malloc(size > 0 ? size : 1); /* exactly as long, and aligned as a journal's records are */
    FUZZ_CHECK(record != NULL);
    if (size > 0)
        memcpy(record, data, size);
    if (span_parse(&process, record, size, &span) == 0) {
        check_encoded(encoder, &span, &limits);
        limits = (struct otlp_limits){.attribute_count = size % 16, .attribute_length = size % 8};
        check_encoded(encoder, &span, &limits);
        check_printed(&span);
    }
    free(record);
    return 0;
}
