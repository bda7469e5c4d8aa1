/* SPDX-License-Identifier: Apache-2.0 */
/* What programs write to their logs, put together: in pieces of several threads and streams, cut anywhere. Input:
 * pieces, each with a byte that says whose it is and how it ends, one for the time since the piece before, and its
 * length. Whatever comes, no byte but blanks and those of line ends is lost or made up. */
#include "exporters/agent/log_lines.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define MS UINT64_C(1000000)

struct sums {
    uint64_t bytes; /* of text, added up: but for blanks and the ends of lines */
    uint64_t count; /* of events */
};

static bool is_left_out(char c)
{
    return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

static uint64_t add_up(const char *bytes, size_t length)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum += is_left_out(bytes[i]) ? 0 : 0x100u + (uint8_t)bytes[i];
    return sum;
}

static void check_event(void *arg, const struct log_lines_place *place, const struct log_event_record *record,
                        const char *path, const char *text)
{
    struct sums *sums = arg;
    size_t length = record->header.pad;

    FUZZ_CHECK(place->cells == 1);
    FUZZ_CHECK(length > 0 && length <= LOG_EVENT_TEXT_MAX);
    FUZZ_CHECK(text[length - 1] != '\n');
    FUZZ_CHECK(record->stream != WIRE_LOG_NONE && record->severity <= 8 && !(record->flags & LOG_EVENT_CUT));
    FUZZ_CHECK(record->path_length == 1 && *path == 'p');
    sums->bytes += add_up(text, length);
    sums->count++;
}

/* One piece, in a block of just its size. */
static void give(struct log_lines *lines, uint8_t how, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
    const struct log_lines_place place = {now_ns, 1};
    size_t size = sizeof(struct wire_log) + 1 + length;
    struct wire_log *piece = malloc(size);

    FUZZ_CHECK(piece);
    *piece = (struct wire_log){.mono_ns = now_ns / MS,
                               .stream = (uint8_t)(WIRE_LOG_STDOUT + (how & 3)),
                               .writer = (how >> 2 & 3) | 1,
                               .trace_id = {how >> 4 & 1},
                               .lost_lines = how >> 5 & 1,
                               .flags = how >> 6 | (how & 4 ? 0 : WIRE_LOG_SHARED),
                               .path_length = 1};
    *(char *)(piece + 1) = 'p';
    memcpy((char *)(piece + 1) + 1, bytes, length);
    FUZZ_CHECK(log_lines_take(lines, &place, piece, size, now_ns));
    free(piece);
}

static void load(void *arg, const void *bytes, size_t length)
{
    FUZZ_CHECK(log_lines_load(arg, bytes, length));
}

/* As after a restart of the agent's worker. */
static struct log_lines *save_and_load(struct log_lines *lines, struct sums *sums)
{
    struct log_lines *loaded = log_lines_new(check_event, sums);

    FUZZ_CHECK(loaded);
    log_lines_save(lines, load, loaded);
    FUZZ_CHECK(log_lines_waiting(loaded) == log_lines_waiting(lines));
    log_lines_free(lines);
    return loaded;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sums sums = {0};
    struct log_lines *lines = log_lines_new(check_event, &sums);
    uint64_t now_ns = 1000 * MS, given = 0;

    FUZZ_CHECK(lines);
    while (size >= 3) {
        uint8_t how = data[0];
        size_t length = data[2] < size - 3 ? data[2] : size - 3;

        now_ns += data[1] * 10 * MS;
        log_lines_look(lines, now_ns);
        given += add_up((const char *)data + 3, length);
        give(lines, how, data + 3, length, now_ns);
        lines = save_and_load(lines, &sums);
        data += 3 + length;
        size -= 3 + length;
    }
    log_lines_look(lines, now_ns + 2000 * MS);
    FUZZ_CHECK(log_lines_waiting(lines) == 0);
    FUZZ_CHECK(sums.bytes == given);
    log_lines_free(lines);
    return 0;
}
