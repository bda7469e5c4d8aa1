/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of a batch, by who made them. Called by xray_document.c. */
#ifndef SPANSHIM_XRAY_TREE_H
#define SPANSHIM_XRAY_TREE_H

#include <stdbool.h>
#include <stddef.h>

struct span;

/* All zero is a tree without calls. */
struct xray_tree {
    const struct span **calls; /* the calls of one parent stand together, in the order of their start, open ones last */
    bool *is_taken;            /* one for each */
    size_t count;
};

/* Borrows the spans. 0 or -ENOMEM. Context: loop. */
int xray_tree_init(struct xray_tree *tree, const struct span *const *spans, size_t count);
void xray_tree_deinit(struct xray_tree *tree);

/* The calls that this request made and that have ended, none of them taken yet: how many, from tree->calls[*ret_first]
 * on. They are taken now. Context: loop. */
size_t xray_tree_take(struct xray_tree *tree, const struct span *request, size_t *ret_first);

#endif
