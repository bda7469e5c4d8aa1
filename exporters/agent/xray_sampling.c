/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/xray_sampling.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/complaints.h"
#include "exporters/agent/log.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"
#include "exporters/agent/users.h"
#include "exporters/agent/xray_compile.h"
#include "exporters/agent/xray_ledger.h"
#include "exporters/agent/xray_place.h"
#include "exporters/agent/xray_poller.h"
#include "exporters/agent/xray_rules.h"
#include "exporters/agent/xray_rules_file.h"
#include "exporters/encode/json_access.h"
#include "exporters/exporter.h"
#include "preload/config.h"
#include "preload/wire.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Where the rules in force are from. */
enum origin { NOWHERE, FROM_XRAY, FROM_FILE, FROM_DEFAULT };
static const char *const origin_words[] = {
    [NOWHERE] = "none", [FROM_XRAY] = "xray", [FROM_FILE] = "file", [FROM_DEFAULT] = "default"};
static const char *const origin_texts[] = {[FROM_XRAY] = "X-Ray's rules",
                                           [FROM_FILE] = "its file of rules",
                                           [FROM_DEFAULT] = "the default: 1 a second and 5 %"};

/* Of a source that X-Ray's rules decide for. */
struct xray_sampled {
    struct xray_member member;
    struct xray_rules local;
    enum origin local_origin;
    enum origin published_origin;
    struct wire_xray_rules published; /* a copy, for the page is the program's to spoil */
    size_t left_out_count;            /* rules that there was no room for */
};

static struct exporter_host host; /* written once at start */

void xray_sampling_init(const struct exporter_host *with)
{
    host = *with;
}

void xray_sampling_deinit(void)
{
    xray_poller_deinit();
}

/* publishing */

/* The agent fills the place that is not in use, then names it. */
static void publish(struct wire_control *control, const struct wire_xray_rules *rules)
{
    uint32_t generation = atomic_load_explicit(&control->xray_generation, memory_order_relaxed) + 1;

    if (generation == 0)
        generation = 2;                        /* 0 says that there are none */
    atomic_thread_fence(memory_order_seq_cst); /* the last raise is seen before its older place is filled */
    memcpy(&control->xray[generation & 1], rules, sizeof(*rules));
    atomic_store_explicit(&control->xray_generation, generation, memory_order_release);
}

static void log_left_out(struct xray_sampled *sampled, size_t left_out_count)
{
    if (left_out_count > 0 && left_out_count != sampled->left_out_count &&
        users_may_log(sampled->member.source->uid, clock_now_ns(CLOCK_MONOTONIC)))
        log_line(LOG_LEVEL_WARN, "process %d (%s): %zu sampling rules are passed over: %d fit, in %d bytes",
                 (int)sampled->member.source->pid, sampled->member.source->executable, left_out_count,
                 WIRE_XRAY_RULES_MAX, WIRE_XRAY_TEXT_MAX);
    sampled->left_out_count = left_out_count;
}

/* What changes with time, rule by rule. How many there is an account for. */
static uint32_t fill_accounts(struct xray_sampled *sampled, const struct xray_rules *rules, bool is_central,
                              const size_t *places, struct wire_xray_rules *made)
{
    const struct source *source = sampled->member.source;
    uint64_t now_ns = clock_now_ns(CLOCK_REALTIME) - (uint64_t)source->wall_offset_ns;
    struct xray_ledger *ledger = &sampled->member.ledger;

    xray_ledger_close_all(ledger);
    for (uint32_t i = 0; i < made->count; i++) {
        const struct xray_rule *rule = &rules->rules[places[i]];
        int place = xray_ledger_open(ledger, rule->name, source_ring(source)->xray_tallies);

        if (place < 0)
            return i;
        made->rules[i].tally = (uint8_t)place;
        if (is_central)
            made->rules[i].flags |= WIRE_XRAY_RULE_CENTRAL;
        xray_ledger_apply(is_central ? &ledger->accounts[place] : NULL, rule, now_ns, &made->rules[i]);
    }
    return made->count;
}

static void log_origin(const struct xray_sampled *sampled, enum origin origin)
{
    const struct source *source = sampled->member.source;

    if (origin != sampled->published_origin && users_may_log(source->uid, clock_now_ns(CLOCK_MONOTONIC)))
        log_line(sampled->published_origin == NOWHERE ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
                 "process %d (%s): X-Ray's sampling is by %s", (int)source->pid, source->executable,
                 origin_texts[origin]);
}

static void publish_rules(struct xray_sampled *sampled, const struct xray_rules *rules, enum origin origin)
{
    static struct wire_xray_rules made; /* loop only; too large for a stack */
    struct source *source = sampled->member.source;
    const struct xray_service_facts facts = {.name = source_xray_name(source),
                                             .url = source->settings->xray_url,
                                             .origin = xray_place_origin(source->settings)};
    size_t places[WIRE_XRAY_RULES_MAX];
    size_t left_out_count = xray_compile(rules, &facts, &made, places);
    uint32_t count = fill_accounts(sampled, rules, origin == FROM_XRAY, places, &made);

    log_left_out(sampled, left_out_count + (made.count - count));
    made.count = count;
    if (origin == sampled->published_origin && memcmp(&made, &sampled->published, sizeof(made)) == 0)
        return;
    log_origin(sampled, origin);
    sampled->published_origin = origin;
    sampled->published = made;
    publish(source->control, &made);
}

