/* SPDX-License-Identifier: Apache-2.0 */
/* X-Ray's decision whether a request is recorded, by the rules that the agent has published in the control page; while
 * there are none, by X-Ray's default: the first request of each second, then 5 %. What is taken and counted stands in
 * the ring, so that all processes of an image share it. span_xray.c asks. */
#ifndef SPANSHIM_XRAY_SAMPLING_H
#define SPANSHIM_XRAY_SAMPLING_H

#include "preload/slice.h"
#include "preload/wire.h"

#include <stdbool.h>
#include <stdint.h>

/* What rules look at. A text that is empty fits every pattern: the request has no such property. */
struct xray_request {
    uint64_t now_ns;         /* CLOCK_MONOTONIC; may be late */
    const uint8_t *trace_id; /* 16 bytes */
    bool is_named_by_host;   /* the segment's name is the Host, not the service's */
    uint16_t methods;        /* a bit for its enum wire_method; all: unknown */
    struct slice method;     /* of WIRE_METHOD_OTHER */
    struct slice host;       /* the Host field as sent */
    struct slice path;       /* without query */
};

struct xray_decision {
    bool is_sampled;
    uint8_t name_length; /* of the central rule that sampled it; 0: there is none */
    char name[WIRE_XRAY_NAME_MAX];
};

/* Decide by the first rule that fits, and count. control: NULL when there is no agent yet. tallies: the ring's.
 * Context: hook; signal-safe; any thread, any process of the image. */
void xray_sampling_decide(const struct wire_control *control, struct wire_xray_tally *tallies,
                          const struct xray_request *request, struct xray_decision *ret_decision);

#endif
