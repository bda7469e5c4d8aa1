/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/journal.h"

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

#define JOURNAL_MAGIC   0x4c4e524au /* "JRNL" */
#define JOURNAL_VERSION 1u

enum { HEADER_SIZE = 4096, CAPACITY_MIN = 64 << 10, LENGTH_MAX = 512 << 10, ALIGNMENT = 8 };

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
    } consumers[JOURNAL_CONSUMERS_MAX];
};
static_assert(sizeof(struct header) <= HEADER_SIZE, "header");

struct entry {
    uint32_t size; /* to the next entry */
    uint32_t length;
    uint64_t sequence; /* tells how many entries lie between two positions */
    struct journal_origin origin;
    uint8_t record[];
};
static_assert(sizeof(struct journal_origin) == 32, "journal_origin");
static_assert(sizeof(struct entry) == 48, "entry");

struct journal {
    struct header *header;
    uint8_t *data; /* mapped twice in a row: an entry never wraps */
    uint64_t capacity;
    uint64_t next_sequence;
    struct {
        journal_takes_fn *takes;
        void *arg;
        uint64_t depth; /* of what it takes, where it is set */
    } filters[JOURNAL_CONSUMERS_MAX];
};

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static struct entry *entry_at(const struct journal *journal, uint64_t position)
{
    return (struct entry *)(void *)(journal->data + position % journal->capacity);
}

/* opening */

