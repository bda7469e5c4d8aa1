/* SPDX-License-Identifier: Apache-2.0 */
/* What the settings come to together: the destinations, where OTLP goes, the key that goes with it. The last step of
 * settings_new(), called by nobody else. */
#ifndef SPANSHIM_SETTLE_H
#define SPANSHIM_SETTLE_H

#include <stddef.h>

struct settings;

/* Fill what settings.h says is worked out, and put right what doesn't fit together, each with a complaint. Every row
 * has been read from these entries. 0, or -ENOMEM: the settings are still to be freed. Context: loop. */
int settle(struct settings *settings, const char *const *entries, size_t entry_count);

#endif
