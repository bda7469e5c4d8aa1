/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/xray_fixture.h"

#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/span.h"
#include "exporters/encode/buffer.h"
#include "tests/support/xray_check.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct process xray_process;
struct xray_options xray_options;

static struct settings *settings;
static struct resource *resource;
static union sample_request records[XRAY_SPANS_MAX];
static size_t record_count;
static json_t *documents;
static size_t dropped;

void xray_set_resource(const char *const *variables, size_t count)
{
    resource_free(resource);
    settings_unref(settings);
    settings = settings_new(variables, count, NULL);
    resource = resource_new(&(struct resource_facts){.executable = "/usr/bin/python3.11"}, settings);
    xray_process.resource = resource;
}

int xray_set_up(void **state)
{
    (void)state;
    xray_process = (struct process){.xray_name = "backend-flask", .wall_offset_ns = INT64_C(1700000000000000000)};
    xray_options = (struct xray_options){.document_max = XRAY_DATAGRAM_DOCUMENT_MAX};
    record_count = dropped = 0;
    xray_set_resource(NULL, 0);
    return resource == NULL;
}

int xray_tear_down(void **state)
{
    (void)state;
    json_decref(documents);
    documents = NULL;
    resource_free(resource);
    resource = NULL;
    settings_unref(settings);
    settings = NULL;
    return 0;
}

struct wire_request *xray_add_request(void)
{
    struct wire_request *request = &records[record_count].request;

    assert_true(record_count < XRAY_SPANS_MAX);
    sample_fill(request, (unsigned)++record_count);
    memset(request->trace_id, 0xab, sizeof(request->trace_id));
    return request;
}

struct wire_request *xray_add_call(const struct wire_request *parent)
{
    struct wire_request *request = xray_add_request();

    request->kind = WIRE_KIND_CLIENT;
    if (parent != NULL)
        memcpy(request->parent_span_id, parent->span_id, sizeof(request->parent_span_id));
    return request;
}

static int encode(struct buffer *payload)
{
    static struct span spans[XRAY_SPANS_MAX];
    const struct span *list[XRAY_SPANS_MAX];

    for (size_t i = 0; i < record_count; i++) {
        assert_int_equal(span_parse(&xray_process, &records[i], sample_size(&records[i].request), &spans[i]), 0);
        list[i] = &spans[i];
    }
    return xray_documents_append(list, record_count, &xray_options, payload, &dropped);
}

/* One line: compact, within the limit, and valid. */
static void read_line(const char *line, size_t length)
{
    json_t *document = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(document);
    assert_true(length <= xray_options.document_max);
    const char *wrong = xray_check_document(document);
    if (wrong != NULL)
        fail_msg("%s in %.*s", wrong, (int)length, line);
    (void)json_array_append_new(documents, document);
}

static void read_lines(const struct buffer *payload)
{
    json_decref(documents);
    documents = json_array();
    for (size_t at = 0, length; at < payload->length; at += length + 1) {
        const char *line = (const char *)payload->bytes + at, *end = memchr(line, '\n', payload->length - at);

        assert_non_null(end);
        length = (size_t)(end - line);
        read_line(line, length);
    }
}

const json_t *xray_encode(void)
{
    struct buffer payload = {0};

    assert_int_equal(encode(&payload), 0);
    read_lines(&payload);
    buffer_deinit(&payload);
    return documents;
}

const json_t *xray_encode_scarcely(void *(*scarce_malloc)(size_t size))
{
    struct buffer payload = {0};
    json_malloc_t usual_malloc;
    json_free_t usual_free;

    json_get_alloc_funcs(&usual_malloc, &usual_free);
    json_set_alloc_funcs(scarce_malloc, usual_free);
    int r = encode(&payload);
    json_set_alloc_funcs(usual_malloc, usual_free);
    assert_true(r == 0 || r == -ENOMEM);
    read_lines(&payload);
    buffer_deinit(&payload);
    return r == 0 ? documents : NULL;
}

const json_t *xray_encode_one(void)
{
    const json_t *all = xray_encode();

    assert_int_equal(json_array_size(all), 1);
    return json_array_get(all, 0);
}

static void collect_ids(const json_t *list, json_t *ids)
{
    json_t *document;
    size_t i;

    json_array_foreach(list, i, document)
    {
        const char *id = json_string_value(json_object_get(document, "id"));

        assert_null(json_object_get(ids, id));
        (void)json_object_set_new(ids, id, json_true());
        collect_ids(json_object_get(document, "subsegments"), ids);
    }
}

void xray_assert_all_arrived(size_t count)
{
    json_t *ids = json_object();

    collect_ids(documents, ids);
    assert_int_equal(json_object_size(ids), count);
    json_decref(ids);
}

size_t xray_dropped(void)
{
    return dropped;
}

void xray_assert_member(const json_t *document, const char *key, const char *expected)
{
    const json_t *actual = json_object_get(document, key);
    char text[4096];

    if (expected == NULL) {
        assert_null(actual);
        return;
    }
    assert_true(strlen(expected) < sizeof(text));
    strcpy(text, expected);
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    json_t *wanted = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(wanted);
    if (!json_equal((json_t *)(uintptr_t)actual, wanted)) {
        char *shown = json_dumps(actual, JSON_ENCODE_ANY | JSON_REAL_PRECISION(16));
        fail_msg("%s is %s, not %s", key, shown != NULL ? shown : "not there", text);
    }
    json_decref(wanted);
}
