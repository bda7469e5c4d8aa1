/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/otlp_limits.h"

#include "exporters/encode/utf8.h"

#include <stdlib.h>
#include <string.h>

const char *otlp_limits_cut(const struct otlp_limits *limits, const char *text, char **ret_cut)
{
    size_t length = strlen(text);

    *ret_cut = NULL;
    if (length <= limits->attribute_length)
        return text;
    *ret_cut = malloc(length * UTF8_REPAIRED_MAX + 1);
    if (*ret_cut == NULL)
        return "";
    (void)utf8_repair(text, length, limits->attribute_length, *ret_cut);
    return *ret_cut;
}
