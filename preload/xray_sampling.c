/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/xray_sampling.h"

#include "preload/glob.h"
#include "preload/glob_head.h"
#include "preload/sampler.h"

#include <stdatomic.h>
#include <string.h>

#define NS_PER_SECOND UINT64_C(1000000000)

/* The agent publishes rules every few seconds: to be overtaken once is rare, and more often it does not happen. */
enum { READS_MAX = 3 };

/* X-Ray's own default. Its reservoir is in the ring as those of the rules: a server of many processes takes one request
 * of a second, not each of them. */
static const struct wire_xray_rule default_rule = {
    .tally = WIRE_XRAY_TALLY_DEFAULT,
    .reservoir = 1,
    .quota_until_ns = UINT64_MAX,
    .threshold = SAMPLER_THRESHOLD_NONE - SAMPLER_THRESHOLD_NONE / 20, /* 5 % */
};

/* A property of the request, and how it begins. */
struct property {
    struct slice value;
    struct glob_head head;
};

/* All that is looked at. */
struct subject {
    const struct xray_request *request;
    struct property host, path;
};

/* The agent may be writing rules anew while they are read here: whatever is read is looked at once, and bounded. */
static struct slice text_of(const struct wire_xray_rules *rules, const struct wire_xray_text *text)
{
    size_t offset = __atomic_load_n(&text->offset, __ATOMIC_RELAXED);
    size_t length = __atomic_load_n(&text->length, __ATOMIC_RELAXED);

    if (offset + length > sizeof(rules->text))
        return (struct slice){0};
    return (struct slice){rules->text + offset, length};
}

static bool text_fits(const struct wire_xray_rules *rules, const struct wire_xray_text *text, struct slice value)
{
    struct slice pattern = text_of(rules, text);

    return pattern.length == 0 || value.length == 0 || glob_matches(pattern, value, GLOB_ANY_CASE);
}

/* The same, without a call where the beginning tells. */
static inline bool property_fits(const struct wire_xray_rules *rules, const struct wire_xray_text *text,
                                 const struct property *property)
{
    struct slice pattern = text_of(rules, text);

    if (pattern.length == 0 || property->value.length == 0)
        return true;
    if (pattern.bytes + GLOB_HEAD_SIZE <= rules->text + sizeof(rules->text) &&
        glob_head_excludes(&property->head, pattern))
        return false;
    return glob_matches(pattern, property->value, GLOB_ANY_CASE);
}

static bool method_fits(const struct wire_xray_rules *rules, const struct wire_xray_rule *rule,
                        const struct xray_request *request)
{
    if ((rule->methods & request->methods) == 0)
        return false;
    return request->methods != 1u << WIRE_METHOD_OTHER || text_fits(rules, &rule->method, request->method);
}

/* Against the segment's name. That the service's own fits, the agent has found out. */
static bool service_fits(const struct wire_xray_rules *rules, const struct wire_xray_rule *rule,
                         const struct xray_request *request)
{
    if (request->is_named_by_host)
        return text_fits(rules, &rule->service, request->host);
    return (rule->flags & WIRE_XRAY_RULE_NAMES_SERVICE) || rule->service.length == 0;
}

static inline bool rule_fits(const struct wire_xray_rules *rules, const struct wire_xray_rule *rule,
                             const struct subject *subject)
{
    return method_fits(rules, rule, subject->request) && service_fits(rules, rule, subject->request) &&
           property_fits(rules, &rule->path, &subject->path) && property_fits(rules, &rule->host, &subject->host);
}

static void copy_name(const struct wire_xray_rules *rules, const struct wire_xray_rule *rule,
                      struct xray_decision *decision)
{
    struct slice name = text_of(rules, &rule->name);

    decision->name_length = 0;
    if (!(rule->flags & WIRE_XRAY_RULE_CENTRAL) || name.length > sizeof(decision->name))
        return;
    slice_copy(decision->name, name.bytes, name.length);
    decision->name_length = (uint8_t)name.length;
}

/* The first rule that fits, or the default. */
__attribute__((noinline)) static void look_up(const struct wire_xray_rules *rules, const struct subject *subject,
                                              struct wire_xray_rule *ret_rule, struct xray_decision *decision)
{
    uint32_t count = __atomic_load_n(&rules->count, __ATOMIC_RELAXED);

    for (uint32_t i = 0; i < count && i < WIRE_XRAY_RULES_MAX; i++) {
        if (!rule_fits(rules, &rules->rules[i], subject))
            continue;
        *ret_rule = rules->rules[i];
        copy_name(rules, &rules->rules[i], decision);
        return;
    }
    *ret_rule = default_rule;
    decision->name_length = 0;
}

/* The rule that decides, as it was published: copied out, for the agent may use its place again. */
static void find_rule(const struct wire_control *control, const struct xray_request *request,
                      struct wire_xray_rule *ret_rule, struct xray_decision *decision)
{
    const struct subject subject = {.request = request,
                                    .host = {request->host, glob_head_of(request->host)},
                                    .path = {request->path, glob_head_of(request->path)}};

    for (int reads = 0; control && reads < READS_MAX; reads++) {
        /* acquire: the rules were complete when it was raised */
        uint32_t generation = atomic_load_explicit(&control->xray_generation, memory_order_acquire);

        if (generation == 0)
            break;
        look_up(&control->xray[generation & 1], &subject, ret_rule, decision);
        atomic_thread_fence(memory_order_acquire); /* what was read comes before this second look */
        if (atomic_load_explicit(&control->xray_generation, memory_order_relaxed) == generation)
            return;
    }
    *ret_rule = default_rule;
    decision->name_length = 0;
}

/* Take one of this second's, if fewer than `most` are taken. Who is late with the time takes of the newer second: it
 * never goes back. */
static bool take(struct wire_xray_tally *tally, uint64_t now_ns, uint32_t most)
{
    uint64_t second = now_ns / NS_PER_SECOND << 32;
    uint64_t taken = atomic_load_explicit(&tally->taken, memory_order_relaxed);
    uint64_t current;

    do {
        current = taken > second ? taken : second;
        if ((uint32_t)current >= most)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&tally->taken, &taken, current + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static void count(_Atomic uint32_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Of a quota that X-Ray has granted all are taken; without one, a rule that has a reservoir borrows one of a second.
 * For the rest the rate counts. */
static bool is_sampled_by(const struct wire_xray_rule *rule, struct wire_xray_tally *tally,
                          const struct xray_request *request)
{
    bool is_granted = rule->quota_until_ns >= request->now_ns;
    bool is_taken = take(tally, request->now_ns, is_granted ? rule->reservoir : rule->reservoir > 0);

    count(&tally->requests);
    if (!is_taken && !sampler_keeps(rule->threshold, request->trace_id))
        return false;
    count(&tally->sampled);
    if (is_taken && !is_granted)
        count(&tally->borrowed);
    return true;
}

void xray_sampling_decide(const struct wire_control *control, struct wire_xray_tally *tallies,
                          const struct xray_request *request, struct xray_decision *ret_decision)
{
    struct wire_xray_rule rule;

    find_rule(control, request, &rule, ret_decision);
    ret_decision->is_sampled = is_sampled_by(&rule, &tallies[rule.tally % WIRE_XRAY_TALLIES_MAX], request);
    if (!ret_decision->is_sampled)
        ret_decision->name_length = 0;
}
