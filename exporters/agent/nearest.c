/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/nearest.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

enum { WORD_MAX = 64, DISTANCE_MAX = 2 };

static unsigned min_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Insertions, removals and exchanges that make one word of the other. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1];
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);

    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return UINT_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned above = row[j];
            unsigned exchanged = diagonal + (a[i - 1] != b[j - 1]);

            row[j] = min_of(exchanged, min_of(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[b_len];
}

void nearest_offer(struct nearest *nearest, const char *name)
{
    unsigned distance = edit_distance(nearest->wanted, name);

    if (distance <= DISTANCE_MAX && (nearest->name == NULL || distance < nearest->distance)) {
        nearest->name = name;
        nearest->distance = distance;
    }
}
