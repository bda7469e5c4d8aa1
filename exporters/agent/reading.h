/* SPDX-License-Identifier: Apache-2.0 */
/* Which ring the worker is looking into, in memory that it shares with the keeper: what stands there when the worker
 * has crashed is what it crashed of. */
#ifndef SPANSHIM_READING_H
#define SPANSHIM_READING_H

#include <stdint.h>

/* Once, before the first worker is forked. 0 or -errno: nothing will be known then. Context: start. */
int reading_init(void);

/* The worker looks into this ring (the keeper's number). What it looked into before, for reading_end: they nest.
 * Context: loop. */
uint32_t reading_begin(uint32_t id);
void reading_end(uint32_t before);

/* The worker is gone: what it was looking into; 0: nothing. Context: loop (keeper). */
uint32_t reading_take(void);

#endif
