/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker is reading, in memory that it shares with the keeper: what stands there when the worker has crashed
 * is what it crashed of. It is a ring, or the write-ahead log of lines (drain_logs.c). */
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

/* How many workers in a row have begun to read the write-ahead log and crashed before its end. The worker counts, the
 * keeper sets it to 0 when the worker was killed by somebody else. Context: start (worker), loop (keeper). */
uint32_t *reading_replays(void);

#endif
