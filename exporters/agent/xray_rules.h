/* SPDX-License-Identifier: Apache-2.0 */
/* X-Ray's sampling rules in memory, and the JSON that they come in. xray_poller.c reads X-Ray's own, xray_rules_file.c
 * a user's; xray_compile.c makes them ready for the shim. */
#ifndef SPANSHIM_XRAY_RULES_H
#define SPANSHIM_XRAY_RULES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum { XRAY_PROBLEM_SIZE = 192 };

/* The name of the rule for what no other one fits, where it is not one of X-Ray's own. */
#define XRAY_DEFAULT_RULE "default"

struct xray_rule {
    char *name; /* never NULL, as the patterns; of a local rule, what it is called in messages */
    int priority;
    double rate; /* 0..1 */
    uint32_t reservoir;
    /* Patterns. */
    char *service_name, *service_type, *host, *method, *path;
};

/* All zero is an empty list. */
struct xray_rules {
    struct xray_rule *rules; /* the first that fits decides */
    size_t count;
    size_t skipped_count; /* of a version, an attribute or a resource that no SDK heeds */
    double modified_s;    /* when the newest one was changed, by X-Ray's clock; 0: not known */
};

/* Behind the others; all texts are copied. 0 or -ENOMEM. Context: loop. */
int xray_rules_append(struct xray_rules *rules, const struct xray_rule *rule);

/* A rule as X-Ray and the AWS CLI write it: {"SamplingRule": {...}}, or what is in it. One that SDKs don't heed is
 * counted as skipped. 0; -EINVAL with what is wrong in `problem`; -ENOMEM. Context: loop. */
int xray_rules_append_record(struct xray_rules *rules, const json_t *record, char problem[XRAY_PROBLEM_SIZE]);

/* By priority; those of one priority by name. Context: loop. */
void xray_rules_sort(struct xray_rules *rules);

/* The rule that counts where nothing else does: the first request of each second, then 5 %. Behind the others. 0 or
 * -ENOMEM. Context: loop. */
int xray_rules_append_default(struct xray_rules *rules);

/* Empty again. Context: loop. */
void xray_rules_deinit(struct xray_rules *rules);

#endif
