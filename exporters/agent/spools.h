/* SPDX-License-Identifier: Apache-2.0 */
/* The spools of this worker, by the digest of the settings they serve. A new one is handed to the keeper before it is
 * used; after a restart those the keeper still holds are found again. */
#ifndef SPANSHIM_SPOOLS_H
#define SPANSHIM_SPOOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool;

enum { SPOOLS_KEY_SIZE = 20 };

/* What the worker does for it; copied. */
struct spools_host {
    void *arg;
    int (*keep)(void *arg, const uint8_t key[SPOOLS_KEY_SIZE], int memfd);
    /* Before it is unmapped: who still speaks of it? */
    void (*dropped)(void *arg, const uint8_t key[SPOOLS_KEY_SIZE], struct spool *spool);
};

/* Context: start. */
void spools_init(const struct spools_host *host);
void spools_deinit(void);

/* One that the worker before had; the descriptor stays the caller's. 0 or -errno. Context: start. */
int spools_restore(const uint8_t key[SPOOLS_KEY_SIZE], int memfd);

/* The spool of this key: found again, or made with room for `capacity` bytes (rounded up to pages). Borrowed until
 * spools_drop. 0 or -errno. Context: loop. */
int spools_obtain(const uint8_t key[SPOOLS_KEY_SIZE], size_t capacity, struct spool **ret_spool);

/* Nobody will use it any more: forgotten here and by the keeper, whatever is in it. Context: loop. */
void spools_drop(struct spool *spool);

/* All sources are back: those that none of them asked for have nothing left to deliver. Context: start. */
void spools_drop_unclaimed(void);

/* Give back the memory of those that are empty. Are all? Context: loop. */
bool spools_trim(void);

#endif
