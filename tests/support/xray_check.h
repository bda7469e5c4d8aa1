/* SPDX-License-Identifier: Apache-2.0 */
/* X-Ray's schema of segment documents, as far as it can be said of one document: members, types, ids, lengths. For unit
 * tests and the fuzzer; what a running agent sends is checked by xray_schema.py. */
#ifndef SPANSHIM_XRAY_CHECK_H
#define SPANSHIM_XRAY_CHECK_H

#include <jansson.h>

/* NULL: it is valid; else the member that is not. Context: pure. */
const char *xray_check_document(const json_t *document);

#endif
