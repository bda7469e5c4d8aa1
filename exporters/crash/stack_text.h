/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's frames as text, one line a call: for people, and for the exception of a span. Used by the agent and by
 * `spanshim crashes`. */
#ifndef SPANSHIM_STACK_TEXT_H
#define SPANSHIM_STACK_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* The frames of an entry of "threads" (report.h), the innermost first, each line behind `indent`; a new text, cut at a
 * line's end below size_max bytes. NULL: no memory. Context: any. */
char *stack_text_new(const json_t *thread, const char *indent, size_t size_max);

#endif
