/* SPDX-License-Identifier: Apache-2.0 */
/* What the languages' files share: the error that is put together, and the ways that many languages print one. */
#ifndef SPANSHIM_TRACEBACK_ERROR_H
#define SPANSHIM_TRACEBACK_ERROR_H

#include "preload/slice.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Errors in the order in which they are printed. */
struct traceback {
    json_t *errors;
};

/* One call. What is empty, or 0, isn't known. */
struct traceback_frame {
    struct slice function, file, module, code; /* code: the source line */
    uint32_t line, column;
};

/* Takes the text apart; false: it has no error of this language, and what was added does not count. Context: pure. */
typedef bool traceback_reader(struct traceback *traceback, struct slice text);

#define TRACEBACK(name, mark) traceback_reader traceback_##name;
#include "exporters/traceback/traceback.def"
#undef TRACEBACK

/* One more error; its frames follow. Context: pure. */
void traceback_add_error(struct traceback *traceback, struct slice class, struct slice message);
/* One more call of the last error. In the middle of too many some are left out, and counted. Context: pure. */
void traceback_add_frame(struct traceback *traceback, const struct traceback_frame *frame);
/* How many calls the last error has. Context: pure. */
size_t traceback_frame_count(const struct traceback *traceback);
/* They were printed the other way round. Context: pure. */
void traceback_reverse_errors(struct traceback *traceback);
void traceback_reverse_frames(struct traceback *traceback);

/* "java.lang.IllegalStateException: no price", "TypeError [ERR_X]: ..", "#<KeyError: ..>", also behind a log's own
 * words: the class, and the message's start. False: the line names no error. Context: pure. */
bool traceback_find_title(struct slice line, struct slice *ret_class, struct slice *ret_message);

#endif
