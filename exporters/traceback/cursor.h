/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a text apart from its start: what is taken is cut off from `rest`. A function that answers false has taken
 * nothing. All that is returned is borrowed from the text. */
#ifndef SPANSHIM_TRACEBACK_CURSOR_H
#define SPANSHIM_TRACEBACK_CURSOR_H

#include "preload/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The next line, without its end. False: there is none. Context: pure. */
bool cursor_line(struct slice *rest, struct slice *ret_line);
/* A word at the start. Context: pure. */
bool cursor_skip(struct slice *rest, const char *word);
/* Blanks and tabs at the start; how many. Context: pure. */
size_t cursor_skip_blanks(struct slice *rest);
/* What is in front of the first, or the last, `mark`; the mark is taken too. Context: pure. */
bool cursor_until(struct slice *rest, const char *mark, struct slice *ret_before);
bool cursor_until_last(struct slice *rest, const char *mark, struct slice *ret_before);
/* A number above 0 that fits. Context: pure. */
bool cursor_number(struct slice *rest, uint32_t *ret_number);

/* The word is in it. Context: pure. */
bool cursor_has(struct slice text, const char *word);
bool cursor_ends_with(struct slice text, const char *word);
/* From the start of `first` to the end of `last`, which are of one text. Context: pure. */
struct slice cursor_join(struct slice first, struct slice last);

/* Where a call is. */
struct cursor_place {
    struct slice file;
    uint32_t line, column; /* column 0: not told */
};

/* The whole text is "FILE:LINE" or "FILE:LINE:COLUMN". Context: pure. */
bool cursor_place(struct slice text, struct cursor_place *ret_place);

#endif
