/* SPDX-License-Identifier: Apache-2.0 */
/* The names that compilers make of C++'s and Rust's, made readable again. */
#ifndef SPANSHIM_CRASH_DEMANGLE_H
#define SPANSHIM_CRASH_DEMANGLE_H

#include <stddef.h>

/* A symbol, without its parameters; a name of C stays as it is. Cut to fit. Context: helper. */
void demangle_symbol(const char *symbol, char *out, size_t size);

/* A type as std::type_info names it. Context: helper. */
void demangle_type(const char *type, char *out, size_t size);

#endif
