/* SPDX-License-Identifier: Apache-2.0 */
/* A service of X-Ray's and a loop, both the test's own, and a traced program whose sampling rules are asked for. */
#ifndef SPANSHIM_XRAY_FAKE_H
#define SPANSHIM_XRAY_FAKE_H

#include "exporters/agent/http_client.h"
#include "exporters/agent/source.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XRAY_RULE(name, priority, rate, reservoir)                                                                     \
    "{\"SamplingRule\":{\"RuleName\":\"" name "\",\"Priority\":" #priority ",\"FixedRate\":" #rate                     \
    ",\"ReservoirSize\":" #reservoir ",\"ServiceName\":\"*\",\"ServiceType\":\"*\",\"Host\":\"*\","                    \
    "\"HTTPMethod\":\"*\",\"URLPath\":\"/" name "\",\"ResourceARN\":\"*\",\"Version\":1},\"ModifiedAt\":1000}"
#define XRAY_DEFAULT_RULE                                                                                              \
    "{\"SamplingRule\":{\"RuleName\":\"Default\",\"Priority\":10000,\"FixedRate\":0.05,\"ReservoirSize\":1,"           \
    "\"ServiceName\":\"*\",\"ServiceType\":\"*\",\"Host\":\"*\",\"HTTPMethod\":\"*\",\"URLPath\":\"*\","               \
    "\"ResourceARN\":\"*\",\"Version\":1},\"ModifiedAt\":900}"
#define XRAY_RECORDS(rules) "{\"SamplingRuleRecords\":[" rules "],\"NextToken\":null}"
#define XRAY_NO_TARGETS     "{\"SamplingTargetDocuments\":[],\"LastRuleModification\":1000,\"UnprocessedStatistics\":[]}"

enum { XRAY_FAKE_TIMERS_MAX = 8, XRAY_FAKE_CALLS_MAX = 4096 };

extern struct xray_fake {
    uint64_t now_ns;
    struct loop_timer *timers[XRAY_FAKE_TIMERS_MAX];

    char *rules, *targets; /* the service's answers; NULL: nobody is there */
    bool is_busy;          /* it wants to be left alone */
    bool is_slow;          /* it does not answer before xray_fake_answer() */
    http_done *done;
    void *arg;
    const char *path; /* of the call under way; NULL: none */
    struct {
        uint64_t at_ns;
        bool is_rules;
        char *body;
    } calls[XRAY_FAKE_CALLS_MAX];
    size_t call_count;

    struct source source; /* the program, from xray_fake_open_source() on */
} xray_fake;

int xray_fake_set_up(void **state);
int xray_fake_tear_down(void **state);

/* A program of the service "shop"; `more`: one more setting, NULL: none. Closed by the end of the test at the latest.
 * Context: test. */
void xray_fake_open_source(const char *more);
void xray_fake_close_source(void);

/* What the service answers from now on; NULL: nobody is there. Context: test. */
void xray_fake_set_rules(const char *text);
void xray_fake_set_targets(const char *text);

/* Answer the call under way; all of them, unless the service is slow. Context: test. */
void xray_fake_answer(void);
void xray_fake_answer_all(void);

/* Run all timers that are due until then, in order, and move the clock there. Context: test. */
void xray_fake_run_until(uint64_t end_ns);
void xray_fake_run_for(uint64_t seconds);

/* How many lines of the agent's log have this text in them. Context: test. */
size_t xray_fake_logged(const char *text);

/* How many calls were made so far: for rules, or for targets. Context: test. */
size_t xray_fake_calls_of(bool is_rules);

/* What the program's shim reads. Context: test. */
const struct wire_xray_rules *xray_fake_published(void);
struct wire_xray_tally *xray_fake_tally(uint32_t rule);

/* Count as the shim does. Context: test. */
void xray_fake_count(uint32_t rule, uint32_t requests, uint32_t sampled, uint32_t borrowed);

/* The n-th statistics of a call; valid until the next one. And a number in them. Context: test. */
const json_t *xray_fake_statistics(size_t call, size_t n);
json_int_t xray_fake_number(const json_t *object, const char *key);

#endif
