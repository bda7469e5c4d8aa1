/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong with a request: error, throttle, fault, and the cause. Called by xray_segment.c. */
#ifndef SPANSHIM_XRAY_CAUSE_H
#define SPANSHIM_XRAY_CAUSE_H

#include <jansson.h>

struct span;

/* Set the flags that are true: fault for 5xx, error for 4xx, throttle too for 429. What failed without such a status is
 * a fault, or an error where a server's client went away; then cause has one exception, which says why. The process's
 * crash, where this request was the one it worked on, is a fault whose exception has the stack, the innermost call
 * first; `truncated` counts the calls that were left out. Context: pure. */
void xray_cause_add(json_t *document, const struct span *span);

#endif
