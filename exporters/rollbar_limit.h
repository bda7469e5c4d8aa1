/* SPDX-License-Identifier: Apache-2.0 */
/* How many items may go to Rollbar: so many in any minute, and fewer of one fingerprint, since a program that crashes
 * in a loop must not use up what the account pays for. What is held back is counted by fingerprint. Called by
 * rollbar.c. */
#ifndef SPANSHIM_ROLLBAR_LIMIT_H
#define SPANSHIM_ROLLBAR_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct rollbar_limit;

enum { ROLLBAR_LIMIT_KINDS = 64 }; /* fingerprints that are known at a time; then the one unused for longest goes */

/* Items in any 60 s, of all and of one fingerprint; 0: no limit. NULL when out of memory. Context: loop. */
struct rollbar_limit *rollbar_limit_new(uint32_t per_minute, uint32_t per_fingerprint);
void rollbar_limit_free(struct rollbar_limit *limit);

/* May an item of this fingerprint go now? If so, it counts, and *ret_suppressed is how many of its kind were held back
 * since the last that went. Context: loop. */
bool rollbar_limit_pass(struct rollbar_limit *limit, const char *fingerprint, uint64_t now_ns,
                        uint64_t *ret_suppressed);

#endif
