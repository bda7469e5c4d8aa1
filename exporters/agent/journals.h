/* SPDX-License-Identifier: Apache-2.0 */
/* The journals of this worker, by the digest of the settings they serve. A new one is handed to the keeper before it is
 * used; after a restart those the keeper still holds are found again. */
#ifndef SPANSHIM_JOURNALS_H
#define SPANSHIM_JOURNALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;

enum { JOURNALS_KEY_SIZE = 20 };

/* What the worker does for it; copied. */
struct journals_host {
    void *arg;
    int (*keep)(void *arg, const uint8_t key[JOURNALS_KEY_SIZE], int memfd);
    /* Before it is unmapped: who still speaks of it? */
    void (*dropped)(void *arg, const uint8_t key[JOURNALS_KEY_SIZE], struct journal *journal);
};

/* Context: start. */
void journals_init(const struct journals_host *host);
void journals_deinit(void);

/* One that the worker before had; the descriptor stays the caller's. 0 or -errno. Context: start. */
int journals_restore(const uint8_t key[JOURNALS_KEY_SIZE], int memfd);

/* The journal of this key: found again, or made with room for `capacity` bytes (rounded up to pages). Borrowed until
 * journals_drop. 0 or -errno. Context: loop. */
int journals_obtain(const uint8_t key[JOURNALS_KEY_SIZE], size_t capacity, struct journal **ret_journal);

/* Nobody will use it any more: forgotten here and by the keeper, whatever is in it. Context: loop. */
void journals_drop(struct journal *journal);

/* All sources are back: those that none of them asked for have nothing left to deliver. Context: start. */
void journals_drop_unclaimed(void);

/* Give back the memory of those that are empty. Are all? Context: loop. */
bool journals_trim(void);

#endif
