/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/xray_tree.h"

#include "exporters/agent/span.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int compare_parents(const struct span *call, const uint8_t trace_id[16], const uint8_t parent_id[8])
{
    int r = memcmp(call->request->trace_id, trace_id, sizeof(call->request->trace_id));

    return r != 0 ? r : memcmp(call->request->parent_span_id, parent_id, sizeof(call->request->parent_span_id));
}

static int compare_calls(const void *left, const void *right)
{
    const struct span *a = *(const struct span *const *)left, *b = *(const struct span *const *)right;
    int r = compare_parents(a, b->request->trace_id, b->request->parent_span_id);

    if (r != 0)
        return r;
    if (a->is_open != b->is_open)
        return a->is_open ? 1 : -1;
    return (a->start_unix_ns > b->start_unix_ns) - (a->start_unix_ns < b->start_unix_ns);
}

int xray_tree_init(struct xray_tree *tree, const struct span *const *spans, size_t count)
{
    *tree = (struct xray_tree){.calls = malloc((count + 1) * sizeof(*tree->calls)),
                               .is_taken = calloc(count + 1, sizeof(*tree->is_taken))};
    if (tree->calls == NULL || tree->is_taken == NULL) {
        xray_tree_deinit(tree);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++)
        if (spans[i]->request->kind == WIRE_KIND_CLIENT)
            tree->calls[tree->count++] = spans[i];
    qsort(tree->calls, tree->count, sizeof(*tree->calls), compare_calls);
    return 0;
}

void xray_tree_deinit(struct xray_tree *tree)
{
    free(tree->calls);
    free(tree->is_taken);
    *tree = (struct xray_tree){0};
}

/* The first call of a parent, or where it would stand. */
static size_t find_first(const struct xray_tree *tree, const struct wire_request *parent)
{
    size_t first = 0, end = tree->count;

    while (first < end) {
        size_t middle = first + (end - first) / 2;

        if (compare_parents(tree->calls[middle], parent->trace_id, parent->span_id) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

size_t xray_tree_take(struct xray_tree *tree, const struct span *request, size_t *ret_first)
{
    size_t first = find_first(tree, request->request), end = first;

    while (end < tree->count && !tree->is_taken[end] && !tree->calls[end]->is_open &&
           compare_parents(tree->calls[end], request->request->trace_id, request->request->span_id) == 0)
        tree->is_taken[end++] = true;
    *ret_first = first;
    return end - first;
}
