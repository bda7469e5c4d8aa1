/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer writes into a head, read by everything that reads it: trace headers, proxies' headers, targets,
 * addresses, and redaction. Input: lines; one with a colon is a field, every one is a target, a query and an address as
 * well. */
#include "preload/arena.h"
#include "preload/carried.h"
#include "preload/forwarded.h"
#include "preload/ip.h"
#include "preload/propagation.h"
#include "preload/redact.h"
#include "preload/sampler.h"
#include "preload/slice.h"
#include "preload/target.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { OUT_SIZE = 4096, LINES_SIZE = 2 * CARRIED_BAGGAGE_MAX };

typedef size_t redact(const char *text, size_t len, char *out, size_t out_size, enum redact_mode mode,
                      bool *ret_truncated);

static bool is_within(struct slice part, struct slice whole)
{
    return part.length == 0 || (part.bytes >= whole.bytes && part.bytes + part.length <= whole.bytes + whole.length);
}

static void check_traceparent(struct slice value)
{
    struct trace_context context, again;
    char text[PROPAGATION_TRACEPARENT_SIZE];
    if (!propagation_read_traceparent(value.bytes, value.length, &context))
        return;
    propagation_write_traceparent(text, &context);
    FUZZ_CHECK(propagation_read_traceparent(text, sizeof(text) - 1, &again));
    FUZZ_CHECK(memcmp(&context, &again, sizeof(context)) == 0);
}

static void check_field(struct propagation *propagation, struct forwarded *forwarded, struct slice line)
{
    struct slice name, value = line;
    if (!slice_next(&value, ':', &name) || !value.bytes)
        return;
    value = slice_trim(value);
    (void)propagation_field(propagation, name.bytes, name.length, value.bytes, value.length);
    (void)forwarded_field(forwarded, name.bytes, name.length, value.bytes, value.length);
    (void)redact_header_allowed(name.bytes, name.length, REDACT_IP_FULL);
    check_traceparent(value);
    FUZZ_CHECK(propagation->tracestate_length <= PROPAGATION_TRACESTATE_SIZE);
    FUZZ_CHECK(forwarded->client_length <= FORWARDED_CLIENT_SIZE);
    FUZZ_CHECK(forwarded->host_length <= FORWARDED_HOST_SIZE);
}

/* As much as there is room for, and a larger room gives no less. */
static void check_forwarded_for(struct slice line, enum redact_ip_mode mode)
{
    static char out[OUT_SIZE];
    bool is_truncated;
    size_t before = 0;

    for (size_t room = 0; room <= 256; room += 32) {
        size_t length = forwarded_copy_for(line, mode, out, room, &is_truncated);

        FUZZ_CHECK(length <= room && length >= before);
        FUZZ_CHECK(mode != REDACT_IP_NONE || length == 0);
        before = length;
    }
}

static void check_target(struct slice line, bool is_connect)
{
    struct target target;
    if (!target_split(line.bytes, line.length, is_connect, &target))
        return;
    FUZZ_CHECK(is_within(target.scheme, line) && is_within(target.host, line) && is_within(target.query, line));
    FUZZ_CHECK(is_within(target.path, line) || (target.form == TARGET_ABSOLUTE && target.path.length == 1));
    FUZZ_CHECK((target.form == TARGET_ABSOLUTE || target.form == TARGET_AUTHORITY) == (target.host.length > 0));
}

static void check_ip(struct slice line)
{
    struct ip ip, again;
    char text[IP_TEXT_SIZE];
    if (ip_parse(line.bytes, line.length, &ip)) {
        size_t len = ip_format(&ip, text);
        FUZZ_CHECK(len < IP_TEXT_SIZE);
        FUZZ_CHECK(ip_parse(text, len, &again) && memcmp(&ip, &again, sizeof(ip)) == 0);
    }
    size_t len = redact_client_ip(line.bytes, line.length, REDACT_IP_ANONYMIZE, text, sizeof(text));
    FUZZ_CHECK(len <= sizeof(text));
}

