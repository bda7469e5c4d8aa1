/* SPDX-License-Identifier: Apache-2.0 */
/* What the settings come to about requests that are signed for AWS: which are, and by which files. Called by
 * settle.c. */
#ifndef SPANSHIM_SETTLE_AWS_H
#define SPANSHIM_SETTLE_AWS_H

#include <stddef.h>

struct settings;

/* After the destinations and where OTLP goes are settled. 0 or -ENOMEM. Context: loop. */
int settle_aws(struct settings *settings, const char *const *entries, size_t entry_count);

#endif
