/* SPDX-License-Identifier: Apache-2.0 */
/* A PROXY header is the same however its bytes are cut, and no byte of the connection is lost. Input: what the
 * connection begins with. */
#include "preload/proxy_header.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

struct run {
    struct proxy_header header;
    struct wire_address client;
    enum proxy_result result;
    size_t own; /* where the connection's own bytes begin */
};

/* Feed pieces of `step` bytes, each in a block of its own size. */
static struct run parse(const uint8_t *bytes, size_t len, size_t step)
{
    struct run run = {.result = PROXY_NEED_MORE};
    size_t at = 0;

    while (at < len && run.result == PROXY_NEED_MORE) {
        size_t length = step < len - at ? step : len - at;
        char *piece = malloc(length);
        FUZZ_CHECK(piece);
        memcpy(piece, bytes + at, length);
        size_t used = proxy_header_feed(&run.header, piece, length, &run.result, &run.client);
        free(piece);
        FUZZ_CHECK(run.result == PROXY_NEED_MORE ? used == length : used <= length);
        FUZZ_CHECK((run.result == PROXY_NEED_MORE) == (run.header.state != PROXY_OVER));
        at += used;
    }
    run.own = at;
    if (run.result == PROXY_NONE) {
        FUZZ_CHECK(run.header.length == at && memcmp(run.header.bytes, bytes, at) == 0);
        run.own = 0;
    }
    return run;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run whole = parse(data, size, size ? size : 1);

    for (size_t step = 1; step < 20; step += 3) {
        struct run cut = parse(data, size, step);
        FUZZ_CHECK(cut.result == whole.result && cut.own == whole.own);
        FUZZ_CHECK(memcmp(&cut.client, &whole.client, sizeof(cut.client)) == 0);
    }
    return 0;
}