/* After a restart of the worker what stands there counts until it is known whether there are newer rules. */
static void on_changed(struct xray_member *member)
{
    struct xray_sampled *sampled = (struct xray_sampled *)(void *)member;
    const struct source *source = member->source;
    const struct xray_rules *central = xray_poller_rules(member->poller);

    static_assert(offsetof(struct xray_sampled, member) == 0, "member");
    if (source->map == NULL)
        return;
    if (central != NULL)
        publish_rules(sampled, central, FROM_XRAY);
    else if (sampled->published_origin != NOWHERE || xray_poller_has_tried(member->poller) ||
             atomic_load_explicit(&source->control->xray_generation, memory_order_relaxed) == 0)
        publish_rules(sampled, &sampled->local, sampled->local_origin);
}

/* sources */

static bool is_wanted(const struct source *source)
{
    const struct settings *settings = source->settings;

    if (settings->xray_mode != XRAY_SAMPLES || source->control_size < sizeof(struct wire_control))
        return false;
    for (size_t i = 0; i < settings->exporter_count; i++)
        if (strcmp(settings->exporters[i], "xray") == 0)
            return true;
    return false;
}

static bool read_file(struct xray_sampled *sampled, struct settings *settings)
{
    char problem[XRAY_RULES_FILE_PROBLEM_SIZE];

    if (settings->xray_sampling_rules == NULL)
        return false;
    if (xray_rules_file_read(settings->xray_sampling_rules, &sampled->local, problem) != 0) {
        complaints_add(settings, "SPANSHIM_XRAY_SAMPLING_RULES: %.200s: %s; 1 request a second and 5 %% are used",
                       settings->xray_sampling_rules, problem);
        return false;
    }
    if (sampled->local.skipped_count > 0)
        complaints_add(
            settings,
            "SPANSHIM_XRAY_SAMPLING_RULES: %.200s: %zu of its rules are passed over: only those of Version 1, "
            "without Attributes, for the ResourceARN * are used",
            settings->xray_sampling_rules, sampled->local.skipped_count);
    return true;
}

static void sampled_free(struct xray_sampled *sampled)
{
    xray_rules_deinit(&sampled->local);
    xray_ledger_deinit(&sampled->member.ledger);
    free(sampled);
}

void xray_sampling_add(struct source *source)
{
    struct xray_sampled *sampled = is_wanted(source) ? calloc(1, sizeof(*sampled)) : NULL;
    int r = 0;

    if (sampled == NULL)
        return;
    sampled->member.source = source;
    sampled->member.changed = on_changed;
    xray_ledger_init(&sampled->member.ledger);
    sampled->local_origin = read_file(sampled, source->settings) ? FROM_FILE : FROM_DEFAULT;
    if (sampled->local_origin == FROM_DEFAULT)
        r = xray_rules_append_default(&sampled->local);
    if (r == 0)
        r = xray_poller_join(&sampled->member, &host, source->settings);
    if (r != 0) {
        log_line(LOG_LEVEL_WARN, "process %d (%s): no sampling rules for X-Ray: %s", (int)source->pid,
                 source->executable, strerror(-r));
        sampled_free(sampled);
        return;
    }
    source->sampled = sampled;
    on_changed(&sampled->member);
}

void xray_sampling_remove(struct source *source)
{
    if (source->sampled == NULL)
        return;
    xray_poller_leave(&source->sampled->member);
    sampled_free(source->sampled);
    source->sampled = NULL;
}

/* status */

static json_t *pack_rule(const struct source *source, const struct wire_xray_rule *rule)
{
    const struct xray_ledger *ledger = &source->sampled->member.ledger;
    struct xray_counts counts = xray_ledger_counts(ledger, rule->tally, source_ring(source)->xray_tallies);
    bool has_quota = rule->flags & WIRE_XRAY_RULE_CENTRAL && rule->quota_until_ns != 0;

    return json_pack("{s:s, s:I, s:I, s:I, s:f, s:I, s:b}", "name", ledger->accounts[rule->tally].name, "requests",
                     (json_int_t)counts.requests, "sampled", (json_int_t)counts.sampled, "borrowed",
                     (json_int_t)counts.borrowed, "rate", 1 - (double)rule->threshold / (double)SAMPLER_THRESHOLD_NONE,
                     "reservoir", (json_int_t)rule->reservoir, "is_quota", (int)has_quota);
}

json_t *xray_sampling_status(const struct source *source)
{
    const struct xray_sampled *sampled = source->sampled;
    json_t *rules;
    json_t *object;

    if (sampled == NULL || source->map == NULL)
        return NULL;
    rules = json_array();
    for (uint32_t i = 0; i < sampled->published.count; i++)
        (void)json_array_append_new(rules, pack_rule(source, &sampled->published.rules[i]));
    object = json_pack("{s:s, s:s, s:o}", "from", origin_words[sampled->published_origin], "client_id",
                       sampled->member.ledger.client_id, "rules", rules);
    if (sampled->published_origin == FROM_XRAY)
        json_set(object, "age_s", json_integer((json_int_t)xray_poller_age_s(sampled->member.poller)));
    if (xray_poller_problem(sampled->member.poller)[0] != '\0')
        json_set(object, "problem", json_string(xray_poller_problem(sampled->member.poller)));
    return object;
}