/* A smaller room gives a prefix: the cut comes last. */
static void check_cut(redact *function, struct slice line)
{
    static char full[OUT_SIZE], part[OUT_SIZE];
    bool is_truncated;
    size_t full_len = function(line.bytes, line.length, full, sizeof(full), REDACT_VALUES, &is_truncated);
    FUZZ_CHECK(full_len <= sizeof(full));
    for (size_t room = 0; room < full_len; room += 1 + full_len / 7) {
        size_t len = function(line.bytes, line.length, part, room, REDACT_VALUES, &is_truncated);
        FUZZ_CHECK(len == room && is_truncated && memcmp(full, part, len) == 0);
    }
}

/* Whatever stands before it, a secret after "&token=" is never shown. */
static void check_secret(struct slice line)
{
    static const char secret[] = "&%74oken=Zq0.Zq1", hidden[] = "&%74oken=REDACTED";
    static char query[OUT_SIZE], out[2 * OUT_SIZE];
    bool is_truncated;
    if (line.length > OUT_SIZE / 16)
        return;
    memcpy(query, line.bytes, line.length);
    memcpy(query + line.length, secret, sizeof(secret) - 1);
    size_t len = redact_query(query, line.length + sizeof(secret) - 1, out, sizeof(out), REDACT_VALUES, &is_truncated);
    FUZZ_CHECK(!is_truncated && len >= sizeof(hidden) - 1);
    FUZZ_CHECK(memcmp(out + len - (sizeof(hidden) - 1), hidden, sizeof(hidden) - 1) == 0);
}

static void check_sampler(struct slice line)
{
    char text[64];
    struct sampler sampler;
    size_t len = line.length < sizeof(text) - 1 ? line.length : sizeof(text) - 1;
    memcpy(text, line.bytes, len);
    text[len] = '\0';
    (void)sampler_parse(text, text, &sampler);
    (void)sampler_parse("traceidratio", text, &sampler);
    FUZZ_CHECK(sampler.threshold <= UINT64_C(1) << 56);
}

/* The line in a block of just its size. */
static void check_line(struct propagation *propagation, struct forwarded *forwarded, struct slice line)
{
    char *copy = malloc(line.length ? line.length : 1);
    FUZZ_CHECK(copy);
    memcpy(copy, line.bytes, line.length);
    line.bytes = copy;

    unsigned unknown;
    (void)propagation_parse_formats(line.bytes, line.length, &unknown);
    check_field(propagation, forwarded, line);
    check_forwarded_for(line, REDACT_IP_FULL);
    check_forwarded_for(line, REDACT_IP_ANONYMIZE);
    check_forwarded_for(line, REDACT_IP_NONE);
    check_target(line, false);
    check_target(line, true);
    check_ip(line);
    check_cut(redact_query, line);
    check_cut(redact_path, line);
    check_cut(redact_url, line);
    check_secret(line);
    check_sampler(line);
    free(copy);
}

/* Links name other traces than the adopted one, and spans of them. */
static void check_others(const struct propagation *propagation)
{
    const struct trace_context *others[PROPAGATION_FORMAT_COUNT];
    size_t count = propagation->context.valid ? propagation_others(propagation, others) : 0;

    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(memcmp(others[i]->trace_id, propagation->context.trace_id, sizeof(others[i]->trace_id)) != 0);
        FUZZ_CHECK(!propagation_is_zero(others[i]->trace_id, sizeof(others[i]->trace_id)));
        FUZZ_CHECK(!propagation_is_zero(others[i]->span_id, sizeof(others[i]->span_id)));
    }
}

/* Offer each line that has a colon. */
static void read_head(struct propagation *propagation, unsigned formats, bool is_apart, struct slice lines)
{
    struct slice line, name;

    propagation_init(propagation, formats);
    propagation->keeps = true;
    propagation->xray_is_apart = is_apart;
    while (slice_next(&lines, '\n', &line)) {
        if (line.length > 0 && line.bytes[line.length - 1] == '\r')
            line.length--;
        if (!slice_next(&line, ':', &name) || !line.bytes)
            continue;
        line = slice_trim(line);
        (void)propagation_field(propagation, name.bytes, name.length, line.bytes, line.length);
    }
    (void)propagation_done(propagation);
    check_others(propagation);
}

