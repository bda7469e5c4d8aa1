/* SPDX-License-Identifier: Apache-2.0 */
/* Trace and span ids: unpredictable enough to be unique, made without a lock or a system call after start.
 * The first 32 bits of a trace id are the epoch's seconds, so that it is an X-Ray trace id as well. */
#ifndef SPANSHIM_IDS_H
#define SPANSHIM_IDS_H

#include <stdint.h>

/* Seed from the kernel. Context: start. */
void ids_init(void);

/* Part from the parent's sequence. Context: child; signal-safe. */
void ids_after_fork(uint32_t pid);

/* A number that nobody else gets: one span and one trace are made of it. Context: hook; signal-safe. */
uint64_t ids_next(void);

/* Never all zero. Context: hook; signal-safe. */
void ids_make_span(uint64_t step, uint8_t ret_id[8]);
void ids_make_trace(uint64_t step, uint8_t ret_id[16], uint64_t wall_seconds);

#endif
