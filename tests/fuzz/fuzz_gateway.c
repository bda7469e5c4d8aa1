/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers by FastCGI, SCGI and uwsgi are the same however their bytes are cut; a request with our
 * variables in it is still that request, and has them. Input: a byte that says whose bytes follow, and those. */
#include "preload/gateway.h"
#include "preload/gateway_out.h"
#include "preload/outgoing.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "tests/fuzz/fuzz.h"

#define OURS "traceparent: new\r\n"

static struct gateway gateway;
static struct outgoing outgoing;
static char stash[HTTP1_STASH_SIZE];

/* What happened, as a number; events that depend on how bytes are cut are not in it. */
struct run {
    struct http1 parser;
    uint64_t hash;
    size_t head_end;
    bool has_ours;
};

static void note(struct run *run, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < length; i++)
        run->hash = (run->hash ^ at[i]) * UINT64_C(0x100000001b3);
    run->hash = (run->hash ^ 0xff) * UINT64_C(0x100000001b3);
}

static void note_event(struct run *run, enum http1_event event, const struct http1_out *out)
{
    if (event == HTTP1_NEED_MORE || event == HTTP1_NEED_STASH)
        return;
    if (event == HTTP1_FIELD && slice_is(out->a, "traceparent")) {
        gateway_note_context(&gateway);
        run->has_ours = slice_is(out->b, "new");
        return;
    }
    note(run, &event, sizeof(event));
    if (event == HTTP1_START_LINE || event == HTTP1_FIELD) {
        note(run, out->a.bytes, out->a.length);
        note(run, out->b.bytes, out->b.length);
    }
    if (event == HTTP1_HEAD_END)
        note(run, &run->parser.status, sizeof(run->parser.status));
    if (event == HTTP1_MESSAGE_END)
        note(run, &run->parser.body_length, sizeof(run->parser.body_length));
}

/* Feed pieces of `step` bytes, each in a block of its own size; up to the end of the first head if that is wanted. */
static struct run parse(enum wire_protocol protocol, enum http1_role role, const uint8_t *bytes, size_t len,
                        size_t step, bool head_only)
{
    struct http1 requests = {.role = HTTP1_REQUESTS}, responses = {.role = HTTP1_RESPONSES};
    struct run run = {0};
    bool has_stash = false;

    gateway_begin(&gateway, protocol, &requests, &responses);
    gateway.is_client = true;
    gateway.id = role == HTTP1_RESPONSES; /* of which there is an answer */
    run.parser = role == HTTP1_REQUESTS ? requests : responses;
    for (size_t at = 0, used; at < len; at += used) {
        size_t length = step < len - at ? step : len - at;
        char *piece = malloc(length);

        FUZZ_CHECK(piece);
        memcpy(piece, bytes + at, length);
        for (used = 0; used < length;) {
            struct http1_out out = {0};
            enum http1_event event;

            used += gateway_feed(&gateway, &run.parser, piece + used, length - used, has_stash ? stash : NULL, &event,
                                 &out);
            FUZZ_CHECK(used <= length);
            has_stash |= event == HTTP1_NEED_STASH;
            note_event(&run, event, &out);
            if (event == HTTP1_HEAD_END && run.head_end == 0)
                run.head_end = at + used;
            (void)http1_ends_with_head(&run.parser);
            if (head_only && run.head_end > 0)
                break;
        }
        free(piece);
        if (head_only && run.head_end > 0)
            return run;
    }
    return run;
}

/* The same head with our variables. */
static void add_ours(enum wire_protocol protocol, const uint8_t *bytes, size_t len, size_t before)
{
    struct run head = parse(protocol, HTTP1_REQUESTS, bytes, len, len ? len : 1, true), with;
    const struct iovec iov[] = {{(void *)(uintptr_t)(bytes + before), head.head_end - before}};
    const struct gateway_head call = {iov, head.head_end - before};
    size_t own_before, own;

    if (head.head_end == 0 || head.head_end > OUTGOING_BYTES / 2 || before >= head.head_end)
        return;
    outgoing_begin(&outgoing);
    if (gateway_put_lines(&gateway, &call, (struct slice){OURS, strlen(OURS)}, &outgoing, &own_before, &own) !=
        WIRE_WITHHOLD_NONE)
        return;
    outgoing_build(&outgoing, iov, call.end, own_before, own);
    FUZZ_CHECK(outgoing.length + before <= sizeof(outgoing.bytes));
    memmove(outgoing.bytes + before, outgoing.bytes, outgoing.length);
    memcpy(outgoing.bytes, bytes, before);
    with = parse(protocol, HTTP1_REQUESTS, (const uint8_t *)outgoing.bytes, outgoing.length + before,
                 outgoing.length + before, true);
    if (gateway.params.truncated || gateway.context_count == GATEWAY_CONTEXTS_MAX)
        return;
    FUZZ_CHECK(with.head_end == outgoing.length + before && with.has_ours && with.hash == head.hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        enum wire_protocol protocol;
        enum http1_role role;
    } whose[] = {{WIRE_PROTOCOL_FASTCGI, HTTP1_REQUESTS},
                 {WIRE_PROTOCOL_SCGI, HTTP1_REQUESTS},
                 {WIRE_PROTOCOL_UWSGI, HTTP1_REQUESTS},
                 {WIRE_PROTOCOL_FASTCGI, HTTP1_RESPONSES},
                 {WIRE_PROTOCOL_SCGI, HTTP1_RESPONSES}};

    if (size < 2)
        return 0;
    enum wire_protocol protocol = whose[data[0] % 5].protocol;
    enum http1_role role = whose[data[0] % 5].role;
    struct run whole = parse(protocol, role, data + 1, size - 1, size - 1, false);

    for (size_t step = 1; step < 30; step += 4) {
        struct run cut = parse(protocol, role, data + 1, size - 1, step, false);

        /* A status line is one only if it comes whole. */
        FUZZ_CHECK(role == HTTP1_RESPONSES || cut.hash == whole.hash);
        FUZZ_CHECK(cut.parser.state == whole.parser.state || role == HTTP1_RESPONSES);
    }
    if (role == HTTP1_REQUESTS) {
        add_ours(protocol, data + 1, size - 1, 0);
        add_ours(protocol, data + 1, size - 1, data[0] / 5);
    }
    return 0;
}
