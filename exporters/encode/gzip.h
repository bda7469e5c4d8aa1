/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies made smaller: fast rather than tight, the agent shares its machine with the program. */
#ifndef SPANSHIM_GZIP_H
#define SPANSHIM_GZIP_H

#include <stddef.h>

struct buffer;

/* The bytes as gzip, behind the buffer's content. 0, -ENOMEM, -EFBIG or -EIO. Context: loop. */
int gzip_append(struct buffer *out, const void *bytes, size_t length);

#endif
