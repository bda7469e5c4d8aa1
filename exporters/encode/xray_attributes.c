/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/xray_attributes.h"

#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/span.h"
#include "exporters/encode/json_access.h"
#include "exporters/encode/otlp_attributes.h"
#include "exporters/encode/xray_document.h"
#include "exporters/encode/xray_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { KEY_MAX = 500 }; /* of an annotation */

/* Attributes that documents have a field for. */
static const struct field {
    const char *key;
    enum { ALWAYS, SERVERS, IN_URL } when;
} fields[] = {
    {"http.request.method", ALWAYS},
    {"http.request.method_original", ALWAYS},
    {"http.response.status_code", ALWAYS},
    {"url.scheme", ALWAYS},
    {"url.path", IN_URL},
    {"url.full", IN_URL},
    {"server.address", ALWAYS},
    {"server.port", ALWAYS},
    {"client.address", SERVERS},
    {"user_agent.original", SERVERS},
    {"user.id", SERVERS},
};

static const struct field *find_field(const char *key)
{
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (strcmp(fields[i].key, key) == 0)
            return &fields[i];
    return NULL;
}

/* All of it, but for a query, which is left out of X-Ray's. */
static bool is_url_whole(const json_t *document, const struct span *span)
{
    const json_t *request = json_object_get(json_object_get(document, "http"), "request");
    size_t length = json_string_length(json_object_get(request, "url"));

    return length > 0 && length < XRAY_STRING_MAX &&
           (span->request->kind == WIRE_KIND_SERVER || span->text[WIRE_TEXT_QUERY].length == 0);
}

static bool is_long(const Otlp__AnyValue *value)
{
    return value->value_case == OTLP__ANY_VALUE__VALUE_STRING_VALUE && strlen(value->string_value) > XRAY_STRING_MAX;
}

static bool has_field(const json_t *document, const struct span *span, const Otlp__KeyValue *pair)
{
    const struct field *field = find_field(pair->key);

    if (field == NULL || is_long(pair->value))
        return false;
    switch (field->when) {
    case ALWAYS:
        return true;
    case SERVERS:
        return span->request->kind == WIRE_KIND_SERVER;
    case IN_URL:
        return is_url_whole(document, span);
    }
    return false;
}

static json_t *make_array(const Otlp__ArrayValue *array)
{
    json_t *out = json_array();

    for (size_t i = 0; i < array->n_values; i++)
        (void)json_array_append_new(out, json_string(array->values[i]->string_value));
    return out;
}

static json_t *make_value(const Otlp__AnyValue *value)
{
    switch (value->value_case) {
    case OTLP__ANY_VALUE__VALUE_STRING_VALUE:
        return json_string(value->string_value);
    case OTLP__ANY_VALUE__VALUE_INT_VALUE:
        return json_integer(value->int_value);
    case OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE:
        return json_real(value->double_value);
    case OTLP__ANY_VALUE__VALUE_BOOL_VALUE:
        return json_boolean(value->bool_value);
    case OTLP__ANY_VALUE__VALUE_ARRAY_VALUE:
        return make_array(value->array_value);
    case OTLP__ANY_VALUE__VALUE__NOT_SET:
    case OTLP__ANY_VALUE__VALUE_KVLIST_VALUE:
    case OTLP__ANY_VALUE__VALUE_BYTES_VALUE:
    case _OTLP__ANY_VALUE__VALUE__CASE_IS_INT_SIZE:
        break;
    }
    return NULL;
}

static void add_metadata(json_t *document, const struct span *span, const struct otlp_attributes *attributes)
{
    json_t *rest = json_object();

    for (size_t i = 0; i < attributes->count; i++) {
        const Otlp__KeyValue *pair = attributes->list[i];

        if (!has_field(document, span, pair))
            json_set(rest, pair->key, make_value(pair->value));
    }
    if (json_object_size(rest) > 0)
        json_set(document, "metadata", json_pack("{s:O}", "default", rest));
    json_decref(rest);
}

/* Annotations are texts, numbers and booleans: the values of a header's lines are joined as HTTP says. */
static json_t *join(const Otlp__ArrayValue *array)
{
    char text[XRAY_ANNOTATION_MAX * 4];
    size_t length = 0;

    for (size_t i = 0; i < array->n_values; i++) {
        const char *item = array->values[i]->string_value;
        size_t item_length = strlen(item), separator = i > 0 ? 2 : 0;

        if (item_length + separator > sizeof(text) - length)
            break;
        memcpy(text + length, ", ", separator);
        memcpy(text + length + separator, item, item_length);
        length += separator + item_length;
    }
    return xray_text((struct slice){text, length}, XRAY_ANNOTATION_MAX);
}

static json_t *make_annotation(const Otlp__AnyValue *value)
{
    if (value->value_case == OTLP__ANY_VALUE__VALUE_STRING_VALUE)
        return xray_text((struct slice){value->string_value, strlen(value->string_value)}, XRAY_ANNOTATION_MAX);
    if (value->value_case == OTLP__ANY_VALUE__VALUE_ARRAY_VALUE)
        return join(value->array_value);
    return make_value(value);
}

static json_t *find_annotation(const struct span *span, const struct otlp_attributes *attributes, const char *name)
{
    for (size_t i = 0; i < attributes->count; i++)
        if (strcmp(attributes->list[i]->key, name) == 0)
            return make_annotation(attributes->list[i]->value);
    if (span->request->kind != WIRE_KIND_SERVER)
        return NULL;
    const char *text = resource_find(span->process->resource, name);
    return text != NULL ? xray_text((struct slice){text, strlen(text)}, XRAY_ANNOTATION_MAX) : NULL;
}

static bool is_key_character(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static void add_annotation(json_t *annotations, const struct span *span, const struct otlp_attributes *attributes,
                           struct slice name)
{
    char key[KEY_MAX + 1];

    if (name.length == 0 || name.length > KEY_MAX)
        return;
    memcpy(key, name.bytes, name.length);
    key[name.length] = '\0';
    json_t *value = find_annotation(span, attributes, key);
    for (char *p = key; *p != '\0'; p++)
        if (!is_key_character(*p))
            *p = '_';
    json_set(annotations, key, value);
}

static void add_annotations(json_t *document, const struct span *span, const struct otlp_attributes *attributes,
                            const char *names)
{
    json_t *annotations = json_object();

    while (*names != '\0' && json_object_size(annotations) < XRAY_ANNOTATIONS_MAX) {
        names += strspn(names, ", \t");
        size_t length = strcspn(names, ", \t");

        add_annotation(annotations, span, attributes, (struct slice){names, length});
        names += length;
    }
    json_set_unless_empty(document, "annotations", annotations);
}

void xray_attributes_add(json_t *document, const struct span *span, const struct xray_options *options,
                         struct otlp_attributes *storage)
{
    if (options->annotations == NULL && !options->has_metadata)
        return;
    otlp_attributes_fill(storage, span, UINT32_MAX, UINT32_MAX);
    if (options->annotations != NULL)
        add_annotations(document, span, storage, options->annotations);
    if (options->has_metadata)
        add_metadata(document, span, storage);
}
