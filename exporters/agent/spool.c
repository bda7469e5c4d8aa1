/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPOOL_MAGIC   0x4c4f4f50u /* "POOL" */
#define SPOOL_VERSION 1u

enum { HEADER_SIZE = 4096, CAPACITY_MIN = 64 << 10, LENGTH_MAX = 8 << 10, ALIGNMENT = 8 };

/* The memfd: this, then `capacity` bytes of entries. Positions count bytes for ever; position % capacity is the place.
 * The stores are ordered for a reader that comes after a kill at any point, not for one that reads meanwhile. */
struct header {
    uint32_t magic;
    uint32_t version;
    uint64_t capacity;
    _Atomic uint64_t oldest;
    _Atomic uint64_t head;
    _Atomic uint32_t consumer_count;
    uint32_t pad;
    struct {
        _Atomic uint64_t position;
        _Atomic uint64_t lost;
    } consumers[SPOOL_CONSUMERS_MAX];
};
static_assert(sizeof(struct header) <= HEADER_SIZE, "header");

struct entry {
    uint32_t size; /* to the next entry */
    uint32_t length;
    uint64_t sequence; /* tells how many entries lie between two positions */
    struct spool_origin origin;
    uint8_t record[];
};
static_assert(sizeof(struct spool_origin) == 32, "spool_origin");
static_assert(sizeof(struct entry) == 48, "entry");

struct spool {
    struct header *header;
    uint8_t *data; /* mapped twice in a row: an entry never wraps */
    uint64_t capacity;
    uint64_t next_sequence;
};

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static struct entry *entry_at(const struct spool *spool, uint64_t position)
{
    return (struct entry *)(void *)(spool->data + position % spool->capacity);
}

/* opening */

