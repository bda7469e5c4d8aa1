/* SPDX-License-Identifier: Apache-2.0 */
/* How long encoding takes per span: batches of 512 typical server spans of one process. Prints nanoseconds per span;
 * goal: 1000. */
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/span.h"
#include "exporters/encode/otlp_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 512, BATCHES = 2000 };

static void put_text(struct wire_request *request, uint8_t id, const char *text)
{
    uint16_t length = (uint16_t)strlen(text);
    uint8_t *out = request->text + request->text_length;

    out[0] = id;
    out[1] = 0;
    memcpy(out + 2, &length, sizeof(length));
    memcpy(out + 4, text, length);
    request->text_length = (uint16_t)(request->text_length + 4 + length);
}

static void fill_request(struct wire_request *request, unsigned n)
{
    *request = (struct wire_request){
        .start_ns = 1000 + n,
        .first_byte_ns = 200000 + n,
        .end_ns = 300000 + n,
        .response_body_size = 612,
        .status = 200,
        .flags = WIRE_REQUEST_SAMPLED | WIRE_REQUEST_BODY_SEEN | WIRE_REQUEST_RESPONSE_BODY_SEEN,
        .server_port = 8080,
        .trace_flags = 3,
        .kind = WIRE_KIND_SERVER,
        .method = WIRE_METHOD_GET,
        .version = 11,
        .peer = {.family = WIRE_FAMILY_INET, .port = 40000, .ip = {127, 0, 0, 1}},
        .local = {.family = WIRE_FAMILY_INET, .port = 8080, .ip = {127, 0, 0, 1}},
    };
    memset(request->trace_id, (int)(n & 0x7f) + 1, sizeof(request->trace_id));
    memset(request->span_id, (int)(n & 0x7f) + 1, sizeof(request->span_id));
    put_text(request, WIRE_TEXT_PATH, "/api/v1/orders/4711");
    put_text(request, WIRE_TEXT_QUERY, "page=2&sort=date");
    put_text(request, WIRE_TEXT_SERVER_ADDRESS, "shop.example.com");
    put_text(request, WIRE_TEXT_USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
}

static uint64_t cpu_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(void)
{
    static _Alignas(8) uint8_t records[BATCH][1024];
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
        struct wire_request *request = (struct wire_request *)(void *)records[i];

        fill_request(request, i);
        if (span_parse(&process, request, sizeof(*request) + request->text_length, &spans[i]) < 0)
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
