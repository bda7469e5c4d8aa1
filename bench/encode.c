/* SPDX-License-Identifier: Apache-2.0 */
/* How long encoding takes per span: batches of 512 typical server spans of one process, in each form that OTLP has,
 * and as X-Ray's documents. Goal: 1000 ns for protobuf. */
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/span.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/gzip.h"
#include "exporters/encode/otlp_json.h"
#include "exporters/encode/otlp_limits.h"
#include "exporters/encode/otlp_trace.h"
#include "exporters/encode/xray_document.h"
#include "otlp.pb-c.h"
#include "tests/support/sample_request.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 512, BATCHES = 2000 };

static uint64_t cpu_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* One of the forms that a batch may take on its way: from the encoder's bytes, into `out`. */
struct form {
    const char *name;
    int (*make)(struct buffer *out, const void *bytes, size_t length);
};

static int make_protobuf(struct buffer *out, const void *bytes, size_t length)
{
    (void)out;
    (void)bytes;
    (void)length;
    return 0;
}

static int make_grpc(struct buffer *out, const void *bytes, size_t length)
{
    return buffer_append(out, bytes, length);
}

static int make_json(struct buffer *out, const void *bytes, size_t length)
{
    return otlp_json_append(out, &otlp__export_trace_service_request__descriptor, bytes, length);
}

static const struct form forms[] = {
    {"http/protobuf", make_protobuf},
    {"http/protobuf, gzip", gzip_append},
    {"grpc", make_grpc},
    {"http/json, file", make_json},
};

/* Nanoseconds and bytes per span. */
static void report(const char *name, uint64_t all_ns, size_t batch_length)
{
    (void)printf("%-20s %5llu ns and %4zu bytes a span\n", name, (unsigned long long)(all_ns / BATCH / BATCHES),
                 batch_length / BATCH);
}

/* False: it can't be encoded. */
static bool measure(const struct form *form, const struct span *const *list)
{
    struct otlp_limits limits = {.attribute_count = 128, .attribute_length = UINT32_MAX};
    struct otlp_encoder *encoder = otlp_encoder_new();
    struct buffer out = {0};
    const uint8_t *bytes;
    size_t length = 0;
    uint64_t start_ns = cpu_ns();

    for (unsigned i = 0; i < BATCHES; i++) {
        out.length = 0;
        if (otlp_trace_encode(encoder, list, BATCH, &limits, &bytes, &length) < 0 ||
            form->make(&out, bytes, length) < 0)
            return false;
    }
    report(form->name, cpu_ns() - start_ns, out.length > 0 ? out.length : length);
    buffer_deinit(&out);
    otlp_encoder_free(encoder);
    return true;
}

static bool measure_xray(const char *name, bool has_metadata, const struct span *const *list)
{
    struct xray_options options = {.has_metadata = has_metadata, .document_max = XRAY_DATAGRAM_DOCUMENT_MAX};
    struct buffer out = {0};
    size_t dropped;
    uint64_t start_ns = cpu_ns();

    for (unsigned i = 0; i < BATCHES; i++) {
        out.length = 0;
        if (xray_documents_append(list, BATCH, &options, &out, &dropped) < 0)
            return false;
    }
    report(name, cpu_ns() - start_ns, out.length);
    buffer_deinit(&out);
    return true;
}

int main(void)
{
    static union sample_request records[BATCH];
    static struct span spans[BATCH];
    const struct span *list[BATCH];
    struct settings *settings = settings_new(NULL, 0, NULL);
    struct resource *resource = resource_new(&(struct resource_facts){.executable = "/usr/sbin/nginx"}, settings);
    struct process process = {.pid = 4711, .resource = resource, .xray_name = "shop"};
    bool is_good = true;

    for (unsigned i = 0; i < BATCH; i++) {
        sample_fill(&records[i].request, i);
        if (span_parse(&process, &records[i], sample_size(&records[i].request), &spans[i]) < 0)
            return EXIT_FAILURE;
        list[i] = &spans[i];
    }
    for (size_t i = 0; is_good && i < sizeof(forms) / sizeof(forms[0]); i++)
        is_good = measure(&forms[i], list);
    is_good = is_good && measure_xray("xray", true, list) && measure_xray("xray, no metadata", false, list);
    resource_free(resource);
    settings_unref(settings);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
