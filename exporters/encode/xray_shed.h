/* SPDX-License-Identifier: Apache-2.0 */
/* A document written down, small enough to be taken: what is least useful is shed first, a whole member at a time.
 * Called by xray_document.c. */
#ifndef SPANSHIM_XRAY_SHED_H
#define SPANSHIM_XRAY_SHED_H

#include <jansson.h>
#include <stddef.h>

struct buffer;

/* The document as one line behind the payload's content, at most `max` bytes without its LF. It is changed as far as it
 * must be, in this order:
 *   -             embedded subsegments are put into `alone` (an array), the newest first: nothing is lost
 *   metadata      left out
 *   stack_10      of an exception's stack, the ten innermost calls stay
 *   stack         left out
 *   message       an exception's message is cut to 250 characters
 *   annotations   left out
 *   request       of http.request, only method and URL stay
 *   others        all that X-Ray does not require, but for the flags and the response's status
 * metadata.default["spanshim.shed"] lists the steps with a name that took something. 0; -EMSGSIZE: it is too large even
 * so; -ENOMEM, -EFBIG. The payload's content is as before when it is not 0. Context: loop. */
int xray_shed_write(json_t *document, size_t max, struct buffer *payload, json_t *alone);

#endif
