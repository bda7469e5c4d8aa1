/* SPDX-License-Identifier: Apache-2.0 */
/* What stdio writes: printf(), puts(), std::cerr, what is flushed at exit. libc writes it by its inside, past any hook
 * on write(). But every stream has a table of functions, the same for all that stand for a file, and libc calls the
 * function in it: that one entry is ours while logs are taken; a stream of wide characters (wprintf()) uses a second
 * table. Both are read-only after libc's relocation: their page is made writable for the moment. (glibc checks where a
 * stream's table lies, not what is in it.) */
#ifndef SPANSHIM_STDIO_H
#define SPANSHIM_STDIO_H

#include <stdbool.h>

/* False where libc is no glibc, or its table is not as known: then only write() and the like are seen. Context: start.
 */
bool stdio_init(void);

#endif
