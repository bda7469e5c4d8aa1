/* SPDX-License-Identifier: Apache-2.0 */
/* Deaths that no handler saw: by SIGKILL, by the kernel when memory ran out, by a signal that was blocked. They become
 * reports only when the wait status is known and is none of an ordinary stop. Called by crash_desk.c. */
#ifndef SPANSHIM_CRASH_DEATH_H
#define SPANSHIM_CRASH_DEATH_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct source;

/* Context: start. */
void crash_death_init(struct loop *loop);

/* The owner of the lane is dead, and did not crash as far as it is known; its slots are as it left them. The kernel
 * knows more when the parent has taken note: asked again for some seconds. Context: loop. */
void crash_death_look_into(struct source *source, uint32_t lane);

/* The owner of the lane crashed: its death is told by that report, in whatever rings it has lanes. Context: loop. */
void crash_death_is_told(const struct source *source, uint32_t lane);

/* Is one of this source's looked into? Then it must not go yet. Context: loop. */
bool crash_death_keeps(const struct source *source);

/* Ask no more: of this source's, of any (NULL). Context: loop. */
void crash_death_finish(const struct source *source);

#endif
