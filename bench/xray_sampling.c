/* SPDX-License-Identifier: Apache-2.0 */
/* A decision by X-Ray's rules: ns, best of several runs. Of 25 rules (X-Ray's own limit) with a host, a method and a
 * path the last one fits. Fails above its goal. */
#include "preload/xray_sampling.h"
#include "preload/sampler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RULES = 25, ROUNDS = 10000, RUNS = 200, GOAL_NS = 200 };

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct wire_xray_text put(struct wire_xray_rules *rules, const char *text)
{
    struct wire_xray_text at = {(uint16_t)rules->text_length, (uint16_t)strlen(text)};

    memcpy(rules->text + at.offset, text, at.length);
    rules->text_length += at.length;
    return at;
}

static void publish(struct wire_control *control)
{
    struct wire_xray_rules *rules = &control->xray[1];
    char path[32];

    for (unsigned i = 0; i < RULES; i++) {
        (void)snprintf(path, sizeof(path), "/api/v1/%c%02u/*", 'a' + (int)i, i);
        rules->rules[i] = (struct wire_xray_rule){
            .flags = WIRE_XRAY_RULE_NAMES_SERVICE | WIRE_XRAY_RULE_CENTRAL,
            .tally = (uint8_t)i,
            .methods = 1u << WIRE_METHOD_GET,
            .reservoir = 5,
            .quota_until_ns = UINT64_MAX,
            .threshold = SAMPLER_THRESHOLD_NONE / 10 * 9,
            .name = put(rules, "a-rule"),
            .host = put(rules, "*.shop.example.com"),
            .path = put(rules, path),
        };
    }
    rules->count = RULES;
    control->xray_generation = 1;
}

static double run(const struct wire_control *control, struct wire_xray_tally *tallies, struct xray_request *request)
{
    struct xray_decision decision;
    double start = now_ns();

    for (unsigned i = 0; i < ROUNDS; i++) {
        request->now_ns += 1000;
        xray_sampling_decide(control, tallies, request, &decision);
    }
    return (now_ns() - start) / ROUNDS;
}

int main(void)
{
    static const char host[] = "www.shop.example.com", path[] = "/api/v1/y24/orders/4711";
    static const uint8_t trace_id[16];
    static struct wire_xray_tally tallies[WIRE_XRAY_TALLIES_MAX];
    static struct wire_control control;
    struct xray_request request = {
        .now_ns = 1,
        .trace_id = trace_id,
        .methods = 1u << WIRE_METHOD_GET,
        .host = {host, sizeof(host) - 1},
        .path = {path, sizeof(path) - 1},
    };
    double best = 1e9;

    publish(&control);
    for (int i = 0; i < RUNS; i++) {
        double ns = run(&control, tallies, &request);

        best = ns < best ? ns : best;
    }
    if (tallies[RULES - 1].requests != RUNS * ROUNDS)
        return 2; /* another rule fitted */
    printf("%.1f ns per decision by the last of %d rules (goal: at most %d)\n", best, RULES, GOAL_NS);
    return best > GOAL_NS;
}
