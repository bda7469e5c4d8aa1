/* SPDX-License-Identifier: Apache-2.0 */
/* The http object of a document. Called by xray_segment.c. */
#ifndef SPANSHIM_XRAY_HTTP_H
#define SPANSHIM_XRAY_HTTP_H

#include <jansson.h>

struct span;

/* {request, response}, as far as they are known; texts within the schema's limits. `traced` is never there: it makes
 * X-Ray wait for the other side's segment, and a record does not tell whether X-Ray's header went out. Context:
 * pure. */
json_t *xray_http(const struct span *span);

#endif
