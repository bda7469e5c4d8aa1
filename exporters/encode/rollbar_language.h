/* SPDX-License-Identifier: Apache-2.0 */
/* What a program is written in, as Rollbar colours its source. Called by rollbar_item.c. */
#ifndef SPANSHIM_ROLLBAR_LANGUAGE_H
#define SPANSHIM_ROLLBAR_LANGUAGE_H

#include <jansson.h>

/* By the interpreter, where one runs the program; else by the names and files of the crashed thread's frames, c where
 * they tell nothing. NULL for a message: nobody knows. Context: pure. */
const char *rollbar_language(const json_t *report);

#endif
