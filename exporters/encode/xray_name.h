/* SPDX-License-Identifier: Apache-2.0 */
/* Names of segments and subsegments, as X-Ray's schema has them: letters, digits and blanks of any script, and
 * "_.:/%&#=+-@"; whatever else there is, is left out. At most 200 characters. Called by xray_segment.c. */
#ifndef SPANSHIM_XRAY_NAME_H
#define SPANSHIM_XRAY_NAME_H

#include <jansson.h>

struct span;

enum { XRAY_NAME_MAX = 200 };

/* A new string: the Host as sent where AWS_XRAY_URL fits it, else the service's name. Context: pure. */
json_t *xray_name_of_segment(const struct span *span);

/* A new string: the service's name, for a segment around a call. Context: pure. */
json_t *xray_name_of_service(const struct span *span);

/* A new string: the host that was called, in small letters and without its port; the path of a unix socket;
 * "UNKNOWN HOST". Context: pure. */
json_t *xray_name_of_call(const struct span *span);

#endif
