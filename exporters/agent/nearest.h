/* SPDX-License-Identifier: Apache-2.0 */
/* Which known name somebody meant who wrote another one. */
#ifndef SPANSHIM_NEAREST_H
#define SPANSHIM_NEAREST_H

/* All zero but for the name asked for is valid. */
struct nearest {
    const char *wanted;
    const char *name; /* the nearest so far, borrowed; NULL: none is near */
    unsigned distance;
};

/* Offer a known name; near is what few insertions, removals and exchanges of characters make of `wanted`.
 * Context: pure. */
void nearest_offer(struct nearest *nearest, const char *name);

#endif
