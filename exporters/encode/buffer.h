/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that grow: what encoders append to. Kept from batch to batch, so that a running agent allocates nothing for
 * it. All zero is an empty buffer. */
#ifndef SPANSHIM_BUFFER_H
#define SPANSHIM_BUFFER_H

#include <stddef.h>
#include <stdint.h>

enum { BUFFER_MAX = 128 << 20 }; /* twice what a request may hold */

struct buffer {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
};

/* Room for `more` bytes behind the content. 0, -ENOMEM, or -EFBIG beyond BUFFER_MAX. Context: loop. */
int buffer_reserve(struct buffer *buffer, size_t more);

/* A copy behind the content. 0 or as buffer_reserve. Context: loop. */
int buffer_append(struct buffer *buffer, const void *bytes, size_t length);

/* Empty, its memory given back. Context: loop. */
void buffer_deinit(struct buffer *buffer);

#endif
