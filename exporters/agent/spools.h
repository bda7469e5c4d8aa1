/* SPDX-License-Identifier: Apache-2.0 */
/* The spools of this worker, by the digest of the settings they serve. A new one is handed to the keeper before it is
 * used; after a restart those the keeper still holds are found again. */
#ifndef SPANSHIM_SPOOLS_H
#define SPANSHIM_SPOOLS_H

#include <stddef.h>
#include <stdint.h>

struct spool;

enum { SPOOLS_KEY_SIZE = 16 };

/* The spool of this key: found again, or made with room for `capacity` bytes (rounded up to pages). Borrowed until
 * spools_drop. 0 or -errno. Context: loop. */
int spools_obtain(const uint8_t key[SPOOLS_KEY_SIZE], size_t capacity, struct spool **ret_spool);

/* Nobody will use it any more: forgotten here and by the keeper, whatever is in it. Context: loop. */
void spools_drop(struct spool *spool);

#endif
