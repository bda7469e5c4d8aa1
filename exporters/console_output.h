/* SPDX-License-Identifier: Apache-2.0 */
/* Where console text goes: a launcher's terminal, or a file. Never blocks: what a stopped terminal doesn't take waits
 * in a bounded buffer, and beyond that is dropped and said so. Called by console.c. */
#ifndef SPANSHIM_CONSOLE_OUTPUT_H
#define SPANSHIM_CONSOLE_OUTPUT_H

#include "exporters/console_tree.h"

#include <stdbool.h>
#include <stddef.h>

struct console_output;
struct loop;

/* Take over a descriptor (closed also on failure), or append to a file. 0 or -errno. Context: loop. */
int console_output_attach(struct loop *loop, int fd, struct console_output **ret_output);
int console_output_append(struct loop *loop, const char *path, struct console_output **ret_output);

/* Context: loop. */
bool console_output_is_terminal(const struct console_output *output);

/* Waits up to 200 ms for what is buffered, then closes. NULL is accepted. Context: loop. */
void console_output_free(struct console_output *output);

/* How to print there. Context: loop. */
struct console_style console_output_style(const struct console_output *output);

/* Whole lines about one trace. Context: loop. */
void console_output_write(struct console_output *output, const char *text, size_t length);

#endif