int journal_create(size_t capacity, int *ret_memfd)
{
    struct header *header;
    int memfd, error;

    if (capacity < CAPACITY_MIN)
        capacity = CAPACITY_MIN;
    capacity = (capacity + HEADER_SIZE - 1) / HEADER_SIZE * HEADER_SIZE;
    memfd = memfd_create("spanshim-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);
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
    header->version = JOURNAL_VERSION;
    header->capacity = capacity;
    header->magic = JOURNAL_MAGIC;
    (void)munmap(header, HEADER_SIZE);
    *ret_memfd = memfd;
    return 0;
close_memfd:
    close(memfd);
    return error;
}

static int map_data(struct journal *journal, int memfd)
{
    uint8_t *data = mmap(NULL, 2 * journal->capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (data == MAP_FAILED)
        return -errno;
    journal->data = data;
    for (int half = 0; half < 2; half++)
        if (mmap(data + half * journal->capacity, journal->capacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                 memfd, HEADER_SIZE) == MAP_FAILED)
            return -errno;
    return 0;
}

/* Walk what is there once: every entry whole, sequence without a gap. */
static int check_entries(struct journal *journal)
{
    struct header *header = journal->header;
    uint64_t position = load(&header->oldest);
    uint64_t head = load(&header->head);
    bool first = true;

    if (position % ALIGNMENT || head % ALIGNMENT || head - position > journal->capacity)
        return -EBADMSG;
    while (position < head) {
        const struct entry *entry = entry_at(journal, position);

        if (entry->size < sizeof(*entry) || entry->size % ALIGNMENT || entry->size > head - position ||
            entry->length > entry->size - sizeof(*entry) || entry->length > LENGTH_MAX)
            return -EBADMSG;
        if (!first && entry->sequence != journal->next_sequence)
            return -EBADMSG;
        first = false;
        journal->next_sequence = entry->sequence + 1;
        position += entry->size;
    }
    return 0;
}

static int check_header(struct journal *journal, int memfd)
{
    struct header *header = journal->header;
    struct stat status;

    if (fstat(memfd, &status))
        return -errno;
    if (header->magic != JOURNAL_MAGIC || header->version != JOURNAL_VERSION || header->capacity < CAPACITY_MIN ||
        header->capacity % HEADER_SIZE || (uint64_t)status.st_size != HEADER_SIZE + header->capacity)
        return -EBADMSG;
    if (load(&header->oldest) > load(&header->head)) /* killed within journal_trim */
        store(&header->head, load(&header->oldest));
    if (atomic_load(&header->consumer_count) > JOURNAL_CONSUMERS_MAX)
        return -EBADMSG;
    for (unsigned i = 0; i < JOURNAL_CONSUMERS_MAX; i++)
        if (load(&header->consumers[i].position) > load(&header->head))
            store(&header->consumers[i].position, load(&header->head));
    journal->capacity = header->capacity;
    return 0;
}

int journal_open(int memfd, struct journal **ret_journal)
{
    struct journal *journal = calloc(1, sizeof(*journal));
    struct stat status;
    int error;

    if (!journal)
        return -ENOMEM;
    if (fstat(memfd, &status) || status.st_size < HEADER_SIZE) {
        free(journal);
        return -EBADMSG;
    }
    journal->header = mmap(NULL, HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (journal->header == MAP_FAILED) {
        error = -errno;
        free(journal);
        return error;
    }
    error = check_header(journal, memfd);
    if (!error)
        error = map_data(journal, memfd);
    if (!error)
        error = check_entries(journal);
    if (error) {
        journal_close(journal);
        return error;
    }
    *ret_journal = journal;
    return 0;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    if (journal->data)
        (void)munmap(journal->data, 2 * journal->capacity);
    (void)munmap(journal->header, HEADER_SIZE);
    free(journal);
}

/* consumers */

static unsigned consumer_count(const struct journal *journal)
{
    return atomic_load_explicit(&journal->header->consumer_count, memory_order_relaxed);
}

void journal_set_consumers(struct journal *journal, unsigned count)
{
    struct header *header = journal->header;

    if (count > JOURNAL_CONSUMERS_MAX)
        count = JOURNAL_CONSUMERS_MAX;
    for (unsigned i = consumer_count(journal); i < count; i++) {
        store(&header->consumers[i].position, load(&header->oldest));
        store(&header->consumers[i].lost, 0);
    }
    atomic_store(&header->consumer_count, count);
}

uint64_t journal_position(const struct journal *journal, unsigned consumer)
{
    uint64_t position = load(&journal->header->consumers[consumer].position);
    uint64_t oldest = load(&journal->header->oldest);

    return position < oldest ? oldest : position;
}

static bool is_for(const struct journal *journal, unsigned consumer, const struct journal_entry *entry)
{
    journal_takes_fn *takes = journal->filters[consumer].takes;

    return takes == NULL || takes(journal->filters[consumer].arg, entry);
}

/* How many of the entries between the two positions are for this consumer? */
static uint64_t count_between(const struct journal *journal, unsigned consumer, uint64_t position, uint64_t end)
{
    struct journal_entry entry;
    uint64_t count = 0;

    for (; position < end && journal_read(journal, position, &entry) > 0; position = entry.next)
        count += is_for(journal, consumer, &entry);
    return count;
}

void journal_set_filter(struct journal *journal, unsigned consumer, journal_takes_fn *takes, void *arg)
{
    journal->filters[consumer].takes = takes;
    journal->filters[consumer].arg = arg;
    journal->filters[consumer].depth =
        takes != NULL ? count_between(journal, consumer, journal_position(journal, consumer), UINT64_MAX) : 0;
}

void journal_ack(struct journal *journal, unsigned consumer, uint64_t position)
{
    uint64_t head = load(&journal->header->head);
    uint64_t from = journal_position(journal, consumer);

    if (position > head)
        position = head;
    if (position <= from)
        return;
    if (journal->filters[consumer].takes != NULL)
        journal->filters[consumer].depth -= count_between(journal, consumer, from, position);
    store(&journal->header->consumers[consumer].position, position);
}

uint64_t journal_depth(const struct journal *journal, unsigned consumer)
{
    uint64_t position = journal_position(journal, consumer);

    if (journal->filters[consumer].takes != NULL)
        return journal->filters[consumer].depth;
    if (position >= load(&journal->header->head))
        return 0;
    return journal->next_sequence - entry_at(journal, position)->sequence;
}

uint64_t journal_lost(const struct journal *journal, unsigned consumer)
{
    return load(&journal->header->consumers[consumer].lost);
}

uint64_t journal_end(const struct journal *journal)
{
    return load(&journal->header->head);
}

uint64_t journal_done(const struct journal *journal)
{
    uint64_t done = load(&journal->header->head);

    for (unsigned i = 0; i < consumer_count(journal); i++) {
        uint64_t position = journal_position(journal, i);

        if (position < done)
            done = position;
    }
    return done;
}

/* entries */

static void evict_oldest(struct journal *journal)
{
    struct header *header = journal->header;
    uint64_t oldest = load(&header->oldest);
    struct journal_entry entry;

    (void)journal_read(journal, oldest, &entry);
    for (unsigned i = 0; i < consumer_count(journal); i++) {
        if (load(&header->consumers[i].position) > oldest || !is_for(journal, i, &entry))
            continue;
        atomic_fetch_add_explicit(&header->consumers[i].lost, 1, memory_order_relaxed);
        journal->filters[i].depth -= journal->filters[i].takes != NULL;
    }
    store(&header->oldest, entry.next);
}

/* The newest entry, which begins here. */
static void count_for_all(struct journal *journal, uint64_t position)
{
    struct journal_entry entry;

    (void)journal_read(journal, position, &entry);
    for (unsigned i = 0; i < consumer_count(journal); i++)
        journal->filters[i].depth += journal->filters[i].takes != NULL && is_for(journal, i, &entry);
}

int journal_append(struct journal *journal, const struct journal_origin *origin, const void *record, size_t length)
{
    struct header *header = journal->header;
    uint64_t head = load(&header->head);
    uint64_t size = (sizeof(struct entry) + length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct entry *entry;

    if (length > LENGTH_MAX || size > journal->capacity) {
        for (unsigned i = 0; i < consumer_count(journal); i++)
            atomic_fetch_add_explicit(&header->consumers[i].lost, 1, memory_order_relaxed);
        return -EMSGSIZE;
    }
    while (head + size - load(&header->oldest) > journal->capacity)
        evict_oldest(journal);
    entry = entry_at(journal, head);
    entry->size = (uint32_t)size;
    entry->length = (uint32_t)length;
    entry->sequence = journal->next_sequence;
    entry->origin = *origin;
    memcpy(entry->record, record, length);
    store(&header->head, head + size); /* from here on it counts, whoever is killed */
    journal->next_sequence++;
    count_for_all(journal, head);
    return 0;
}

int journal_read(const struct journal *journal, uint64_t position, struct journal_entry *ret_entry)
{
    uint64_t oldest = load(&journal->header->oldest);
    const struct entry *entry;

    if (position < oldest)
        position = oldest;
    if (position >= load(&journal->header->head))
        return 0;
    entry = entry_at(journal, position);
    ret_entry->origin = entry->origin;
    ret_entry->record = entry->record;
    ret_entry->length = entry->length;
    ret_entry->next = position + entry->size;
    return 1;
}

void journal_trim(struct journal *journal)
{
    struct header *header = journal->header;
    uint64_t head = load(&header->head);
    uint64_t start = (head + journal->capacity - 1) / journal->capacity * journal->capacity;

    if (head == load(&header->oldest) || journal_done(journal) < head)
        return;
    /* Start again at the beginning of the data. All entries are done with, so a kill between two of these stores
     * loses nothing. */
    store(&header->oldest, start);
    store(&header->head, start);
    for (unsigned i = 0; i < consumer_count(journal); i++)
        store(&header->consumers[i].position, start);
    (void)madvise(journal->data, journal->capacity, MADV_REMOVE);
}
