/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer writes into a head, read by everything that reads it: trace headers, proxies' headers, targets,
 * addresses, and redaction. Input: lines; one with a colon is a field, every one is a target, a query and an address as
 * well.
 */
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

enum { OUT_SIZE = 4096 };

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct propagation propagation;
    struct forwarded forwarded = {0};
    struct slice rest = {(const char *)data, size}, line;

    propagation_init(&propagation, PROPAGATION_DEFAULT_FORMATS);
    while (slice_next(&rest, '\n', &line))
        check_line(&propagation, &forwarded, line);
    if (!propagation_done(&propagation))
        FUZZ_CHECK(propagation.tracestate_length == 0);
    return 0;
}
