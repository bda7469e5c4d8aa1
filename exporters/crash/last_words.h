/* SPDX-License-Identifier: Apache-2.0 */
/* What libc said as it aborted: by assert, malloc, fortified functions, the stack protector. */
#ifndef SPANSHIM_CRASH_LAST_WORDS_H
#define SPANSHIM_CRASH_LAST_WORDS_H

#include <stddef.h>

struct memory;
struct modules;

/* "" for none. Context: helper. */
void last_words_read(const struct modules *modules, struct memory *memory, char *out, size_t size);

#endif
