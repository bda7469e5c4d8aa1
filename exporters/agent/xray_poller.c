/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/xray_poller.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"
#include "exporters/agent/users.h"
#include "exporters/agent/xray_rules.h"
#include "exporters/encode/json_access.h"
#include "exporters/encode/utf8.h"
#include "exporters/exporter.h"
#include "exporters/xray_service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Rules are loaded every five minutes, and count for an hour after the last success; a poller that nobody uses is kept
 * while there are few. An account has 25 rules, unless it has asked X-Ray for more. */
enum { RULES_S = 300, FRESH_S = 3600, RETRY_S = 10, IDLE_MAX = 8, PAGES_MAX = 20, RULES_MAX = 1000 };
/* A thousand rules; what is longer would keep the loop for too long. */
enum { ANSWER_MAX = 1 << 20 };
static const uint64_t rules_jitter_ns = 5 * NS_PER_S;
static const uint64_t round_jitter_ns = NS_PER_S / 10;

/* The two questions, each with its own trouble. */
enum question { ASK_RULES, ASK_TARGETS, QUESTION_COUNT };
static const char *const paths[QUESTION_COUNT] = {"/GetSamplingRules", "/SamplingTargets"};
static const char *const subjects[QUESTION_COUNT] = {"sampling rules", "sampling quotas"};

struct xray_poller {
    struct xray_poller *next;
    struct loop *loop;
    struct settings *settings;
    struct xray_service *service;
    struct xray_member *members;
    struct loop_timer rules_timer, round_timer; /* set only while there are members */
    uint64_t idle_since_ns;

    struct xray_rules rules;
    bool has_rules;
    uint64_t loaded_ns;
    double known_change_s; /* of the rules, by X-Ray's clock */
    uint64_t tried_ns;     /* 0: not yet */
    uint64_t rules_due_ns;
    uint32_t failure_count; /* to load the rules, in a row */

    /* The call under way. */
    bool is_calling;
    enum question question;
    char *body;
    struct xray_rules loading; /* pages of them */
    unsigned page_count;
    struct xray_member *reporting; /* whose statistics are under way; NULL: it has left */

    bool wants_rules;
    struct xray_member *round; /* the next one to be asked for statistics; NULL: the round is over */
    char problems[QUESTION_COUNT][XRAY_SERVICE_ERROR_SIZE]; /* empty: none */
};

static struct xray_poller *pollers; /* loop only */

static void advance(struct xray_poller *poller);

