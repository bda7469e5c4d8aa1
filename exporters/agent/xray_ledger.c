/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/xray_ledger.h"

#include "exporters/agent/xray_rules.h"
#include "exporters/encode/hex.h"
#include "exporters/encode/json_access.h"
#include "preload/sampler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { INTERVAL_MAX_S = 3600, CLIENT_ID_BYTES = 12 };
static const uint64_t second_ns = UINT64_C(1000000000);

void xray_ledger_init(struct xray_ledger *ledger)
{
    uint8_t id[CLIENT_ID_BYTES] = {0};

    *ledger = (struct xray_ledger){0};
    (void)!getrandom(id, sizeof(id), GRND_NONBLOCK);
    hex_write(id, sizeof(id), ledger->client_id);
}

void xray_ledger_deinit(struct xray_ledger *ledger)
{
    for (size_t i = 0; i < WIRE_XRAY_TALLIES_MAX; i++)
        free(ledger->accounts[i].name);
    *ledger = (struct xray_ledger){0};
}

void xray_ledger_close_all(struct xray_ledger *ledger)
{
    for (size_t i = 0; i < WIRE_XRAY_TALLIES_MAX; i++)
        ledger->accounts[i].is_open = false;
}

static struct xray_counts read_tally(const struct wire_xray_tally *tally)
{
    struct xray_counts counts;

    /* A request counts as such first: read last, there is one for each that was sampled. */
    counts.borrowed = atomic_load_explicit(&tally->borrowed, memory_order_acquire);
    counts.sampled = atomic_load_explicit(&tally->sampled, memory_order_acquire);
    counts.requests = atomic_load_explicit(&tally->requests, memory_order_relaxed);
    return counts;
}

static struct xray_counts since(struct xray_counts now, struct xray_counts before)
{
    return (struct xray_counts){now.requests - before.requests, now.sampled - before.sampled,
                                now.borrowed - before.borrowed};
}

static struct xray_counts sum(struct xray_counts a, struct xray_counts b)
{
    return (struct xray_counts){a.requests + b.requests, a.sampled + b.sampled, a.borrowed + b.borrowed};
}

/* A request that was being counted when the tally was read is told in parts: no more of it were sampled than were
 * made. */
static struct xray_counts consistent(struct xray_counts counts)
{
    if (counts.sampled > counts.requests)
        counts.sampled = counts.requests;
    if (counts.borrowed > counts.sampled)
        counts.borrowed = counts.sampled;
    return counts;
}

static struct xray_account *find_account(struct xray_ledger *ledger, const char *name)
{
    for (size_t i = 0; i < WIRE_XRAY_TALLIES_MAX; i++)
        if (ledger->accounts[i].name != NULL && strcmp(ledger->accounts[i].name, name) == 0)
            return &ledger->accounts[i];
    return NULL;
}

/* One that was never used, else one whose rule is not in force. */
static struct xray_account *free_account(struct xray_ledger *ledger, const char *name)
{
    struct xray_account *closed = NULL;

    if (strcmp(name, XRAY_DEFAULT_RULE) == 0)
        return &ledger->accounts[WIRE_XRAY_TALLY_DEFAULT];
    for (size_t i = 0; i < WIRE_XRAY_TALLY_DEFAULT; i++) {
        if (ledger->accounts[i].name == NULL)
            return &ledger->accounts[i];
        if (closed == NULL && !ledger->accounts[i].is_open)
            closed = &ledger->accounts[i];
    }
    return closed;
}

int xray_ledger_open(struct xray_ledger *ledger, const char *name, const struct wire_xray_tally *tallies)
{
    struct xray_account *account = find_account(ledger, name);
    char *copy;

    if (account == NULL) {
        account = free_account(ledger, name);
        copy = account != NULL ? strdup(name) : NULL;
        if (copy == NULL)
            return -ENOMEM;
        free(account->name);
        *account = (struct xray_account){.name = copy, .interval_rounds = 1};
        account->first = read_tally(&tallies[account - ledger->accounts]);
        account->reported = account->first;
    }
    account->is_open = true;
    return (int)(account - ledger->accounts);
}

void xray_ledger_apply(const struct xray_account *account, const struct xray_rule *rule, uint64_t now_mono_ns,
                       struct wire_xray_rule *made)
{
    bool is_granted = account != NULL && account->quota_until_ns != 0 && account->quota_until_ns >= now_mono_ns;
    bool has_rate = account != NULL && account->has_rate;

    made->reservoir = is_granted ? account->quota : rule->reservoir;
    made->quota_until_ns = is_granted ? account->quota_until_ns : account == NULL ? UINT64_MAX : 0;
    made->threshold = sampler_threshold(has_rate ? account->rate : rule->rate);
}