/* The lines of the next hop, as a span with the sender's own id and decision would send them. */
static struct slice write_head(struct propagation *propagation, char *lines)
{
    const struct carried *kept = propagation->carried;
    struct propagation_carried carried = {.tracestate = {propagation->tracestate, propagation->tracestate_length},
                                          .b3_debug = propagation->context.flags & PROPAGATION_FLAG_DEBUG};
    size_t length;

    if (kept) {
        carried.baggage = (struct slice){kept->baggage, kept->baggage_length};
        carried.xray = (struct slice){kept->xray, kept->xray_length};
    }
    if (carried.b3_debug)
        propagation->context.flags |= PROPAGATION_FLAG_SAMPLED;
    if (propagation_is_zero(propagation->context.span_id, sizeof(propagation->context.span_id)))
        propagation->context.span_id[0] = 1;
    FUZZ_CHECK(propagation_write(lines, LINES_SIZE, propagation->formats, &propagation->context, &carried, &length));
    return (struct slice){lines, length};
}

static void check_same(const struct propagation *one, const struct propagation *other)
{
    enum { SAMPLED = PROPAGATION_FLAG_SAMPLED | PROPAGATION_FLAG_DEBUG | PROPAGATION_FLAG_XRAY_SAMPLED };
    unsigned formats = other->formats & ((1u << PROPAGATION_BAGGAGE) - 1);
    bool has_xray = formats & 1u << PROPAGATION_XRAY;

    /* where X-Ray is apart its header decides for X-Ray alone */
    FUZZ_CHECK(other->context.valid && other->context.xray_decided == has_xray);
    FUZZ_CHECK(other->context.decided == (!other->xray_is_apart || formats != 1u << PROPAGATION_XRAY));
    FUZZ_CHECK(memcmp(one->context.trace_id, other->context.trace_id, sizeof(one->context.trace_id)) == 0);
    FUZZ_CHECK(memcmp(one->context.span_id, other->context.span_id, sizeof(one->context.span_id)) == 0);
    FUZZ_CHECK((one->context.flags & SAMPLED) == (other->context.flags & SAMPLED));
    FUZZ_CHECK(one->tracestate_length == other->tracestate_length);
    FUZZ_CHECK(memcmp(one->tracestate, other->tracestate, one->tracestate_length) == 0);
}

/* What is read, written and read again is the same, and so is what is written again. */
static void check_round_trip(unsigned formats, bool is_apart, struct slice input)
{
    static char first_lines[LINES_SIZE], second_lines[LINES_SIZE];
    struct propagation first, second;
    struct slice lines, again;

    read_head(&first, formats, is_apart, input);
    if (first.context.valid) {
        lines = write_head(&first, first_lines);
        read_head(&second, formats, is_apart, lines);
        check_same(&first, &second);
        again = write_head(&second, second_lines);
        FUZZ_CHECK(lines.length == again.length && memcmp(lines.bytes, again.bytes, lines.length) == 0);
        carried_free(second.carried);
    }
    carried_free(first.carried);
}

static void check_round_trips(struct slice input)
{
    /* of several the last one is read, and only B3 says "debug" */
    static const char *const lists[] = {"tracecontext,baggage", "b3", "b3multi", "xray", "xray,baggage,b3"};
    static bool is_ready;
    unsigned unknown;

    if (!is_ready)
        FUZZ_CHECK(arena_init() == 0);
    is_ready = true;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        for (int is_apart = 0; is_apart <= 1; is_apart++)
            check_round_trip(propagation_parse_formats(lists[i], strlen(lists[i]), &unknown), is_apart, input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct propagation propagation;
    struct forwarded forwarded = {0};
    struct slice rest = {(const char *)data, size}, line;

    check_round_trips(rest);
    propagation_init(&propagation, PROPAGATION_DEFAULT_FORMATS);
    while (slice_next(&rest, '\n', &line))
        check_line(&propagation, &forwarded, line);
    if (!propagation_done(&propagation))
        FUZZ_CHECK(propagation.tracestate_length == 0);
    return 0;
}
