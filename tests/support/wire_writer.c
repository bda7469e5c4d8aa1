/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/wire_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int sealed_memfd(size_t size)
{
    int memfd = memfd_create("wire-writer", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (memfd >= 0 && (ftruncate(memfd, (off_t)size) || fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))) {
        close(memfd);
        return -1;
    }
    return memfd;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int wire_writer_open(struct wire_writer *writer, uint32_t lane_count, uint32_t slot_count, uint32_t cell_count)
{
    uint64_t stride = WIRE_PAGE + (uint64_t)slot_count * WIRE_SLOT_SIZE + (uint64_t)cell_count * WIRE_CELL_SIZE;
    uint64_t crash_offset = stride % WIRE_PAGE == 0 ? stride : 0;

    stride += crash_offset ? WIRE_PAGE : 0;
    writer->size = WIRE_PAGE + lane_count * stride;
    writer->ring_memfd = sealed_memfd(writer->size);
    writer->control_memfd = sealed_memfd(sizeof(struct wire_control));
    if (writer->ring_memfd < 0 || writer->control_memfd < 0)
        return -errno;
    writer->ring = mmap(NULL, writer->size, PROT_READ | PROT_WRITE, MAP_SHARED, writer->ring_memfd, 0);
    if (writer->ring == MAP_FAILED)
        return -errno;
    *writer->ring = (struct wire_ring){.magic = WIRE_MAGIC,
                                       .version = WIRE_VERSION,
                                       .header_size = WIRE_PAGE,
                                       .lane_count = lane_count,
                                       .slot_count = slot_count,
                                       .cell_count = cell_count,
                                       .lane_stride = stride,
                                       .slots_offset = WIRE_PAGE,
                                       .cells_offset = WIRE_PAGE + (uint64_t)slot_count * WIRE_SLOT_SIZE,
                                       .mapping_size = writer->size,
                                       .crash_offset = crash_offset,
                                       .anchor_wall_ns = clock_ns(CLOCK_REALTIME),
                                       .anchor_mono_ns = clock_ns(CLOCK_MONOTONIC)};
    return 0;
}

void wire_writer_close(struct wire_writer *writer)
{
    (void)munmap(writer->ring, writer->size);
    close(writer->ring_memfd);
    close(writer->control_memfd);
}

struct wire_lane *wire_writer_lane(const struct wire_writer *writer, uint32_t lane)
{
    return (struct wire_lane *)(void *)((char *)writer->ring + WIRE_PAGE + lane * writer->ring->lane_stride);
}

struct wire_crash *wire_writer_crash(const struct wire_writer *writer, uint32_t lane)
{
    char *base = (char *)wire_writer_lane(writer, lane);

    return writer->ring->crash_offset ? (struct wire_crash *)(void *)(base + writer->ring->crash_offset) : NULL;
}

struct wire_slot *wire_writer_slot(const struct wire_writer *writer, uint32_t lane, uint32_t slot)
{
    char *base = (char *)wire_writer_lane(writer, lane);

    return (struct wire_slot *)(void *)(base + writer->ring->slots_offset) + slot;
}

struct wire_cell *wire_writer_cell(const struct wire_writer *writer, uint32_t lane, uint64_t position)
{
    char *base = (char *)wire_writer_lane(writer, lane);

    return (struct wire_cell *)(void *)(base + writer->ring->cells_offset) + position % writer->ring->cell_count;
}

bool wire_writer_claim(const struct wire_writer *writer, uint32_t lane, uint32_t pid)
{
    struct wire_lane *shared = wire_writer_lane(writer, lane);
    uint64_t owner = atomic_load(&shared->owner);

    if ((uint32_t)owner != 0)
        return false;
    shared->claimed_boot_ns = clock_ns(CLOCK_BOOTTIME);
    return atomic_compare_exchange_strong(&shared->owner, &owner, owner | pid);
}

bool wire_writer_reserve(const struct wire_writer *writer, uint32_t lane, uint32_t parts, uint64_t *ret_position)
{
    struct wire_lane *shared = wire_writer_lane(writer, lane);
    uint64_t head = atomic_load(&shared->head);

    do {
        uint64_t tail = atomic_load_explicit(&shared->tail, memory_order_acquire);

        if (head + parts - tail > writer->ring->cell_count)
            return false;
    } while (!atomic_compare_exchange_weak(&shared->head, &head, head + parts));
    *ret_position = head;
    return true;
}

bool wire_writer_begin(const struct wire_writer *writer, uint32_t lane, uint64_t position)
{
    struct wire_cell *cell = wire_writer_cell(writer, lane, position);
    uint32_t writing = wire_cell_word(position, writer->ring->cell_count, WIRE_CELL_WRITING);
    uint32_t state = atomic_load_explicit(&cell->state, memory_order_acquire);

    if (state >> 2 == writing >> 2 || (state & 3) == WIRE_CELL_WRITING || (state & 3) == WIRE_CELL_READY)
        return false;
    return atomic_compare_exchange_strong(&cell->state, &state, writing);
}

void wire_writer_commit(const struct wire_writer *writer, uint32_t lane, uint64_t position)
{
    atomic_store_explicit(&wire_writer_cell(writer, lane, position)->state,
                          wire_cell_word(position, writer->ring->cell_count, WIRE_CELL_READY), memory_order_release);
}

static void fill(struct wire_cell *cell, unsigned part, unsigned parts, const uint8_t *bytes, size_t length)
{
    cell->part = (uint8_t)part;
    cell->parts = (uint8_t)parts;
    cell->length = (uint16_t)length;
    memcpy(cell->payload, bytes, length);
}

static void wake(struct wire_ring *ring)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&ring->asleep) && atomic_exchange(&ring->asleep, 0))
        (void)syscall(SYS_futex, &ring->asleep, FUTEX_WAKE, 1, NULL, NULL, 0);
}