void xray_ledger_reload(struct xray_ledger *ledger)
{
    for (size_t i = 0; i < WIRE_XRAY_TALLIES_MAX; i++)
        ledger->accounts[i].has_rate = false;
}

struct xray_counts xray_ledger_counts(const struct xray_ledger *ledger, size_t place,
                                      const struct wire_xray_tally *tallies)
{
    return since(read_tally(&tallies[place]), ledger->accounts[place].first);
}

void xray_ledger_begin_round(struct xray_ledger *ledger)
{
    for (size_t i = 0; i < WIRE_XRAY_TALLIES_MAX; i++) {
        struct xray_account *account = &ledger->accounts[i];

        account->rounds_left -= account->rounds_left > 0;
        account->is_due = account->is_open && account->rounds_left == 0;
    }
}

static json_t *statistics_of(const struct xray_ledger *ledger, const struct xray_account *account,
                             struct xray_counts counts, uint64_t now_unix_s)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "RuleName", account->name, "ClientID", ledger->client_id,
                     "Timestamp", (json_int_t)now_unix_s, "RequestCount", (json_int_t)counts.requests, "SampledCount",
                     (json_int_t)counts.sampled, "BorrowCount", (json_int_t)counts.borrowed);
}

json_t *xray_ledger_report(struct xray_ledger *ledger, const struct wire_xray_tally *tallies, uint64_t now_unix_s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < WIRE_XRAY_TALLIES_MAX && json_array_size(list) < XRAY_STATISTICS_MAX; i++) {
        struct xray_account *account = &ledger->accounts[i];
        struct xray_counts counts = consistent(since(read_tally(&tallies[i]), account->reported));

        if (!account->is_due || counts.requests == 0)
            continue;
        if (json_array_append_new(list, statistics_of(ledger, account, counts, now_unix_s)) != 0)
            break;
        account->is_due = false;
        account->is_under_way = true;
        account->under_way = sum(account->reported, counts);
    }
    if (json_array_size(list) > 0)
        return list;
    json_decref(list);
    return NULL;
}

void xray_ledger_reported(struct xray_ledger *ledger, bool is_taken)
{
    for (size_t i = 0; i < WIRE_XRAY_TALLIES_MAX; i++) {
        struct xray_account *account = &ledger->accounts[i];

        if (!account->is_under_way)
            continue;
        account->is_under_way = false;
        if (is_taken) {
            account->reported = account->under_way;
            account->rounds_left = account->interval_rounds;
        }
    }
}

/* The moment by CLOCK_MONOTONIC; 0: before the machine was started. */
static uint64_t mono_of(double unix_s, int64_t wall_offset_ns)
{
    int64_t mono_ns = (int64_t)unix_s * (int64_t)second_ns - wall_offset_ns;

    return mono_ns > 0 ? (uint64_t)mono_ns : 0;
}

/* X-Ray's Interval, in rounds. */
static uint32_t rounds_of(double interval_s)
{
    double bounded_s = interval_s > INTERVAL_MAX_S ? INTERVAL_MAX_S : interval_s;

    return bounded_s < 2 * XRAY_ROUND_S ? 1 : (uint32_t)(bounded_s / XRAY_ROUND_S);
}

void xray_ledger_take_target(struct xray_ledger *ledger, const json_t *target, int64_t wall_offset_ns)
{
    const char *name = json_text_of(target, "RuleName");
    struct xray_account *account = name != NULL ? find_account(ledger, name) : NULL;
    const json_t *rate = json_object_get(target, "FixedRate");
    const json_t *quota = json_object_get(target, "ReservoirQuota");
    const json_t *until = json_object_get(target, "ReservoirQuotaTTL");
    const json_t *interval = json_object_get(target, "Interval");

    if (account == NULL)
        return;
    if (json_is_number(rate) && json_number_value(rate) >= 0 && json_number_value(rate) <= 1) {
        account->has_rate = true;
        account->rate = json_number_value(rate);
    }
    if (json_is_number(quota) && json_number_value(quota) >= 0 && json_number_value(quota) <= INT32_MAX)
        account->quota = (uint32_t)json_number_value(quota);
    if (json_is_number(until) && json_number_value(until) > 0 && json_number_value(until) < (double)UINT32_MAX)
        account->quota_until_ns = mono_of(json_number_value(until), wall_offset_ns);
    if (json_is_number(interval)) {
        account->interval_rounds = rounds_of(json_number_value(interval));
        account->rounds_left = account->interval_rounds;
    }
}
