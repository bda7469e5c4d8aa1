/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/otlp_fixture.h"

#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/span.h"
#include "exporters/encode/otlp_trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct process otlp_process;
union sample_request otlp_records[OTLP_SPANS_MAX];
struct otlp_limits otlp_limits;
Otlp__ExportTraceServiceRequest *otlp_message;

static struct settings *settings;
static struct resource *resource;
static struct otlp_encoder *encoder;
static struct span spans[OTLP_SPANS_MAX];

int otlp_set_up(void **state)
{
    (void)state;
    settings = settings_new(NULL, 0, NULL);
    resource = resource_new(&(struct resource_facts){.executable = "/usr/sbin/nginx"}, settings);
    otlp_process = (struct process){.pid = 4711, .resource = resource, .wall_offset_ns = INT64_C(1700000000000000000)};
    memset(otlp_process.instance_id, 0x5a, sizeof(otlp_process.instance_id));
    encoder = otlp_encoder_new();
    otlp_limits = (struct otlp_limits){.attribute_count = 128,
                                       .attribute_length = UINT32_MAX,
                                       .link_count = 128,
                                       .event_count = 128,
                                       .event_attribute_count = 128};
    sample_fill(&otlp_records[0].request, 1);
    return encoder == NULL;
}

int otlp_tear_down(void **state)
{
    (void)state;
    otlp__export_trace_service_request__free_unpacked(otlp_message, NULL);
    otlp_message = NULL;
    otlp_encoder_free(encoder);
    resource_free(resource);
    settings_unref(settings);
    return 0;
}

void otlp_set_resource(const char *entry)
{
    resource_free(resource);
    settings_unref(settings);
    settings = settings_new(&entry, 1, NULL);
    resource = resource_new(&(struct resource_facts){0}, settings);
    otlp_process.resource = resource;
}

void otlp_encode(size_t count, const struct process *const *owners)
{
    const struct span *list[OTLP_SPANS_MAX];
    const uint8_t *bytes;
    size_t length;

    for (size_t i = 0; i < count; i++) {
        const struct process *owner = owners != NULL ? owners[i] : &otlp_process;
        assert_int_equal(span_parse(owner, &otlp_records[i], sample_size(&otlp_records[i].request), &spans[i]), 0);
        list[i] = &spans[i];
    }
    assert_int_equal(otlp_trace_encode(encoder, list, count, &otlp_limits, &bytes, &length), 0);
    otlp__export_trace_service_request__free_unpacked(otlp_message, NULL);
    otlp_message = otlp__export_trace_service_request__unpack(NULL, length, bytes);
    assert_non_null(otlp_message);
    /* Nothing that we don't know, and not a byte more than protobuf-c itself would write. */
    assert_int_equal(otlp__export_trace_service_request__get_packed_size(otlp_message), length);
}

const Otlp__Span *otlp_encode_one(void)
{
    otlp_encode(1, NULL);
    assert_int_equal(otlp_message->n_resource_spans, 1);
    assert_int_equal(otlp_message->resource_spans[0]->n_scope_spans, 1);
    assert_int_equal(otlp_message->resource_spans[0]->scope_spans[0]->n_spans, 1);
    return otlp_message->resource_spans[0]->scope_spans[0]->spans[0];
}

const Otlp__AnyValue *otlp_find(Otlp__KeyValue **pairs, size_t count, const char *key)
{
    const Otlp__AnyValue *found = NULL;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(pairs[i]->key, key) != 0)
            continue;
        assert_null(found);
        found = pairs[i]->value;
    }
    return found;
}

void otlp_assert_text(const Otlp__Span *span, const char *key, const char *expected)
{
    const Otlp__AnyValue *value = otlp_find(span->attributes, span->n_attributes, key);

    if (expected == NULL) {
        assert_null(value);
        return;
    }
    assert_non_null(value);
    assert_int_equal(value->value_case, OTLP__ANY_VALUE__VALUE_STRING_VALUE);
    assert_string_equal(value->string_value, expected);
}

void otlp_assert_number(const Otlp__Span *span, const char *key, int64_t expected)
{
    const Otlp__AnyValue *value = otlp_find(span->attributes, span->n_attributes, key);

    if (expected < 0) {
        assert_null(value);
        return;
    }
    assert_non_null(value);
    assert_int_equal(value->value_case, OTLP__ANY_VALUE__VALUE_INT_VALUE);
    assert_int_equal(value->int_value, expected);
}

void otlp_assert_seconds(const Otlp__Span *span, const char *key, double expected)
{
    const Otlp__AnyValue *value = otlp_find(span->attributes, span->n_attributes, key);

    assert_non_null(value);
    assert_int_equal(value->value_case, OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE);
    assert_true(value->double_value > expected * 0.999999 && value->double_value < expected * 1.000001);
}
