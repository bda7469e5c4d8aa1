/* SPDX-License-Identifier: Apache-2.0 */
/* The command line's heap: a short program that has no use for going on without memory ends with a message and
 * CLI_EXIT_LAUNCHER instead. */
#ifndef SPANSHIM_MEMORY_H
#define SPANSHIM_MEMORY_H

#include <stddef.h>

/* realloc() that never fails. Context: any. */
void *memory_resize(void *old, size_t size) __attribute__((warn_unused_result));

/* strdup() that never fails. Context: any. */
char *memory_copy_text(const char *text) __attribute__((warn_unused_result));

/* asprintf() that never fails. Context: any. */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2), warn_unused_result));

#endif
