/* SPDX-License-Identifier: Apache-2.0 */
/* Gives back the memory of a ring that load has filled: it is charged to the target. Called by rounds.c when a source
 * has been quiet for a while. */
#ifndef SPANSHIM_RECLAIM_H
#define SPANSHIM_RECLAIM_H

#include <stddef.h>

struct source;

/* Pages of cells that were read and come late in the next lap, and pages of slots that are free. What is used next
 * stays. How many bytes. Context: loop. */
size_t reclaim_source(struct source *source);

#endif
