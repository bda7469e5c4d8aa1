/* SPDX-License-Identifier: Apache-2.0 */
/* A crash in one line, and the exception that stands for it at receivers that know only exceptions. */
#ifndef SPANSHIM_CRASH_TITLE_H
#define SPANSHIM_CRASH_TITLE_H

#include <jansson.h>

struct capture;

/* Puts `exception` and `title` into the report, of what is in it already (signal, abort_message, threads). Context:
 * helper. */
void title_set(json_t *report, const struct capture *capture);

#endif
