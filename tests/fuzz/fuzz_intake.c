/* SPDX-License-Identifier: Apache-2.0 */
/* A hand-over from a hostile program: any message, and a ring that was well formed before some of its bytes were
 * changed. Input: a byte that tells how many times 8 bytes of text follow, the text, then changes: offset (3 bytes),
 * value. */
#include "exporters/agent/intake.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/process.h"
#include "exporters/agent/rounds.h"
#include "exporters/agent/source.h"
#include "exporters/agent/span.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/wire_writer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LANES = 2, SLOTS = 64, CELLS = 16 };

static struct loop *loop;
static struct journal *journal;

static void ignore(void *arg, uint32_t id)
{
    (void)arg;
    (void)id;
}

static void start_once(void)
{
    const struct intake_host host = {.unmapped = ignore, .dropped = ignore};
    int memfd;

    if (loop)
        return;
    log_set_level((enum log_level)0);
    if (loop_new(&loop) || rounds_init(loop) || journal_create(1 << 20, &memfd) || journal_open(memfd, &journal))
        abort();
    journal_set_consumers(journal, 1);
    intake_init(&host);
}

/* What a program at work leaves: records of one and of several cells, an open request. */
static void write_ring(struct wire_writer *writer)
{
    _Alignas(8) uint8_t bytes[WIRE_RECORD_MAX];
    struct wire_slot *slot = wire_writer_slot(writer, 0, 3);

    (void)wire_writer_claim(writer, 0, (uint32_t)getpid());
    for (uint64_t number = 0; number < 6; number++) {
        size_t length = wire_writer_request(bytes, number, number * 200);

        (void)wire_writer_write(writer, 0, WIRE_RECORD_REQUEST, bytes, length, NULL);
    }
    (void)wire_writer_request(slot->request, 6, 30);
    atomic_store(&slot->open, 1);
    atomic_store(&wire_writer_lane(writer, 0)->slot_map[0], 1u << 3);
}

static void change(struct wire_writer *writer, const uint8_t *data, size_t size)
{
    for (; size >= 4; data += 4, size -= 4)
        ((uint8_t *)writer->ring)[(data[0] | data[1] << 8 | (size_t)data[2] << 16) % writer->size] = data[3];
}

static size_t write_message(uint8_t *message, const uint8_t *text, size_t length)
{
    static const char nothing[] = "eOTEL_SDK_DISABLED=true"; /* no destination is opened, whatever the rest says */
    struct wire_message head = {.magic = WIRE_MAGIC,
                                .version = WIRE_VERSION,
                                .type = WIRE_MESSAGE_HANDOVER,
                                .pid = (uint32_t)getpid(),
                                .text_length = (uint32_t)(sizeof(nothing) + length)};

    memcpy(message, &head, sizeof(head));
    memcpy(message + sizeof(head), nothing, sizeof(nothing));
    memcpy(message + sizeof(head) + sizeof(nothing), text, length);
    return sizeof(head) + sizeof(nothing) + length;
}

static void read_journal(void)
{
    static const struct process process = {.wall_offset_ns = 1};
    struct journal_entry entry;
    struct span span;
    char buf[8];

    while (journal_read(journal, journal_position(journal, 0), &entry)) {
        const uint8_t *payload = (const uint8_t *)entry.record + sizeof(struct wire_record);

        if (span_parse(&process, payload, entry.length - sizeof(struct wire_record), &span) == 0) {
            (void)span_error_type(&span, buf);
            if (span.end_unix_ns < span.start_unix_ns)
                abort();
        }
        journal_ack(journal, 0, entry.next);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t message[sizeof(struct wire_message) + 64 + 8 * 255];
    struct intake_handover handover = {.id = 1, .pid = getpid(), .uid = getuid(), .message = message, .pidfd = -1};
    struct wire_writer writer;
    size_t text_length;

    if (size < 1)
        return 0;
    start_once();
    text_length = (size_t)data[0] * 8 < size - 1 ? (size_t)data[0] * 8 : size - 1;
    handover.length = write_message(message, data + 1, text_length);
    if (wire_writer_open(&writer, LANES, SLOTS, CELLS))
        abort();
    write_ring(&writer);
    change(&writer, data + 1 + text_length, size - 1 - text_length);
    (void)munmap(writer.ring, writer.size);
    handover.ring = writer.ring_memfd;
    handover.control = writer.control_memfd;
    if (intake_take(&handover) == 0) {
        intake_first()->outlets[SIGNAL_TRACES].journal = journal;
        rounds_drain_all();
        rounds_drain_all();
        read_journal();
    }
    intake_deinit();
    close(writer.ring_memfd);
    close(writer.control_memfd);
    return 0;
}
