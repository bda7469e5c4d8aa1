/* SPDX-License-Identifier: Apache-2.0 */
/* Where OTLP goes and how, for each signal: its own variables win over those of all signals. Called by settle.c
 * only. */
#ifndef SPANSHIM_SETTLE_OTLP_H
#define SPANSHIM_SETTLE_OTLP_H

#include <stddef.h>

struct settings;

/* After the destinations are known. 0, or -ENOMEM. Context: loop. */
int settle_otlp(struct settings *settings, const char *const *entries, size_t entry_count);

#endif
