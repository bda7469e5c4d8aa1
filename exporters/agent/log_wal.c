/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_wal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAL_MAGIC   0x4c57474cu /* "LGWL" */
#define WAL_VERSION 1u

enum {
    PAGE = 4096,
    ALIGNMENT = 8,
    MANY = 64 << 10, /* it is time to save when a half has twice as much as was saved last, and this */
    ENTRY_MAX = 512 << 10,
    HALF_SIZE = 2 * LOG_WAL_SAVED_MAX + MANY + ENTRY_MAX,
    RETURNED_MIN = 1 << 20, /* a half that held more gives its memory back when the other one is active */
};
static_assert(HALF_SIZE % PAGE == 0, "a half is whole pages");

/* The stores are ordered for a reader that comes after a kill at any point, not for one that reads meanwhile. */
struct header {
    uint32_t magic;
    uint32_t version;
    _Atomic uint32_t active; /* which half */
    uint32_t pad;
    struct {
        _Atomic uint64_t end;  /* where its entries end */
        _Atomic uint64_t done; /* the entries before it are done */
    } halves[2];
};
static_assert(sizeof(struct header) <= PAGE, "header");

struct entry {
    uint32_t size; /* to the next entry */
    uint32_t length;
    uint32_t kind;
    uint32_t pad;
    uint64_t now_ns;
    uint64_t journal_end;
    struct journal_origin origin;
    uint8_t bytes[];
};
static_assert(sizeof(struct entry) == 64, "entry");

struct log_wal {
    struct header *header;
    uint8_t *halves[2];
    uint64_t saved;  /* how much of the active half is the last save */
    uint64_t saving; /* during a save: how much of it the other half has */
};

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static unsigned active(const struct log_wal *wal)
{
    return atomic_load_explicit(&wal->header->active, memory_order_relaxed);
}

static size_t size_of(size_t length)
{
    return (sizeof(struct entry) + length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* opening */

int log_wal_create(int *ret_memfd)
{
    const struct header header = {.magic = WAL_MAGIC, .version = WAL_VERSION};
    int memfd = memfd_create("spanshim-lines", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int error;

    if (memfd < 0)
        return -errno;
    if (ftruncate(memfd, PAGE + 2 * HALF_SIZE) ||
        fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ||
        pwrite(memfd, &header, sizeof(header), 0) != sizeof(header)) {
        error = -errno;
        close(memfd);
        return error;
    }
    *ret_memfd = memfd;
    return 0;
}

/* Does the active half consist of whole entries, and is the end of what is done the end of one? */
static bool is_sound(const struct log_wal *wal)
{
    const struct header *header = wal->header;
    unsigned half = active(wal);
    uint64_t end, position = 0;
    bool has_done;

    if (header->magic != WAL_MAGIC || header->version != WAL_VERSION || half > 1)
        return false;
    end = load(&header->halves[half].end);
    has_done = load(&header->halves[half].done) == 0;
    while (position < end && end <= HALF_SIZE) {
        const struct entry *entry = (const void *)(wal->halves[half] + position);

        if (entry->size < sizeof(*entry) || entry->size > end - position || entry->size != size_of(entry->length))
            return false;
        position += entry->size;
        has_done |= position == load(&header->halves[half].done);
    }
    return position == end && has_done;
}

int log_wal_open(int memfd, struct log_wal **ret_wal)
{
    struct log_wal *wal;
    struct stat status;
    uint8_t *map;

    if (fstat(memfd, &status) || status.st_size != PAGE + 2 * HALF_SIZE)
        return -EBADMSG;
    map = mmap(NULL, PAGE + 2 * HALF_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (map == MAP_FAILED)
        return -errno;
    wal = malloc(sizeof(*wal));
    if (!wal) {
        (void)munmap(map, PAGE + 2 * HALF_SIZE);
        return -ENOMEM;
    }
    *wal = (struct log_wal){.header = (struct header *)(void *)map, .halves = {map + PAGE, map + PAGE + HALF_SIZE}};
    if (!is_sound(wal)) {
        log_wal_close(wal);
        return -EBADMSG;
    }
    *ret_wal = wal;
    return 0;
}

void log_wal_close(struct log_wal *wal)
{
    if (!wal)
        return;
    (void)munmap(wal->header, PAGE + 2 * HALF_SIZE);
    free(wal);
}

/* entries */

/* Write an entry into a half. Returns where the next one begins. */
static uint64_t put(uint8_t *half, uint64_t position, const struct log_wal_entry *given)
{
    struct entry *entry = (void *)(half + position);

    *entry = (struct entry){.size = (uint32_t)size_of(given->length),
                            .length = (uint32_t)given->length,
                            .kind = given->kind,
                            .now_ns = given->now_ns,
                            .journal_end = given->journal_end,
                            .origin = given->origin};
    if (given->length > 0)
        memcpy(entry->bytes, given->bytes, given->length);
    return position + entry->size;
}

void log_wal_append(struct log_wal *wal, const struct log_wal_entry *entry)
{
    unsigned half = active(wal);
    _Atomic uint64_t *end = &wal->header->halves[half].end;

    store(end, put(wal->halves[half], load(end), entry)); /* from here on the next worker reads it */
}

void log_wal_done(struct log_wal *wal)
{
    unsigned half = active(wal);

    store(&wal->header->halves[half].done, load(&wal->header->halves[half].end));
}

bool log_wal_is_full(const struct log_wal *wal, size_t length)
{
    uint64_t end = load(&wal->header->halves[active(wal)].end);

    return end + size_of(length) > HALF_SIZE || end > 2 * wal->saved + MANY;
}

bool log_wal_read(const struct log_wal *wal, size_t *position, struct log_wal_entry *ret_entry, bool *ret_is_done)
{
    unsigned half = active(wal);
    const struct entry *entry = (const void *)(wal->halves[half] + *position);

    if (*position >= load(&wal->header->halves[half].end))
        return false;
    *ret_is_done = *position < load(&wal->header->halves[half].done);
    *ret_entry = (struct log_wal_entry){.kind = entry->kind,
                                        .origin = entry->origin,
                                        .now_ns = entry->now_ns,
                                        .journal_end = entry->journal_end,
                                        .bytes = entry->bytes,
                                        .length = entry->length};
    *position += entry->size;
    return true;
}

/* saving */

void log_wal_save_begin(struct log_wal *wal)
{
    wal->saving = 0;
}

void log_wal_save(struct log_wal *wal, const struct log_wal_entry *entry)
{
    wal->saving = put(wal->halves[!active(wal)], wal->saving, entry);
}

void log_wal_save_end(struct log_wal *wal)
{
    unsigned before = active(wal), half = !before;
    uint64_t used = load(&wal->header->halves[before].end);

    store(&wal->header->halves[half].end, wal->saving);
    store(&wal->header->halves[half].done, wal->saving);
    atomic_store_explicit(&wal->header->active, half,
                          memory_order_release); /* from here on the next worker reads this half */
    wal->saved = wal->saving;
    if (used > RETURNED_MIN)
        (void)madvise(wal->halves[before], HALF_SIZE, MADV_REMOVE);
}
