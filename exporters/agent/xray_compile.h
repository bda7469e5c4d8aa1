/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling rules made ready for one program's shim: what can't fit is left out, what always fits needs no look. Called
 * by xray_sampling.c, which adds what changes with time: reservoir, quota, rate. */
#ifndef SPANSHIM_XRAY_COMPILE_H
#define SPANSHIM_XRAY_COMPILE_H

#include "preload/wire.h"

#include <stddef.h>
#include <stdint.h>

struct xray_rules;

/* What rules are matched against before any request comes. */
struct xray_service_facts {
    const char *name;   /* of segments whose Host gives them none */
    const char *url;    /* pattern of Hosts that do; NULL: none */
    const char *origin; /* like AWS::EC2::Instance; NULL: not known */
};

/* Fill names, patterns and flags of *ret_rules. ret_places: which of `rules` each of them is. What stands behind a rule
 * that fits everything is left out. How many rules had to be left out for want of room. Context: pure. */
size_t xray_compile(const struct xray_rules *rules, const struct xray_service_facts *facts,
                    struct wire_xray_rules *ret_rules, size_t ret_places[WIRE_XRAY_RULES_MAX]);

#endif
