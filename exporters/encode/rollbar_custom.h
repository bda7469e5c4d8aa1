/* SPDX-License-Identifier: Apache-2.0 */
/* What Rollbar's schema has no place for: the trace's ids, the signal, registers, all threads as text, modules. Users
 * search by these names: short, and never renamed. Called by rollbar_item.c. */
#ifndef SPANSHIM_ROLLBAR_CUSTOM_H
#define SPANSHIM_ROLLBAR_CUSTOM_H

#include <jansson.h>
#include <stdint.h>

/* An object, perhaps empty. suppressed: items of this kind that were not sent before it. Context: pure. */
json_t *rollbar_custom(const json_t *report, uint64_t suppressed);

#endif
