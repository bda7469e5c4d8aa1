/* SPDX-License-Identifier: Apache-2.0 */
/* Asks X-Ray for its sampling rules, and reports what they have counted in exchange for quotas: for all programs that
 * reach X-Ray in the same way (the digest of their settings). Used by xray_sampling.c. */
#ifndef SPANSHIM_XRAY_POLLER_H
#define SPANSHIM_XRAY_POLLER_H

#include "exporters/agent/xray_ledger.h"

#include <stdbool.h>
#include <stdint.h>

struct exporter_host;
struct settings;
struct source;
struct xray_poller;
struct xray_rules;

/* A program that asks for rules; in its owner's storage. */
struct xray_member {
    struct xray_member *next; /* the poller's */
    struct xray_poller *poller;
    struct source *source; /* mapped while it is a member */
    struct xray_ledger ledger;
    /* The rules in force, or what was granted for them, may have changed. */
    void (*changed)(struct xray_member *member);
};

/* From now on for these settings. 0, or -ENOMEM. Context: loop. */
int xray_poller_join(struct xray_member *member, const struct exporter_host *host, struct settings *settings);

/* The last one to leave ends the polling; the rules are kept for the next one to come. Context: loop. */
void xray_poller_leave(struct xray_member *member);

/* X-Ray's own rules, while they are fresh; NULL: there are none. Context: loop. */
const struct xray_rules *xray_poller_rules(const struct xray_poller *poller);

/* Seconds since they were loaded. Context: loop. */
uint64_t xray_poller_age_s(const struct xray_poller *poller);

/* Has X-Ray been asked, and answered or not? Context: loop. */
bool xray_poller_has_tried(const struct xray_poller *poller);

/* One line about what is wrong; empty: nothing. Borrowed. Context: loop. */
const char *xray_poller_problem(const struct xray_poller *poller);

/* Free those that nobody uses, too. Context: loop. */
void xray_poller_deinit(void);

#endif
