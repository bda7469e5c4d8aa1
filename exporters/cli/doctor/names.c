/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/doctor/names.h"

#include "exporters/cli/memory.h"

#include <stdlib.h>
#include <string.h>

static bool has(const struct names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->texts[i], text) == 0)
            return true;
    return false;
}

bool names_add(struct names *names, const char *text)
{
    if (has(names, text))
        return false;
    names->texts = memory_resize(names->texts, (names->count + 1) * sizeof(*names->texts));
    names->texts[names->count++] = memory_copy_text(text);
    return true;
}

void names_deinit(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->texts[i]);
    free(names->texts);
    *names = (struct names){0};
}
