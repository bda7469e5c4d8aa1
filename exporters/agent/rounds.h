/* SPDX-License-Identifier: Apache-2.0 */
/* When rings are read: in short rounds while something happens, on a wake-up when nothing does; and when one is over,
 * as nobody maps it any more. Who lives in them, and what they wrote, is lanes.c's. */
#ifndef SPANSHIM_ROUNDS_H
#define SPANSHIM_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct source;

/* 0 or -errno. Context: start. */
int rounds_init(struct loop *loop);
void rounds_deinit(void);

/* A mapped source: read from now on. An older image of the same process is ended by it. Context: loop. */
void rounds_add(struct source *source);
/* It is about to be unmapped. Context: loop. */
void rounds_remove(struct source *source);

/* Somebody in it died: read it now, not in the next round. Context: loop. */
void rounds_read_now(struct source *source);

/* A moment of our CLOCK_MONOTONIC on that of the source's processes. Context: loop. */
uint64_t rounds_source_ns(const struct source *source, uint64_t now_ns);

/* Something waits to be delivered: look now and then whether it was, and forget what is no longer needed. Context:
 * loop. */
void rounds_keep_house(void);

/* A crash that kept a lane from ending is filed. Context: loop. */
void rounds_look_again(void);

/* Read all rings once, now; lines of logs wait for nothing more. Context: loop. */
void rounds_drain_all(void);

/* Is any process alive, or are there records of one that are not delivered? Context: loop. */
bool rounds_busy(void);

#endif
