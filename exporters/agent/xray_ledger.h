/* SPDX-License-Identifier: Apache-2.0 */
/* What one program's sampling rules have counted, and what X-Ray has granted them, by the rule's name: it outlives a
 * reload of the rules. Each rule has a tally in the ring's header page, which the program's processes write. Used by
 * xray_sampling.c and xray_poller.c. */
#ifndef SPANSHIM_XRAY_LEDGER_H
#define SPANSHIM_XRAY_LEDGER_H

#include "preload/wire.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xray_rule;

enum {
    XRAY_CLIENT_ID_SIZE = 25, /* 24 hex digits */
    XRAY_STATISTICS_MAX = 25, /* documents in a call */
    XRAY_ROUND_S = 10,        /* from one report to the next, unless X-Ray asks for longer */
};

struct xray_counts {
    uint32_t requests, sampled, borrowed; /* as tallies: they wrap around */
};

struct xray_account {
    char *name;                  /* of the rule; NULL: the account is free */
    bool is_open;                /* the rule is in force */
    struct xray_counts first;    /* when it was opened */
    struct xray_counts reported; /* when X-Ray was told */
    struct xray_counts under_way;
    bool is_under_way;
    bool is_due; /* to be reported in this round */
    uint32_t interval_rounds, rounds_left;
    bool has_rate; /* X-Ray has given another one than the rule's */
    double rate;
    uint32_t quota;
    uint64_t quota_until_ns; /* of the program's CLOCK_MONOTONIC; 0: there is none */
};

struct xray_ledger {
    char client_id[XRAY_CLIENT_ID_SIZE];
    struct xray_account accounts[WIRE_XRAY_TALLIES_MAX]; /* an account's place is that of its tally */
};

/* With a client id of its own. Context: loop. */
void xray_ledger_init(struct xray_ledger *ledger);
void xray_ledger_deinit(struct xray_ledger *ledger);

/* Other rules are in force from now on: those that are opened afterwards. The accounts of the others are kept until
 * their place is needed. Context: loop. */
void xray_ledger_close_all(struct xray_ledger *ledger);

/* The account of this rule; what its tally has counted before is another's. The default's place is that of the shim's
 * own default. -ENOMEM, or its place. Context: loop. */
int xray_ledger_open(struct xray_ledger *ledger, const char *name, const struct wire_xray_tally *tallies);

/* Fill what changes with time: reservoir, quota, rate. account: NULL for a local rule, whose reservoir is its own.
 * Context: pure. */
void xray_ledger_apply(const struct xray_account *account, const struct xray_rule *rule, uint64_t now_mono_ns,
                       struct wire_xray_rule *made);

/* The rule was loaded anew: its own rate counts again. Context: pure. */
void xray_ledger_reload(struct xray_ledger *ledger);

/* What an account has counted since it was opened. Context: pure. */
struct xray_counts xray_ledger_counts(const struct xray_ledger *ledger, size_t place,
                                      const struct wire_xray_tally *tallies);

/* The time of a report has come. Context: loop. */
void xray_ledger_begin_round(struct xray_ledger *ledger);

/* A new array of statistics documents of rules that have counted something since the last report, for one call; NULL:
 * there is none left in this round. What it says counts as reported by xray_ledger_reported. Context: loop. */
json_t *xray_ledger_report(struct xray_ledger *ledger, const struct wire_xray_tally *tallies, uint64_t now_unix_s);

/* X-Ray has taken the report, or has not: then the next one has it as well. Context: loop. */
void xray_ledger_reported(struct xray_ledger *ledger, bool is_taken);

/* A SamplingTargetDocument: what it lacks stays as it was. wall_offset_ns: wall clock minus the program's
 * CLOCK_MONOTONIC. Context: loop. */
void xray_ledger_take_target(struct xray_ledger *ledger, const json_t *target, int64_t wall_offset_ns);

#endif
