/* SPDX-License-Identifier: Apache-2.0 */
/* A library that loads others for its program; it alone has the path to them. */
#ifndef DLOPEN_CALLER_H
#define DLOPEN_CALLER_H

#include <stddef.h>

void *caller_open(const char *name, int flags);

/* The path of an object that was found by caller_open() before; empty if it wasn't. */
void caller_path(const char *name, char *path, size_t size);

#endif
