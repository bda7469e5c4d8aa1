/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a Rollbar item: the crashed thread's trace or a message, and the requests before it. Called by
 * rollbar_item.c. */
#ifndef SPANSHIM_ROLLBAR_BODY_H
#define SPANSHIM_ROLLBAR_BODY_H

#include <jansson.h>

/* {trace or message, telemetry}. Frames are the oldest first, and have no address in them: Rollbar groups by them.
 * Context: pure. */
json_t *rollbar_body(const json_t *report);

#endif
