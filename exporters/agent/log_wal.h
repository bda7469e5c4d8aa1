/* SPDX-License-Identifier: Apache-2.0 */
/* A write-ahead log (WAL) for the lines of logs that wait to be joined. It is a memfd that the keeper holds. Each piece
 * of a log, and each look at the clock that lets lines go on, is written here before it takes effect. The next worker
 * reads the entries and does the same again: then it has the lines as the worker before had them. Used by drain_logs.c.
 *
 * It has two halves, and one of them is active. When that one is full, what waits is saved in the other, which becomes
 * the active one. Each change takes effect by one store, so a worker may be killed at any point. */
#ifndef SPANSHIM_LOG_WAL_H
#define SPANSHIM_LOG_WAL_H

#include "exporters/agent/journal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_wal;

/* Bytes that one save may take, with the headers of its entries. */
enum { LOG_WAL_SAVED_MAX = 5 << 20 };

enum log_wal_kind {
    LOG_WAL_PIECE = 1, /* a piece was taken from the ring; its bytes */
    LOG_WAL_LOOK,      /* a look at the clock: lines that had waited for long enough went on */
    LOG_WAL_WRITER,    /* part of a save: what waits of one writer (log_lines_save) */
};

struct log_wal_entry {
    enum log_wal_kind kind;
    struct journal_origin origin; /* the lane, and its latest piece */
    uint64_t now_ns;
    uint64_t journal_end; /* the end of the journal that events go to, before the entry took effect */
    const void *bytes;    /* of an entry that was read: borrowed, until the next save */
    size_t length;
};

/* Make the memfd; map it. The memfd is borrowed. Returns 0, -EBADMSG when its content is no such log, or -errno.
 * Context: loop. */
int log_wal_create(int *ret_memfd);
int log_wal_open(int memfd, struct log_wal **ret_wal);
void log_wal_close(struct log_wal *wal);

/* Write an entry. There must be room for it (log_wal_is_full). Context: loop. */
void log_wal_append(struct log_wal *wal, const struct log_wal_entry *entry);

/* All entries have taken effect: their events are in the journal. Context: loop. */
void log_wal_done(struct log_wal *wal);

/* Is it time to save? Either an entry of this length has no room, or the next worker would have much to read. Context:
 * loop. */
bool log_wal_is_full(const struct log_wal *wal, size_t length);

/* Save: begin, one entry for each writer of which something waits, end. The end drops all entries from before the save.
 * They must all be done (log_wal_done). Context: loop. */
void log_wal_save_begin(struct log_wal *wal);
void log_wal_save(struct log_wal *wal, const struct log_wal_entry *entry);
void log_wal_save_end(struct log_wal *wal);

/* Read the entry at *position (0: the first one) and move *position to the next. Returns false at the end. Context:
 * loop. */
bool log_wal_read(const struct log_wal *wal, size_t *position, struct log_wal_entry *ret_entry, bool *ret_is_done);

#endif
