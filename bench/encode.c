/* SPDX-License-Identifier: Apache-2.0 */
/* How long encoding takes per span: batches of 512 typical server spans of one process. Prints nanoseconds per span;
 * goal: 1000. */
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/span.h"
#include "exporters/encode/otlp_trace.h"
#include "tests/support/sample_request.h"

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

int main(void)
{
    static union sample_request records[BATCH];
    static struct span spans[BATCH];
    const struct span *list[BATCH];
    struct otlp_limits limits = {.attribute_count = 128, .attribute_length = UINT32_MAX};
    struct settings *settings = settings_new(NULL, 0, NULL);
    struct resource *resource = resource_new(&(struct resource_facts){.executable = "/usr/sbin/nginx"}, settings);
    struct process process = {.pid = 4711, .resource = resource};
    struct otlp_encoder *encoder = otlp_encoder_new();
    const uint8_t *bytes;
    size_t length = 0;

    for (unsigned i = 0; i < BATCH; i++) {
        sample_fill(&records[i].request, i);
        if (span_parse(&process, &records[i], sample_size(&records[i].request), &spans[i]) < 0)
            return EXIT_FAILURE;
        list[i] = &spans[i];
    }
    uint64_t start_ns = cpu_ns();
    for (unsigned i = 0; i < BATCHES; i++)
        if (otlp_trace_encode(encoder, list, BATCH, &limits, &bytes, &length) < 0)
            return EXIT_FAILURE;
    uint64_t each_ns = (cpu_ns() - start_ns) / BATCH / BATCHES;
    (void)printf("encode: %llu ns and %zu bytes a span (goal: 1000 ns)\n", (unsigned long long)each_ns, length / BATCH);
    otlp_encoder_free(encoder);
    resource_free(resource);
    settings_unref(settings);
    return EXIT_SUCCESS;
}
