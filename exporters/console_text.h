/* SPDX-License-Identifier: Apache-2.0 */
/* Text from outside as it may be shown on a terminal: a path from the network, or a line of a log, must not steer
 * it. */
#ifndef SPANSHIM_CONSOLE_TEXT_H
#define SPANSHIM_CONSOLE_TEXT_H

#include <stddef.h>

enum { CONSOLE_TEXT_SIZE = 512 };

/* Copy what is safe to print, at most `columns` wide, "…" for what is cut; other characters become \xHH or \uHHHH.
 * Ended by a NUL. Context: pure. */
void console_text(const char *text, size_t length, unsigned columns, char out[CONSOLE_TEXT_SIZE]);

#endif
