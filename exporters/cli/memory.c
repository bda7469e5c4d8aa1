/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/memory.h"

#include "exporters/cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory)
{
    if (!memory) {
        cli_error("out of memory");
        exit(CLI_EXIT_LAUNCHER);
    }
    return memory;
}

void *memory_resize(void *old, size_t size)
{
    return checked(realloc(old, size));
}

char *memory_copy_text(const char *text)
{
    return checked(strdup(text));
}

char *memory_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    return checked(len < 0 ? NULL : text);
}
