/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/gzip.h"

#include "exporters/encode/buffer.h"

#include <errno.h>
#include <stdint.h>
#include <zlib.h>

int gzip_append(struct buffer *out, const void *bytes, size_t length)
{
    enum { GZIP_FORMAT = 15 + 16, MEMORY = 8 };
    z_stream stream = {0};

    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_FORMAT, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    int r = buffer_reserve(out, deflateBound(&stream, length));
    if (r == 0) {
        stream.next_in = (Bytef *)(uintptr_t)bytes;
        stream.avail_in = (uInt)length;
        stream.next_out = out->bytes + out->length;
        stream.avail_out = (uInt)(out->capacity - out->length);
        r = deflate(&stream, Z_FINISH) == Z_STREAM_END ? 0 : -EIO;
    }
    if (r == 0)
        out->length += stream.total_out;
    (void)deflateEnd(&stream);
    return r;
}
