/* SPDX-License-Identifier: Apache-2.0 */
/* A list of texts without duplicates, in the order in which they came. */
#ifndef SPANSHIM_DOCTOR_NAMES_H
#define SPANSHIM_DOCTOR_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is valid and empty. */
struct names {
    char **texts;
    size_t count;
};

/* Append a copy unless it is there: whether it was appended. Context: any. */
bool names_add(struct names *names, const char *text);

/* Context: any. */
void names_deinit(struct names *names);

#endif
