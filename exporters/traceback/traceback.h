/* SPDX-License-Identifier: Apache-2.0 */
/* Errors that interpreters and runtimes print with the calls that led to them, found in the text of a log's event. A
 * language is a file and a row of traceback.def. */
#ifndef SPANSHIM_TRACEBACK_H
#define SPANSHIM_TRACEBACK_H

#include "preload/slice.h"

#include <jansson.h>

enum { TRACEBACK_FRAMES_MAX = 100, TRACEBACK_ERRORS_MAX = 10, TRACEBACK_MESSAGE_MAX = 8192 };

/* A new object: { language, framework (where one is known), errors [ { class, message, frames, frames_left_out } ] }:
 * the error that was thrown last first, its causes behind it; frames as crash/report.h has them, the innermost call
 * first. NULL: there is no error in it. Context: pure. */
json_t *traceback_read(struct slice text);

#endif
