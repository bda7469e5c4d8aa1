/* SPDX-License-Identifier: Apache-2.0 */
/* One segment or subsegment as a JSON object. Called by xray_document.c. */
#ifndef SPANSHIM_XRAY_SEGMENT_H
#define SPANSHIM_XRAY_SEGMENT_H

#include <jansson.h>
#include <stdint.h>

struct otlp_attributes;
struct span;
struct xray_options;

/* New objects, or NULL when out of memory. `storage` is overwritten. Context: pure. */

/* A server's request. */
json_t *xray_segment(const struct span *span, const struct xray_options *options, struct otlp_attributes *storage);

/* The segment around a call that has no parent: the service's name, the call's times, and the call in it. */
json_t *xray_segment_around(const struct span *call, const struct xray_options *options,
                            struct otlp_attributes *storage);

/* A call. It has all that it needs to be a document of its own: X-Ray's SDK writes it so when it is embedded, too. */
json_t *xray_subsegment(const struct span *call, const uint8_t parent_id[8], const struct xray_options *options,
                        struct otlp_attributes *storage);

#endif
