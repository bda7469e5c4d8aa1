/* SPDX-License-Identifier: Apache-2.0 */
/* What the formats of propagators.def share: their functions, reading of ids, writing of lines.
 *
 * An extract function looks at one field, blanks trimmed; it says whether the field is a trace header of its own,
 * whatever its value was worth. `found` is the format's: its context is adopted, or not, when the head is complete. */
#ifndef SPANSHIM_PROPAGATION_INTERNAL_H
#define SPANSHIM_PROPAGATION_INTERNAL_H

#include "preload/propagation.h"
#include "preload/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lines on their way into the caller's bytes. */
struct propagation_lines {
    char *at, *end;
    bool is_cut; /* something did not fit: nothing of it is used */
};

#define PROPAGATOR(NAME, name, extract, write)                                                                         \
    bool extract(struct propagation *propagation, struct propagation_found *found, struct slice field,                 \
                 struct slice value);                                                                                  \
    void write(struct propagation_lines *lines, const struct trace_context *context,                                   \
               const struct propagation_carried *carried);
#include "preload/propagators.def"
#undef PROPAGATOR

/* The response's line of X-Ray. Context: pure; signal-safe. */
void propagation_write_xray_response(struct propagation_lines *lines, const struct trace_context *context,
                                     bool says_sampled);

/* Read `count` bytes in twice as many hex digits, lower case. Context: pure; signal-safe. */
bool propagation_read_hex(const char *text, uint8_t *ret_bytes, size_t count);

/* Read an id of `count` bytes: all of `text`, and not zero. Context: pure; signal-safe. */
bool propagation_read_id(struct slice text, uint8_t *ret_id, size_t count);

/* May these bytes stand in a header's value: visible ASCII, blanks? Context: pure; signal-safe. */
bool propagation_is_text(struct slice text);

/* Context of all: pure; signal-safe. */
char *propagation_hex(char *out, const uint8_t *bytes, size_t count);
void propagation_put(struct propagation_lines *lines, struct slice text);
void propagation_put_text(struct propagation_lines *lines, const char *text);
void propagation_put_hex(struct propagation_lines *lines, const uint8_t *bytes, size_t count);

#endif