bool wire_writer_write(const struct wire_writer *writer, uint32_t lane, enum wire_record_type type, const void *bytes,
                       size_t length, struct wire_slot *slot)
{
    const struct wire_record record = {.type = (uint16_t)type, .length = (uint16_t)length};
    unsigned parts = (unsigned)((sizeof(record) + length + WIRE_CELL_PAYLOAD - 1) / WIRE_CELL_PAYLOAD);
    uint8_t whole[WIRE_RECORD_MAX];
    uint64_t position;

    if (parts > WIRE_RECORD_CELLS_MAX || !wire_writer_reserve(writer, lane, parts, &position))
        return false;
    memcpy(whole, &record, sizeof(record));
    memcpy(whole + sizeof(record), bytes, length);
    for (unsigned part = 0; part < parts; part++) {
        size_t at = part * (size_t)WIRE_CELL_PAYLOAD;
        size_t left = sizeof(record) + length - at;

        if (!wire_writer_begin(writer, lane, position + part))
            return false;
        fill(wire_writer_cell(writer, lane, position + part), part, parts, whole + at,
             left < WIRE_CELL_PAYLOAD ? left : WIRE_CELL_PAYLOAD);
        if (part > 0)
            wire_writer_commit(writer, lane, position + part);
    }
    if (slot)
        atomic_store_explicit(&slot->record_position, position + 1, memory_order_relaxed);
    wire_writer_commit(writer, lane, position);
    wake(writer->ring);
    return true;
}

size_t wire_writer_request(void *bytes, uint64_t number, size_t path_length)
{
    struct wire_request *request = bytes;
    uint8_t *text = request->text;
    uint16_t length = (uint16_t)path_length;

    *request = (struct wire_request){.start_ns = clock_ns(CLOCK_MONOTONIC) - 1000,
                                     .request_body_size = number,
                                     .status = 200,
                                     .flags = WIRE_REQUEST_SAMPLED | WIRE_REQUEST_BODY_SEEN,
                                     .trace_flags = 1,
                                     .kind = WIRE_KIND_SERVER,
                                     .method = WIRE_METHOD_GET,
                                     .version = 11,
                                     .text_length = (uint16_t)(4 + path_length)};
    request->end_ns = request->start_ns + 1000;
    request->trace_id[0] = 1;
    memcpy(request->trace_id + 8, &number, sizeof(number));
    request->span_id[0] = 1;
    memcpy(request->span_id + 1, &number, 7);
    text[0] = WIRE_TEXT_PATH;
    text[1] = 0;
    memcpy(text + 2, &length, sizeof(length));
    memset(text + 4, 'a' + (int)(number % 26), path_length);
    if (path_length)
        text[4] = '/';
    return sizeof(*request) + 4 + path_length;
}

uint64_t wire_writer_number(const void *bytes, size_t length)
{
    const struct wire_request *request = bytes;
    uint64_t number;

    if (length < sizeof(*request) + 4 || request->text_length != length - sizeof(*request))
        return UINT64_MAX;
    number = request->request_body_size;
    if (memcmp(request->trace_id + 8, &number, sizeof(number)) != 0)
        return UINT64_MAX;
    for (size_t i = sizeof(*request) + 5; i < length; i++)
        if (((const uint8_t *)bytes)[i] != 'a' + number % 26)
            return UINT64_MAX;
    return number;
}
