/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's desk for crashes. It notices a process that waits to be read, has the helper read it (crash_helper.c),
 * completes the report (crash_facts.c), and files it when the process is dead and its wait status known, or not to be
 * had: on this machine (crash_store.c) and with the destinations. Until then the lane stays as the process left it.
 *
 *   lanes.c -> crash_desk_look: READY -> READING -> helper: reads, DONE, names -> report -> death -> filed
 *
 * What a worker's death interrupts the next one finds in the lane; a report's uuid is made of what stands there, so no
 * crash has two. */
#ifndef SPANSHIM_CRASH_DESK_H
#define SPANSHIM_CRASH_DESK_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct source;

/* Crashes are read by the helper at the other end of this socket (-1: by none; only what processes write themselves is
 * reported). `helper_gone` is called once when it ends. Context: start. */
void crash_desk_init(struct loop *loop, int helper, void (*helper_gone)(void));
void crash_desk_deinit(void);

/* Is it worth while for a process to wait? Context: loop. */
bool crash_desk_can_read(void);

/* The crash bell rang: does the owner of this lane wait, or is it being read? Context: loop. */
bool crash_desk_look(struct source *source, uint32_t lane);

/* The owner is dead. Is there a crash that is not filed? Then the lane must stay as it is; rounds_look_again() is
 * called when it needs not. Context: loop. */
bool crash_desk_holds(struct source *source, uint32_t lane);

/* The lane is about to be released; a crash that is not filed is, as far as it is known, and a death without a crash is
 * looked into. What its open requests ended of: error.type, or NULL. Context: loop. */
const char *crash_desk_end(struct source *source, uint32_t lane);

/* The source goes: its crashes are filed as far as they are known. Context: loop. */
void crash_desk_forget(struct source *source);

/* The worker ends: the same for all. Context: loop. */
void crash_desk_finish(void);

/* Is a crash not filed yet? Context: loop. */
bool crash_desk_busy(void);

/* Nobody maps the source any more. Is a death in it still looked into? Then it must not go yet. Context: loop. */
bool crash_desk_keeps(const struct source *source);

#endif
