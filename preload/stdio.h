/* SPDX-License-Identifier: Apache-2.0 */
/* What stdio writes: printf(), puts(), std::cerr, what is flushed at exit. libc writes it by its inside, past any hook
 * on write(). But every stream has a table of functions, the same for all that stand for a file, and libc calls the
 * functions in it: those that write and close are ours while logs are taken, and in CGI programs. A stream of wide
 * characters (wprintf()) uses a second table. Both are read-only after libc's relocation: their page is made writable
 * for the moment. (glibc checks where a stream's table lies, not what is in it.) */
#ifndef SPANSHIM_STDIO_H
#define SPANSHIM_STDIO_H

#include <stdbool.h>
#include <stdio.h>

struct iovec;

/* False where libc is no glibc, or its table is not as known: then only write() and the like are seen. Context:
 * start. */
bool stdio_init(void);

/* Is what fclose() closes here forgotten by the function in the table, once the buffer is written out? Else the caller
 * forgets it before. Context: hook. */
bool stdio_sees_close(const FILE *stream);

/* Around perror(), which writes to a descriptor of its own. Context: hook. */
void stdio_perror(bool is_inside);

/* What standard output still holds, to be written when the process ends, if it goes to what a CGI program answers on.
 * False: nothing. Context: hook, destructor. */
bool stdio_pending(struct iovec *ret_bytes);

#endif
