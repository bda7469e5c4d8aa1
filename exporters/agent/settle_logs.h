/* SPDX-License-Identifier: Apache-2.0 */
/* Where logs go, worked out of a program's settings. Called by settle.c. */
#ifndef SPANSHIM_SETTLE_LOGS_H
#define SPANSHIM_SETTLE_LOGS_H

#include <stddef.h>

struct settings; /* agent/settings.h */

/* Fill in the destinations of logs, which may add complaints. 0 or -ENOMEM. Context: loop. */
int settle_logs(struct settings *settings, const char *const *entries, size_t entry_count);

#endif
