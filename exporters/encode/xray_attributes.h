/* SPDX-License-Identifier: Apache-2.0 */
/* What of a span's attributes (otlp_attributes.h) X-Ray gets beside the fields of its own: annotations, which it
 * indexes, and metadata. Called by xray_segment.c. */
#ifndef SPANSHIM_XRAY_ATTRIBUTES_H
#define SPANSHIM_XRAY_ATTRIBUTES_H

#include <jansson.h>

struct otlp_attributes;
struct span;
struct xray_options;

/* annotations: the attributes that the options name, and on a segment the resource's; whatever the schema does not
 * allow in a key becomes "_". metadata.default: the attributes that have no field in the document, or are longer than
 * it allows. `storage` is overwritten. Context: pure. */
void xray_attributes_add(json_t *document, const struct span *span, const struct xray_options *options,
                         struct otlp_attributes *storage);

#endif