int spool_create(size_t capacity, int *ret_memfd)
{
    struct header *header;
    int memfd, error;

    if (capacity < CAPACITY_MIN)
        capacity = CAPACITY_MIN;
    capacity = (capacity + HEADER_SIZE - 1) / HEADER_SIZE * HEADER_SIZE;
    memfd = memfd_create("spanshim-spool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memfd < 0)
        return -errno;
    if (ftruncate(memfd, (off_t)(HEADER_SIZE + capacity)) ||
        fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
        error = -errno;
        goto close_memfd;
    }
    header = mmap(NULL, HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (header == MAP_FAILED) {
        error = -errno;
        goto close_memfd;
    }
    header->version = SPOOL_VERSION;
    header->capacity = capacity;
    header->magic = SPOOL_MAGIC;
    (void)munmap(header, HEADER_SIZE);
    *ret_memfd = memfd;
    return 0;
close_memfd:
    close(memfd);
    return error;
}

static int map_data(struct spool *spool, int memfd)
{
    uint8_t *data = mmap(NULL, 2 * spool->capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (data == MAP_FAILED)
        return -errno;
    spool->data = data;
    for (int half = 0; half < 2; half++)
        if (mmap(data + half * spool->capacity, spool->capacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd,
                 HEADER_SIZE) == MAP_FAILED)
            return -errno;
    return 0;
}

/* Walk what is there once: every entry whole, sequence without a gap. */
static int check_entries(struct spool *spool)
{
    struct header *header = spool->header;
    uint64_t position = load(&header->oldest);
    uint64_t head = load(&header->head);
    bool first = true;

    if (position % ALIGNMENT || head % ALIGNMENT || head - position > spool->capacity)
        return -EBADMSG;
    while (position < head) {
        const struct entry *entry = entry_at(spool, position);

        if (entry->size < sizeof(*entry) || entry->size % ALIGNMENT || entry->size > head - position ||
            entry->length > entry->size - sizeof(*entry) || entry->length > LENGTH_MAX)
            return -EBADMSG;
        if (!first && entry->sequence != spool->next_sequence)
            return -EBADMSG;
        first = false;
        spool->next_sequence = entry->sequence + 1;
        position += entry->size;
    }
    return 0;
}

static int check_header(struct spool *spool, int memfd)
{
    struct header *header = spool->header;
    struct stat status;

    if (fstat(memfd, &status))
        return -errno;
    if (header->magic != SPOOL_MAGIC || header->version != SPOOL_VERSION || header->capacity < CAPACITY_MIN ||
        header->capacity % HEADER_SIZE || (uint64_t)status.st_size != HEADER_SIZE + header->capacity)
        return -EBADMSG;
    if (load(&header->oldest) > load(&header->head)) /* killed within spool_trim */
        store(&header->head, load(&header->oldest));
    if (atomic_load(&header->consumer_count) > SPOOL_CONSUMERS_MAX)
        return -EBADMSG;
    for (unsigned i = 0; i < SPOOL_CONSUMERS_MAX; i++)
        if (load(&header->consumers[i].position) > load(&header->head))
            store(&header->consumers[i].position, load(&header->head));
    spool->capacity = header->capacity;
    return 0;
}

int spool_open(int memfd, struct spool **ret_spool)
{
    struct spool *spool = calloc(1, sizeof(*spool));
    struct stat status;
    int error;

    if (!spool)
        return -ENOMEM;
    if (fstat(memfd, &status) || status.st_size < HEADER_SIZE) {
        free(spool);
        return -EBADMSG;
    }
    spool->header = mmap(NULL, HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (spool->header == MAP_FAILED) {
        error = -errno;
        free(spool);
        return error;
    }
    error = check_header(spool, memfd);
    if (!error)
        error = map_data(spool, memfd);
    if (!error)
        error = check_entries(spool);
    if (error) {
        spool_close(spool);
        return error;
    }
    *ret_spool = spool;
    return 0;
}

void spool_close(struct spool *spool)
{
    if (!spool)
        return;
    if (spool->data)
        (void)munmap(spool->data, 2 * spool->capacity);
    (void)munmap(spool->header, HEADER_SIZE);
    free(spool);
}

/* consumers */

static unsigned consumer_count(const struct spool *spool)
{
    return atomic_load_explicit(&spool->header->consumer_count, memory_order_relaxed);
}

void spool_set_consumers(struct spool *spool, unsigned count)
{
    struct header *header = spool->header;

    if (count > SPOOL_CONSUMERS_MAX)
        count = SPOOL_CONSUMERS_MAX;
    for (unsigned i = consumer_count(spool); i < count; i++) {
        store(&header->consumers[i].position, load(&header->oldest));
        store(&header->consumers[i].lost, 0);
    }
    atomic_store(&header->consumer_count, count);
}

uint64_t spool_position(const struct spool *spool, unsigned consumer)
{
    uint64_t position = load(&spool->header->consumers[consumer].position);
    uint64_t oldest = load(&spool->header->oldest);

    return position < oldest ? oldest : position;
}

void spool_ack(struct spool *spool, unsigned consumer, uint64_t position)
{
    uint64_t head = load(&spool->header->head);

    if (position > head)
        position = head;
    if (position > spool_position(spool, consumer))
        store(&spool->header->consumers[consumer].position, position);
}

uint64_t spool_depth(const struct spool *spool, unsigned consumer)
{
    uint64_t position = spool_position(spool, consumer);

    if (position >= load(&spool->header->head))
        return 0;
    return spool->next_sequence - entry_at(spool, position)->sequence;
}

uint64_t spool_lost(const struct spool *spool, unsigned consumer)
{
    return load(&spool->header->consumers[consumer].lost);
}

uint64_t spool_end(const struct spool *spool)
{
    return load(&spool->header->head);
}

uint64_t spool_done(const struct spool *spool)
{
    uint64_t done = load(&spool->header->head);

    for (unsigned i = 0; i < consumer_count(spool); i++) {
        uint64_t position = spool_position(spool, i);

        if (position < done)
            done = position;
    }
    return done;
}

/* entries */

static void evict_oldest(struct spool *spool)
{
    struct header *header = spool->header;
    uint64_t oldest = load(&header->oldest);
    uint64_t next = oldest + entry_at(spool, oldest)->size;

    for (unsigned i = 0; i < consumer_count(spool); i++)
        if (load(&header->consumers[i].position) <= oldest)
            atomic_fetch_add_explicit(&header->consumers[i].lost, 1, memory_order_relaxed);
    store(&header->oldest, next);
}

int spool_append(struct spool *spool, const struct spool_origin *origin, const void *record, size_t length)
{
    struct header *header = spool->header;
    uint64_t head = load(&header->head);
    uint64_t size = (sizeof(struct entry) + length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct entry *entry;

    if (length > LENGTH_MAX)
        return -EMSGSIZE;
    while (head + size - load(&header->oldest) > spool->capacity)
        evict_oldest(spool);
    entry = entry_at(spool, head);
    entry->size = (uint32_t)size;
    entry->length = (uint32_t)length;
    entry->sequence = spool->next_sequence;
    entry->origin = *origin;
    memcpy(entry->record, record, length);
    store(&header->head, head + size); /* from here on it counts, whoever is killed */
    spool->next_sequence++;
    return 0;
}

int spool_read(struct spool *spool, uint64_t position, struct spool_entry *ret_entry)
{
    uint64_t oldest = load(&spool->header->oldest);
    const struct entry *entry;

    if (position < oldest)
        position = oldest;
    if (position >= load(&spool->header->head))
        return 0;
    entry = entry_at(spool, position);
    ret_entry->origin = entry->origin;
    ret_entry->record = entry->record;
    ret_entry->length = entry->length;
    ret_entry->next = position + entry->size;
    return 1;
}

void spool_trim(struct spool *spool)
{
    struct header *header = spool->header;
    uint64_t head = load(&header->head);
    uint64_t start = (head + spool->capacity - 1) / spool->capacity * spool->capacity;

    if (head == load(&header->oldest) || spool_done(spool) < head)
        return;
    /* Go on at the start of the data. Everything is done with: a kill between two of these loses nothing. */
    store(&header->oldest, start);
    store(&header->head, start);
    for (unsigned i = 0; i < consumer_count(spool); i++)
        store(&header->consumers[i].position, start);
    (void)madvise(spool->data, spool->capacity, MADV_REMOVE);
}
