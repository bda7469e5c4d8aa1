/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that take long (SPANSHIM_XRAY_IN_PROGRESS) are told to X-Ray before they end: each becomes one record
 * without an end, in the journal of its source. There is a timer only while a source asks for that. */
#ifndef SPANSHIM_IN_PROGRESS_H
#define SPANSHIM_IN_PROGRESS_H

struct loop;
struct source;

/* Context: start. */
void in_progress_init(struct loop *loop);
void in_progress_deinit(void);

/* A source whose destinations are known: if its settings ask for it, and one of them takes open requests, they are
 * looked for from now on, until it is unmapped. Of one that an earlier worker had, what was overdue before is taken as
 * told. Context: loop. */
void in_progress_add(struct source *source);

#endif
