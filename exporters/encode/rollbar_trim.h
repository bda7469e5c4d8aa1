/* SPDX-License-Identifier: Apache-2.0 */
/* A Rollbar item made small enough to be taken, step by step, the least useful first. Called by rollbar.c. */
#ifndef SPANSHIM_ROLLBAR_TRIM_H
#define SPANSHIM_ROLLBAR_TRIM_H

#include <jansson.h>
#include <stddef.h>

enum {
    ROLLBAR_ITEM_MAX = 512 << 10,    /* bytes of JSON, as Rollbar's own libraries keep to */
    ROLLBAR_ITEM_HARDER = 128 << 10, /* after a "413 too large": the limit of older servers */
};

/* The item's JSON, at most `limit` bytes, to be freed; *ret_length without its NUL. The item is changed as far as it
 * must be; data.notifier.diagnostic.truncation lists the steps that were taken, in this order:
 *   frames        60 frames stay: 10 of the oldest, 50 of the innermost
 *   strings_1024, strings_512, strings_256    longer texts are cut
 *   body          two frames, a message of 255 bytes, no telemetry
 *   request, custom    left out
 *   others        all that Rollbar does not require
 * NULL: it does not fit even so, or memory is out. Context: pure. */
char *rollbar_trim(json_t *item, size_t limit, size_t *ret_length);

#endif
