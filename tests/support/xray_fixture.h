/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of one process, encoded as X-Ray's documents and read back. */
#ifndef SPANSHIM_XRAY_FIXTURE_H
#define SPANSHIM_XRAY_FIXTURE_H

#include "exporters/agent/process.h"
#include "exporters/encode/xray_document.h"
#include "tests/support/sample_request.h"

#include <stddef.h>
#include <stdint.h>

enum { XRAY_SPANS_MAX = 600 };

/* What a test may change before it encodes. */
extern struct process xray_process; /* of the service "backend-flask" */
extern struct xray_options xray_options;

int xray_set_up(void **state);
int xray_tear_down(void **state);

/* Variables in place of none: NAME=value. Made anew are the process's resource, and nothing else. Context: test. */
void xray_set_resource(const char *const *variables, size_t count);

/* One more request: a server's GET that ended well; the same made by a client, of that parent (NULL: none). Valid until
 * the end of the test. Context: test. */
struct wire_request *xray_add_request(void);
struct wire_request *xray_add_call(const struct wire_request *parent);

/* Encode all of them: an array of the documents, valid until the next one. Each is checked against the schema and
 * options.document_max. Context: test. */
const json_t *xray_encode(void);

/* The same of the only one. Context: test. */
const json_t *xray_encode_one(void);

/* The same with another malloc for JSON, which may fail: what is made is valid all the same. NULL: it did fail.
 * Context: test. */
const json_t *xray_encode_scarcely(void *(*scarce_malloc)(size_t size));

/* Have the documents of the last one, with those embedded in them, so many different ids? Context: test. */
void xray_assert_all_arrived(size_t count);

/* How many documents the last one dropped. Context: test. */
size_t xray_dropped(void);

/* Is this member what the JSON text (with ' for ") says? NULL: it isn't there. Context: test. */
void xray_assert_member(const json_t *document, const char *key, const char *expected);

#endif
