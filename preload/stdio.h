/* SPDX-License-Identifier: Apache-2.0 */
/* What stdio writes: printf(), puts(), std::cerr, what is flushed at exit. libc writes it by its inside, past any hook
 * on write(). But every stream has a table of functions, the same for all that stand for a file, and libc calls the
 * functions in it: those that write and close are ours while logs are taken. A stream of wide characters (wprintf())
 * uses a second table. Both are read-only after libc's relocation: their page is made writable for the moment. (glibc
 * checks where a stream's table lies, not what is in it.) */
#ifndef SPANSHIM_STDIO_H
#define SPANSHIM_STDIO_H

#include <stdbool.h>
#include <stdio.h>

/* False where libc is no glibc, or its table is not as known: then only write() and the like are seen. Context: start.
 */
bool stdio_init(void);

/* Around fclose(): a log's stream is written out by it, so its descriptor stays a log until it is closed. False: it is
 * none, and forgotten before. Context: hook. */
bool stdio_begin_close(FILE *stream);
void stdio_end_close(void);

#endif
