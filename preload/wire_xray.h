/* SPDX-License-Identifier: Apache-2.0 */
/* Part of wire.h: X-Ray's sampling rules, which the agent makes ready for a program's shim in the control page, and the
 * tallies in the mapping by which the shim counts what they take. */
#ifndef SPANSHIM_WIRE_XRAY_H
#define SPANSHIM_WIRE_XRAY_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

enum {
    WIRE_XRAY_RULES_MAX = 64,
    WIRE_XRAY_TEXT_MAX = 12 * 1024,
    WIRE_XRAY_TALLIES_MAX = 64,
    WIRE_XRAY_TALLY_DEFAULT = WIRE_XRAY_TALLIES_MAX - 1, /* of the default rule, the shim's own and the agent's */
    WIRE_XRAY_NAME_MAX = 32,                             /* of a rule */
};

/* A pattern in a rule, or a rule's name: text in wire_xray_rules.text. Length 0: fits everything. */
struct wire_xray_text {
    uint16_t offset, length;
};

enum wire_xray_rule_flag {
    WIRE_XRAY_RULE_NAMES_SERVICE = 1 << 0, /* its ServiceName fits the service's fixed name */
    WIRE_XRAY_RULE_CENTRAL = 1 << 1,       /* X-Ray's own: the segment names it; else of a file, or the default */
};

/* One rule, made ready by the agent: rules that can't fit this service at all are left out, and so are patterns that
 * are "*". Patterns are as preload/glob.h has them, any case of letters; a property that a request lacks fits, as with
 * X-Ray's SDKs. */
struct wire_xray_rule {
    uint8_t flags;           /* enum wire_xray_rule_flag */
    uint8_t tally;           /* whose reservoir and counts: an index into wire_ring.xray_tallies */
    uint16_t methods;        /* a bit for each enum wire_method that fits; OTHER's bit: to be looked at by `method` */
    uint32_t reservoir;      /* requests of a second that are taken before the rate counts; 0: none */
    uint64_t quota_until_ns; /* CLOCK_MONOTONIC; until then `reservoir` is a quota that X-Ray has granted; later, or 0,
                                one request of a second is borrowed where reservoir is above 0. UINT64_MAX: a local
                                rule's, which is its own for ever */
    uint64_t threshold;      /* of the rate, as struct sampler has it: 0 keeps all, 2^56 none */
    struct wire_xray_text name, service, host, method, path;
};
static_assert(sizeof(struct wire_xray_rule) == 48, "wire_xray_rule");

struct wire_xray_rules {
    uint32_t count; /* 0: none fits anything, and the shim's default counts */
    uint32_t text_length;
    uint64_t pad;
    struct wire_xray_rule rules[WIRE_XRAY_RULES_MAX]; /* the first that fits decides */
    char text[WIRE_XRAY_TEXT_MAX];
};

/* A rule's reservoir and counts, in wire_ring: written by all processes of the image, relaxed. */
struct wire_xray_tally {
    _Atomic uint64_t taken;    /* second of CLOCK_MONOTONIC << 32 | requests taken, or borrowed, in it */
    _Atomic uint32_t requests; /* that it fitted; these three only grow, and wrap around */
    _Atomic uint32_t sampled;  /* of these, borrowed ones too */
    _Atomic uint32_t borrowed;
    uint32_t pad;
};
static_assert(sizeof(struct wire_xray_tally) == 24, "wire_xray_tally");

#endif
