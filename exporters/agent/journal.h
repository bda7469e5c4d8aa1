/* SPDX-License-Identifier: Apache-2.0 */
/* What was taken from the rings and is not yet accepted by every destination: a journal of records, one per destination
 * set, bounded, read by several consumers each at its own pace. It lives in a memfd that the keeper holds, so a worker
 * that is killed loses nothing: the next one goes on at the consumers' positions, and knows from the entries which
 * cells of which lane were taken already (no record twice).
 *
 * Entries are committed by one store of the head; the newest worker is the only writer. When it is full the oldest
 * entries go, counted per consumer that had not yet had them. */
#ifndef SPANSHIM_JOURNAL_H
#define SPANSHIM_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;

enum { JOURNAL_CONSUMERS_MAX = 8 };

#define JOURNAL_STILL_OPEN UINT64_MAX

/* Where a record came from. */
struct journal_origin {
    uint32_t source; /* the keeper's number of the ring */
    uint32_t lane;
    uint32_t generation; /* of the lane */
    uint32_t cells;      /* cells the record took */
    uint64_t position;   /* of its first cell; of an open request found after its process's death (cells 0): its slot;
                            of one whose process goes on with it (cells 0): JOURNAL_STILL_OPEN */
    int32_t pid;         /* of the process, in the agent's namespace; 0: unknown */
    uint32_t pad;
};

struct journal_entry {
    struct journal_origin origin;
    const void *record; /* borrowed: a struct wire_record and its payload; until the next append */
    size_t length;
    uint64_t next; /* position of the entry after it: what journal_ack takes */
};

/* Map a journal: memfd as journal_create made it (the keeper's, after a restart). The descriptor is borrowed.
 * -EBADMSG when its content is not a journal. Context: loop. */
int journal_create(size_t capacity, int *ret_memfd);
int journal_open(int memfd, struct journal **ret_journal);
void journal_close(struct journal *journal);

/* How many consumers read it (1 .. JOURNAL_CONSUMERS_MAX; 0 at first: nothing is kept for anybody). A new one starts at
 * the oldest entry. Context: loop. */
void journal_set_consumers(struct journal *journal, unsigned count);

/* Add a record; the oldest go when there is no room. 0; -EMSGSIZE: it is larger than the journal, or than 512 KiB, and
 * counts as lost. Invalidates what journal_read lent. Context: loop. */
int journal_append(struct journal *journal, const struct journal_origin *origin, const void *record, size_t length);

/* Where the next entry will be, and up to where all consumers are done. Context: loop. */
uint64_t journal_end(const struct journal *journal);
uint64_t journal_done(const struct journal *journal);

/* Give memory back when every consumer is done. Context: loop. */
void journal_trim(struct journal *journal);

/* The entry at `position` (start with journal_position of the consumer). 1 and the entry; 0 at the end. An older
 * position than the oldest entry reads the oldest. Context: loop. */
int journal_read(const struct journal *journal, uint64_t position, struct journal_entry *ret_entry);

/* How far consumer n has got; everything before `position` is done with. Context: loop. */
uint64_t journal_position(const struct journal *journal, unsigned consumer);
void journal_ack(struct journal *journal, unsigned consumer, uint64_t position);

/* Which entries are for consumer n; the others are not counted for it. NULL, as at first: all. Context: loop. */
typedef bool journal_takes_fn(void *arg, const struct journal_entry *entry);
void journal_set_filter(struct journal *journal, unsigned consumer, journal_takes_fn *takes, void *arg);

/* Records for consumer n: added and not yet had by it, and those it lost because the journal was full. Context:
 * loop. */
uint64_t journal_depth(const struct journal *journal, unsigned consumer);
uint64_t journal_lost(const struct journal *journal, unsigned consumer);

#endif
