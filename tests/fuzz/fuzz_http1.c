/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1 parser must see the same messages however the bytes are cut. Input: one byte of enum setting bits, one
 * byte that seeds the cuts, then what the connection carries. */
#include "preload/http1.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum setting { SETTING_RESPONSES = 1, SETTING_HEAD = 2, SETTING_CONNECT = 4 };

/* What was reported, folded into a number (FNV-1a). */
struct digest {
    uint64_t value;
    unsigned events;
};

static void fold(struct digest *digest, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < len; i++)
        digest->value = (digest->value ^ at[i]) * 1099511628211u;
}

static void fold_number(struct digest *digest, uint64_t number)
{
    fold(digest, &number, sizeof(number));
}

static void fold_slice(struct digest *digest, struct slice slice)
{
    fold_number(digest, slice.length);
    if (slice.length > 0)
        fold(digest, slice.bytes, slice.length);
}

struct run {
    struct http1 parser;
    struct digest digest;  /* of all events */
    struct digest framing; /* of all but the fields */
    char *stash;
    const char *piece; /* the bytes last fed */
    size_t piece_len;
    size_t fed;
};

static void check_slice(const struct run *run, struct slice slice)
{
    if (slice.length == 0)
        return;
    bool in_piece = slice.bytes >= run->piece && slice.bytes + slice.length <= run->piece + run->piece_len;
    bool in_stash = slice.bytes >= run->stash && slice.bytes + slice.length <= run->stash + HTTP1_STASH_SIZE;
    FUZZ_CHECK(in_piece || in_stash);
    FUZZ_CHECK(slice.length <= HTTP1_STASH_SIZE);
}

static void check_event(const struct run *run, enum http1_event event)
{
    const struct http1 *parser = &run->parser;
    bool has_failed = event == HTTP1_BAD || event == HTTP1_NOT_MINE;
    FUZZ_CHECK(has_failed == (parser->state == HTTP1_FAILED));
    FUZZ_CHECK(parser->stash_length <= HTTP1_STASH_SIZE);
    FUZZ_CHECK(parser->body_length <= run->fed);
    if (event == HTTP1_MESSAGE_END && parser->framing == HTTP1_COUNTED)
        FUZZ_CHECK(parser->body_length == parser->content_length);
    if (event == HTTP1_MESSAGE_END && parser->framing == HTTP1_NO_BODY)
        FUZZ_CHECK(parser->body_length == 0);
}

static void fold_event(struct digest *digest, const struct http1 *parser, enum http1_event event,
                       const struct http1_out *out)
{
    digest->events++;
    fold_number(digest, event);
    if (event == HTTP1_START_LINE || event == HTTP1_FIELD) {
        fold_slice(digest, out->a);
        fold_slice(digest, out->b);
        fold_slice(digest, out->c);
        fold_number(digest, out->truncated);
    } else if (event == HTTP1_HEAD_END || event == HTTP1_MESSAGE_END) {
        fold_number(digest, parser->framing);
        fold_number(digest, parser->status);
        fold_number(digest, parser->keep_alive);
        fold_number(digest, parser->ambiguous);
        fold_number(digest, parser->content_length);
        fold_number(digest, parser->body_length);
    }
}

static void note(struct run *run, enum http1_event event, const struct http1_out *out)
{
    if (event == HTTP1_NEED_MORE)
        return;
    if (event == HTTP1_START_LINE || event == HTTP1_FIELD) {
        check_slice(run, out->a);
        check_slice(run, out->b);
        check_slice(run, out->c);
    }
    fold_event(&run->digest, &run->parser, event, out);
    if (event != HTTP1_FIELD)
        fold_event(&run->framing, &run->parser, event, out);
}

/* Feed one piece from a block of just its size. */
static void feed(struct run *run, const uint8_t *bytes, size_t len)
{
    char *piece = malloc(len ? len : 1);
    FUZZ_CHECK(piece);
    memcpy(piece, bytes, len);
    run->piece = piece;
    run->piece_len = len;
    run->fed += len;

    size_t at = 0, calls = 0;
    enum http1_event event;
    do {
        struct http1_out out = {0};
        size_t used = http1_feed(&run->parser, piece + at, len - at, run->stash, &event, &out);
        FUZZ_CHECK(used <= len - at);
        at += used;
        if (run->parser.state == HTTP1_FAILED && event == HTTP1_NEED_MORE)
            break;
        check_event(run, event);
        note(run, event, &out);
        FUZZ_CHECK(++calls <= 2 * len + 2);
    } while (event != HTTP1_NEED_MORE);
    FUZZ_CHECK(at == len);
    free(piece);
}

/* cut: 0 whole, 1 byte by byte, else the seed of random cuts. */
static struct run parse(uint8_t settings, uint32_t unreported, const uint8_t *bytes, size_t len, unsigned cut)
{
    struct run run = {
        .parser =
            {
                .role = settings & SETTING_RESPONSES ? HTTP1_RESPONSES : HTTP1_REQUESTS,
                .answers_head = settings & SETTING_HEAD,
                .answers_connect = settings & SETTING_CONNECT,
                .unreported = unreported,
            },
        .digest = {.value = 14695981039346656037u},
        .framing = {.value = 14695981039346656037u},
        .stash = malloc(HTTP1_STASH_SIZE),
    };
    FUZZ_CHECK(run.stash);
    uint32_t random = cut * 2654435761u;
    for (size_t at = 0; at < len;) {
        size_t piece = cut == 0 ? len : 1;
        if (cut > 1) {
            random = random * 1664525u + 1013904223u;
            piece = 1 + (random >> 16) % (random & 1 << 15 ? 8 : 4096);
        }
        piece = piece < len - at ? piece : len - at;
        feed(&run, bytes + at, piece);
        at += piece;
    }
    struct http1_out none = {0};
    note(&run, http1_end(&run.parser), &none);
    free(run.stash);
    return run;
}

static bool is_same(struct digest a, struct digest b)
{
    return a.events == b.events && a.value == b.value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const uint8_t *bytes = data + 2;
    size_t len = size - 2;
    struct run whole = parse(data[0], 0, bytes, len, 0);
    struct run single = parse(data[0], 0, bytes, len, 1);
    struct run random = parse(data[0], 0, bytes, len, 2u + data[1]);
    struct run silent = parse(data[0], UINT32_MAX, bytes, len, data[1] % 4);
    FUZZ_CHECK(is_same(single.digest, whole.digest));
    FUZZ_CHECK(is_same(random.digest, whole.digest));
    FUZZ_CHECK(is_same(silent.framing, whole.framing));
    return 0;
}
