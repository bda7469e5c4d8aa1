/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as the shim's hooks would report them, and the records that they become: for tests of span*.c. */
#ifndef SPANSHIM_TESTS_SHIM_SPAN_H
#define SPANSHIM_TESTS_SHIM_SPAN_H

#include "preload/span.h"

/* Of the test that runs. */
extern struct wire_ring *shim_span_ring;
extern struct span_head shim_span_head;

/* Those of shim_span_begin(). */
extern const struct span_ends shim_span_ends;

/* A new ring, settings as without any. For cmocka_unit_test_setup. */
int shim_span_setup(void **state);

struct slice shim_span_slice(const char *text);

/* A server's request up to its first line, a field of its head, and the record that it becomes. */
struct wire_slot *shim_span_begin(const char *method, const char *target);
void shim_span_field(struct wire_slot *slot, const char *name, const char *value);
struct wire_request *shim_span_end(struct wire_slot *slot);

void shim_span_assert_text(const struct wire_request *request, enum wire_text id, const char *expected);
void shim_span_assert_no_text(const struct wire_request *request, enum wire_text id);

#endif
