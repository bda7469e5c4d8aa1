/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/demangle.h"

#include <libiberty/demangle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 4096 }; /* longer ones are hostile, or useless: a demangled name may be many times as long */

/* Takes the demangled name. */
static void copy(char *demangled, const char *mangled, char *out, size_t size)
{
    (void)snprintf(out, size, "%s", demangled ? demangled : mangled);
    free(demangled);
}

/* A Rust name of the older kind is a C++ name, too, that ends in a hash: so Rust is asked first. */
void demangle_symbol(const char *symbol, char *out, size_t size)
{
    static const char internal[] = "__GI_"; /* glibc's second name of what it exports */
    char *name = NULL;

    if (!strncmp(symbol, internal, sizeof(internal) - 1))
        symbol += sizeof(internal) - 1;
    if (strnlen(symbol, INPUT_MAX) < INPUT_MAX && symbol[0] == '_') {
        name = rust_demangle(symbol, 0);
        if (!name)
            name = cplus_demangle_v3(symbol, DMGL_ANSI);
    }
    copy(name, symbol, out, size);
}

void demangle_type(const char *type, char *out, size_t size)
{
    char *name = NULL;

    if (strnlen(type, INPUT_MAX) < INPUT_MAX)
        name = cplus_demangle_v3(type, DMGL_ANSI | DMGL_PARAMS | DMGL_TYPES);
    copy(name, type, out, size);
}
