/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SPARE = 65536 };

int buffer_reserve(struct buffer *buffer, size_t more)
{
    if (more > BUFFER_MAX - buffer->length)
        return -EFBIG;
    size_t wanted = buffer->length + more;
    if (wanted <= buffer->capacity)
        return 0;
    size_t capacity = buffer->capacity * 2 > wanted ? buffer->capacity * 2 : wanted + SPARE;
    if (capacity > BUFFER_MAX)
        capacity = BUFFER_MAX;
    uint8_t *bytes = realloc(buffer->bytes, capacity);
    if (bytes == NULL)
        return -ENOMEM;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return 0;
}

int buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    int r = buffer_reserve(buffer, length);

    if (r == 0 && length > 0) {
        memcpy(buffer->bytes + buffer->length, bytes, length);
        buffer->length += length;
    }
    return r;
}

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}