static uint64_t random_below(uint64_t limit)
{
    uint64_t random = 0;

    (void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
    return random % limit;
}

static void tell_members(struct xray_poller *poller)
{
    struct xray_member *next;

    for (struct xray_member *member = poller->members; member != NULL; member = next) {
        next = member->next;
        member->changed(member);
    }
}

/* problems: one line when one begins and one when it ends, whatever it changes to meanwhile */

static bool may_log(const struct xray_poller *poller)
{
    return users_may_log(poller->settings->uid, loop_now_ns(poller->loop));
}

static void begin_problem(struct xray_poller *poller, const char *text)
{
    char *said = poller->problems[poller->question];
    bool is_new = said[0] == '\0';

    utf8_copy(text, said, XRAY_SERVICE_ERROR_SIZE);
    if (is_new && may_log(poller))
        log_line(LOG_LEVEL_WARN, "X-Ray's %s can't be had from %s: %s", subjects[poller->question],
                 xray_service_shown(poller->service), said);
}

static void end_problem(struct xray_poller *poller)
{
    char *said = poller->problems[poller->question];

    if (said[0] != '\0' && may_log(poller))
        log_line(LOG_LEVEL_INFO, "X-Ray's %s come from %s again", subjects[poller->question],
                 xray_service_shown(poller->service));
    said[0] = '\0';
}

/* calls */

static void end_call(struct xray_poller *poller)
{
    poller->is_calling = false;
    free(poller->body);
    poller->body = NULL;
    poller->reporting = NULL;
}

/* The answer's object; NULL, and a problem begins. */
static json_t *read_answer(struct xray_poller *poller, const struct http_response *response)
{
    bool is_short = response->body_length <= ANSWER_MAX;
    json_t *answer = NULL;

    if (response->status == 200 && is_short)
        answer = json_loadb(response->body, response->body_length, 0, NULL);
    if (json_is_object(answer))
        return answer;
    json_decref(answer);
    begin_problem(poller, response->status != 200 ? response->failure
                          : is_short              ? "its answer is no JSON object"
                                                  : "its answer is too long");
    return NULL;
}

static void call(struct xray_poller *poller, enum question question, json_t *body, http_done *done)
{
    char text[XRAY_SERVICE_ERROR_SIZE];
    struct http_response failed = {.failure = text};
    int r = -ENOMEM;

    poller->is_calling = true;
    poller->question = question;
    poller->body = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (poller->body != NULL)
        r = xray_service_post(poller->service, paths[question], poller->body, strlen(poller->body), done, poller);
    if (r == 0)
        return;
    (void)snprintf(text, sizeof(text), "%s", strerror(-r));
    done(poller, &failed);
}

/* rules */

static void schedule_rules(struct xray_poller *poller, uint64_t delay_ns)
{
    poller->rules_due_ns = loop_now_ns(poller->loop) + delay_ns;
    if (poller->members != NULL)
        (void)loop_timer_set(poller->loop, &poller->rules_timer, delay_ns);
}

/* At first soon, for a daemon may start later than the program; then as seldom as usual. */
static uint64_t next_try_s(const struct xray_poller *poller)
{
    uint64_t delay_s = RETRY_S;

    if (poller->failure_count == 0)
        return RULES_S;
    for (uint32_t i = 1; i < poller->failure_count && delay_s < RULES_S; i++)
        delay_s *= 2;
    return delay_s < RULES_S ? delay_s : RULES_S;
}

/* What was loaded, or the failure, is in place. */
static void finish_rules(struct xray_poller *poller)
{
    xray_rules_deinit(&poller->loading);
    end_call(poller);
    schedule_rules(poller, next_try_s(poller) * NS_PER_S + random_below(rules_jitter_ns));
    tell_members(poller);
    advance(poller);
}

static void take_rules(struct xray_poller *poller)
{
    if (!poller->has_rules && may_log(poller))
        log_line(LOG_LEVEL_INFO, "X-Ray's sampling rules come from %s: %zu, and %zu that are passed over",
                 xray_service_shown(poller->service), poller->loading.count, poller->loading.skipped_count);
    xray_rules_sort(&poller->loading);
    xray_rules_deinit(&poller->rules);
    poller->rules = poller->loading;
    poller->loading = (struct xray_rules){0};
    poller->has_rules = true;
    poller->loaded_ns = loop_now_ns(poller->loop);
    poller->failure_count = 0;
    if (poller->rules.modified_s > poller->known_change_s)
        poller->known_change_s = poller->rules.modified_s;
    for (struct xray_member *member = poller->members; member != NULL; member = member->next)
        xray_ledger_reload(&member->ledger);
}

/* A record that makes no sense is passed over, as X-Ray's SDKs do; so are those that are too many. */
static bool append_page(struct xray_poller *poller, const json_t *answer)
{
    const json_t *records = json_object_get(answer, "SamplingRuleRecords");
    char problem[XRAY_PROBLEM_SIZE];
    size_t i;
    const json_t *record;

    if (!json_is_array(records)) {
        begin_problem(poller, "its answer has no SamplingRuleRecords");
        return false;
    }
    json_array_foreach(records, i, record)
    {
        bool has_room = poller->loading.count < RULES_MAX;
        int r = has_room ? xray_rules_append_record(&poller->loading, record, problem) : -E2BIG;

        if (r == -ENOMEM)
            return false;
        poller->loading.skipped_count += r != 0;
    }
    return true;
}

static void on_rules(void *arg, const struct http_response *response)
{
    struct xray_poller *poller = arg;
    json_t *answer = read_answer(poller, response);
    const char *token = json_text_of(answer, "NextToken");

    if (answer == NULL || !append_page(poller, answer)) {
        poller->failure_count++;
    } else if (token != NULL && ++poller->page_count < PAGES_MAX && poller->loading.count < RULES_MAX) {
        json_t *next = json_pack("{s:s}", "NextToken", token);

        end_call(poller);
        call(poller, ASK_RULES, next, on_rules);
        json_decref(answer);
        return;
    } else {
        end_problem(poller);
        take_rules(poller);
    }
    json_decref(answer);
    finish_rules(poller);
}

static void ask_rules(struct xray_poller *poller)
{
    poller->wants_rules = false;
    poller->tried_ns = loop_now_ns(poller->loop);
    poller->page_count = 0;
    call(poller, ASK_RULES, json_object(), on_rules);
}

static void on_rules_timer(void *arg)
{
    struct xray_poller *poller = arg;

    poller->wants_rules = true;
    advance(poller);
}

/* targets */

static void log_unprocessed(const struct xray_poller *poller, const json_t *answer)
{
    static struct log_limit limit = {.burst = 5, .interval_s = 60}; /* loop only */
    const json_t *list = json_object_get(answer, "UnprocessedStatistics");
    size_t i;
    const json_t *item;

    json_array_foreach(list, i, item)
    {
        const char *name = json_text_of(item, "RuleName");
        const char *code = json_text_of(item, "ErrorCode");
        const char *message = json_text_of(item, "Message");

        if (log_limit_pass(&limit, loop_now_ns(poller->loop)) && may_log(poller))
            log_line(LOG_LEVEL_WARN, "X-Ray did not take the statistics of the sampling rule %.64s: %.64s: %.200s",
                     name != NULL ? name : "?", code != NULL ? code : "?", message != NULL ? message : "");
    }
}

/* The rules have been changed since we know them: by X-Ray's clock alone, for ours may be off. */
static bool has_changed(struct xray_poller *poller, const json_t *answer)
{
    double changed_s = json_number_value(json_object_get(answer, "LastRuleModification"));

    if (changed_s <= poller->known_change_s)
        return false;
    poller->known_change_s = changed_s;
    return true;
}

static void take_targets(struct xray_poller *poller, const json_t *answer)
{
    const json_t *targets = json_object_get(answer, "SamplingTargetDocuments");
    struct xray_member *member = poller->reporting;
    size_t i;
    const json_t *target;

    log_unprocessed(poller, answer);
    if (has_changed(poller, answer))
        poller->wants_rules = true;
    if (member == NULL)
        return;
    json_array_foreach(targets, i, target)
        xray_ledger_take_target(&member->ledger, target, member->source->wall_offset_ns);
    member->changed(member);
}

static void on_targets(void *arg, const struct http_response *response)
{
    struct xray_poller *poller = arg;
    json_t *answer = read_answer(poller, response);

    if (poller->reporting != NULL)
        xray_ledger_reported(&poller->reporting->ledger, answer != NULL);
    if (answer != NULL) {
        end_problem(poller);
        take_targets(poller, answer);
    } else {
        poller->round = NULL; /* the others of this round would fare no better */
    }
    json_decref(answer);
    end_call(poller);
    advance(poller);
}

/* False: this member has nothing to report. */
static bool ask_targets(struct xray_poller *poller, struct xray_member *member)
{
    const struct wire_ring *ring = source_ring(member->source);
    json_t *list =
        ring != NULL ? xray_ledger_report(&member->ledger, ring->xray_tallies, clock_now_ns(CLOCK_REALTIME) / NS_PER_S)
                     : NULL;

    if (list == NULL)
        return false;
    poller->reporting = member;
    call(poller, ASK_TARGETS, json_pack("{s:o}", "SamplingStatisticsDocuments", list), on_targets);
    return true;
}

/* Quotas run out, and so do the rules. */
static void on_round_timer(void *arg)
{
    struct xray_poller *poller = arg;

    (void)loop_timer_set(poller->loop, &poller->round_timer, XRAY_ROUND_S * NS_PER_S + random_below(round_jitter_ns));
    tell_members(poller);
    if (xray_poller_rules(poller) != NULL && poller->round == NULL) {
        for (struct xray_member *member = poller->members; member != NULL; member = member->next)
            xray_ledger_begin_round(&member->ledger);
        poller->round = poller->members;
    }
    advance(poller);
}

/* The next call, if there is one to be made. */
static void advance(struct xray_poller *poller)
{
    if (poller->is_calling)
        return;
    if (poller->wants_rules && poller->members != NULL) {
        ask_rules(poller);
        return;
    }
    while (poller->round != NULL && !ask_targets(poller, poller->round))
        poller->round = poller->round->next;
}

/* its life */

static void poller_free(struct xray_poller *poller)
{
    struct xray_poller **link = &pollers;

    while (*link != NULL && *link != poller)
        link = &(*link)->next;
    if (*link != NULL)
        *link = poller->next;
    loop_timer_clear(poller->loop, &poller->rules_timer);
    loop_timer_clear(poller->loop, &poller->round_timer);
    xray_service_free(poller->service);
    xray_rules_deinit(&poller->rules);
    xray_rules_deinit(&poller->loading);
    free(poller->body);
    settings_unref(poller->settings);
    free(poller);
}

void xray_poller_deinit(void)
{
    while (pollers != NULL)
        poller_free(pollers);
}

static struct xray_poller *poller_new(const struct exporter_host *host, struct settings *settings)
{
    struct xray_poller *poller = calloc(1, sizeof(*poller));
    char error[XRAY_SERVICE_ERROR_SIZE] = "";

    if (poller == NULL)
        return NULL;
    poller->loop = host->loop;
    poller->settings = settings_ref(settings);
    poller->rules_timer = (struct loop_timer){.fn = on_rules_timer, .arg = poller};
    poller->round_timer = (struct loop_timer){.fn = on_round_timer, .arg = poller};
    poller->service = xray_service_new(host, settings, error);
    poller->next = pollers;
    pollers = poller;
    if (poller->service == NULL) {
        if (may_log(poller))
            log_line(LOG_LEVEL_WARN, "X-Ray's sampling rules can't be asked for: %s", error);
        (void)snprintf(poller->problems[ASK_RULES], sizeof(poller->problems[ASK_RULES]), "%s", error);
    }
    return poller;
}

static struct xray_poller *find(const struct settings *settings)
{
    struct xray_poller *poller = pollers;

    while (poller != NULL && memcmp(poller->settings->digest, settings->digest, SETTINGS_DIGEST_SIZE) != 0)
        poller = poller->next;
    return poller;
}

/* The rules now, unless they were asked for a moment ago. */
static void start(struct xray_poller *poller)
{
    uint64_t now_ns = loop_now_ns(poller->loop);
    bool is_long_ago = poller->tried_ns == 0 || now_ns - poller->tried_ns >= RETRY_S * NS_PER_S;
    bool is_due = poller->rules_due_ns <= now_ns || poller->failure_count > 0;

    (void)loop_timer_set(poller->loop, &poller->round_timer, XRAY_ROUND_S * NS_PER_S + random_below(round_jitter_ns));
    if (is_long_ago && is_due)
        poller->wants_rules = true;
    else
        schedule_rules(poller, poller->rules_due_ns > now_ns ? poller->rules_due_ns - now_ns : RETRY_S * NS_PER_S);
}

int xray_poller_join(struct xray_member *member, const struct exporter_host *host, struct settings *settings)
{
    struct xray_poller *poller = find(settings);

    if (poller == NULL)
        poller = poller_new(host, settings);
    if (poller == NULL)
        return -ENOMEM;
    member->poller = poller;
    member->next = poller->members;
    poller->members = member;
    if (member->next == NULL && poller->service != NULL)
        start(poller);
    advance(poller);
    return 0;
}

/* Keep a few of those that nobody uses, the last ones. */
static void limit_idle(void)
{
    struct xray_poller *oldest = NULL;
    size_t idle_count = 0;

    for (struct xray_poller *poller = pollers; poller != NULL; poller = poller->next) {
        if (poller->members != NULL)
            continue;
        idle_count++;
        if (oldest == NULL || poller->idle_since_ns < oldest->idle_since_ns)
            oldest = poller;
    }
    if (idle_count > IDLE_MAX)
        poller_free(oldest);
}

void xray_poller_leave(struct xray_member *member)
{
    struct xray_poller *poller = member->poller;
    struct xray_member **link = &poller->members;

    while (*link != member)
        link = &(*link)->next;
    *link = member->next;
    if (poller->round == member)
        poller->round = member->next;
    if (poller->reporting == member)
        poller->reporting = NULL;
    member->poller = NULL;
    if (poller->members != NULL)
        return;
    loop_timer_clear(poller->loop, &poller->rules_timer);
    loop_timer_clear(poller->loop, &poller->round_timer);
    poller->idle_since_ns = loop_now_ns(poller->loop);
    limit_idle();
}

const struct xray_rules *xray_poller_rules(const struct xray_poller *poller)
{
    return poller->has_rules && xray_poller_age_s(poller) < FRESH_S ? &poller->rules : NULL;
}

uint64_t xray_poller_age_s(const struct xray_poller *poller)
{
    return (loop_now_ns(poller->loop) - poller->loaded_ns) / NS_PER_S;
}

bool xray_poller_has_tried(const struct xray_poller *poller)
{
    return poller->has_rules || poller->failure_count > 0 || poller->service == NULL;
}

const char *xray_poller_problem(const struct xray_poller *poller)
{
    return poller->problems[ASK_RULES][0] != '\0' ? poller->problems[ASK_RULES] : poller->problems[ASK_TARGETS];
}
