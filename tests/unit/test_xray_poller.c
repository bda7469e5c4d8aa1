/* SPDX-License-Identifier: Apache-2.0 */
/* When X-Ray is asked for rules and quotas, and what comes of the answers: with a service and a loop of the test's own,
 * so that hours pass at once. */
#include "exporters/agent/xray_sampling.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"
#include "exporters/exporter.h"
#include "exporters/xray_service.h"
#include "preload/sampler.h"
#include "preload/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

enum { TIMERS_MAX = 8, CALLS_MAX = 4096 };

/* the loop and the service */

static struct {
    uint64_t now_ns;
    struct loop_timer *timers[TIMERS_MAX];
    /* The service. */
    char *rules, *targets; /* its answers; NULL: nobody is there */
    bool is_busy;          /* it wants to be left alone */
    bool is_slow;          /* it does not answer before it is told to */
    http_done *done;
    void *arg;
    const char *path; /* of the call under way; NULL: none */
    struct {
        uint64_t at_ns;
        bool is_rules;
        char *body;
    } calls[CALLS_MAX];
    size_t call_count;
} fake;

uint64_t loop_now_ns(const struct loop *loop)
{
    (void)loop;
    return fake.now_ns;
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    if (timer->index != 0)
        fake.timers[timer->index - 1] = NULL;
    timer->index = 0;
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns)
{
    size_t place = 0;

    loop_timer_clear(loop, timer);
    while (fake.timers[place] != NULL)
        place++;
    assert_true(place < TIMERS_MAX);
    fake.timers[place] = timer;
    timer->index = place + 1;
    timer->deadline_ns = fake.now_ns + delay_ns;
    return 0;
}

struct xray_service *xray_service_new(const struct exporter_host *host, const struct settings *settings,
                                      char error[XRAY_SERVICE_ERROR_SIZE])
{
    (void)host;
    (void)settings;
    (void)error;
    return (struct xray_service *)(void *)&fake;
}

void xray_service_free(struct xray_service *service)
{
    (void)service;
    fake.path = NULL;
}

const char *xray_service_shown(const struct xray_service *service)
{
    (void)service;
    return "daemon:2000";
}

int xray_service_post(struct xray_service *service, const char *path, const void *body, size_t length, http_done *done,
                      void *arg)
{
    (void)service;
    assert_null(fake.path); /* one at a time */
    assert_true(fake.call_count < CALLS_MAX);
    fake.path = path;
    fake.done = done;
    fake.arg = arg;
    fake.calls[fake.call_count].at_ns = fake.now_ns;
    fake.calls[fake.call_count].is_rules = strcmp(path, "/GetSamplingRules") == 0;
    fake.calls[fake.call_count++].body = strndup(body, length);
    return 0;
}

static void answer(void)
{
    struct http_response response = {.failure = fake.is_busy ? "it answers 429" : "nobody takes connections there"};
    const char *body = strcmp(fake.path, "/GetSamplingRules") == 0 ? fake.rules : fake.targets;

    if (body != NULL && !fake.is_busy)
        response = (struct http_response){.status = 200, .body = body, .body_length = strlen(body)};
    fake.path = NULL;
    fake.done(fake.arg, &response);
}

static void answer_all(void)
{
    while (fake.path != NULL && !fake.is_slow)
        answer();
}

/* sources */

static struct source source;

static void move_clock(uint64_t now_ns)
{
    fake.now_ns = now_ns;
    source.wall_offset_ns = (int64_t)(clock_now_ns(CLOCK_REALTIME) - now_ns);
}

/* All timers that are due until then, in order. */
static void run_until(uint64_t end_ns)
{
    answer_all();
    for (;;) {
        struct loop_timer *next = NULL;

        for (size_t i = 0; i < TIMERS_MAX; i++)
            if (fake.timers[i] != NULL && (next == NULL || fake.timers[i]->deadline_ns < next->deadline_ns))
                next = fake.timers[i];
        if (next == NULL || next->deadline_ns > end_ns)
            break;
        move_clock(next->deadline_ns > fake.now_ns ? next->deadline_ns : fake.now_ns);
        loop_timer_clear(NULL, next);
        next->fn(next->arg);
        answer_all();
    }
    move_clock(end_ns);
}

static void run_for(uint64_t seconds)
{
    run_until(fake.now_ns + seconds * S);
}

static void set_rules(const char *text)
{
    free(fake.rules);
    fake.rules = text != NULL ? strdup(text) : NULL;
}

static void set_targets(const char *text)
{
    free(fake.targets);
    fake.targets = text != NULL ? strdup(text) : NULL;
}

#define RULE(name, priority, rate, reservoir)                                                                          \
    "{\"SamplingRule\":{\"RuleName\":\"" name "\",\"Priority\":" #priority ",\"FixedRate\":" #rate                     \
    ",\"ReservoirSize\":" #reservoir ",\"ServiceName\":\"*\",\"ServiceType\":\"*\",\"Host\":\"*\","                    \
    "\"HTTPMethod\":\"*\",\"URLPath\":\"/" name "\",\"ResourceARN\":\"*\",\"Version\":1},\"ModifiedAt\":1000}"
#define RECORDS(rules) "{\"SamplingRuleRecords\":[" rules "],\"NextToken\":null}"
#define DEFAULT_RULE                                                                                                   \
    "{\"SamplingRule\":{\"RuleName\":\"Default\",\"Priority\":10000,\"FixedRate\":0.05,\"ReservoirSize\":1,"           \
    "\"ServiceName\":\"*\",\"ServiceType\":\"*\",\"Host\":\"*\",\"HTTPMethod\":\"*\",\"URLPath\":\"*\","               \
    "\"ResourceARN\":\"*\",\"Version\":1},\"ModifiedAt\":900}"
#define NO_TARGETS "{\"SamplingTargetDocuments\":[],\"LastRuleModification\":1000,\"UnprocessedStatistics\":[]}"

static void open_source(const char *more)
{
    const char *entries[] = {"AWS_XRAY_DAEMON_ADDRESS=127.0.0.1:9", "OTEL_SERVICE_NAME=shop", more};

    source = (struct source){.pid = 7, .same_clock = true};
    source.settings = settings_new(entries, more != NULL ? 3 : 2, NULL);
    source.executable = strdup("/bin/shop");
    assert_non_null(source.settings);
    source.map = calloc(1, WIRE_PAGE);
    source.control = calloc(1, sizeof(struct wire_control));
    source.control_size = sizeof(struct wire_control);
    move_clock(fake.now_ns);
}

static void close_source(void)
{
    xray_sampling_remove(&source);
    settings_unref(source.settings);
    free(source.executable);
    free(source.map);
    free(source.control);
}

static char log_path[32];

static int set_up(void **state)
{
    (void)state;
    fake.now_ns = 100000 * S;
    fake.is_busy = false;
    fake.call_count = 0;
    fake.is_slow = false;
    set_rules(RECORDS(RULE("a", 10, 0.5, 3) "," DEFAULT_RULE));
    set_targets(NO_TARGETS);
    (void)snprintf(log_path, sizeof(log_path), "/tmp/test_xray_poller.XXXXXX");
    assert_int_not_equal(close(mkstemp(log_path)), -1);
    assert_int_equal(log_open(log_path), 0);
    xray_sampling_init(&(struct exporter_host){0});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_source();
    xray_sampling_deinit();
    for (size_t i = 0; i < TIMERS_MAX; i++)
        assert_null(fake.timers[i]);
    for (size_t i = 0; i < fake.call_count; i++)
        free(fake.calls[i].body);
    set_rules(NULL);
    set_targets(NULL);
    log_close();
    (void)unlink(log_path);
    return 0;
}

/* Lines of the log with this text in them. */
static size_t logged(const char *text)
{
    FILE *file = fopen(log_path, "re");
    char line[1024];
    size_t count = 0;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        count += strstr(line, text) != NULL;
    (void)fclose(file);
    return count;
}

static size_t calls_of(bool is_rules)
{
    size_t count = 0;

    for (size_t i = 0; i < fake.call_count; i++)
        count += fake.calls[i].is_rules == is_rules;
    return count;
}

/* What the shim reads. */
static const struct wire_xray_rules *published(void)
{
    uint32_t generation = atomic_load(&source.control->xray_generation);

    assert_int_not_equal(generation, 0);
    return &source.control->xray[generation & 1];
}

static struct wire_xray_tally *tally(uint32_t rule)
{
    return &source_ring(&source)->xray_tallies[published()->rules[rule].tally];
}

/* What the shim does. */
static void count(uint32_t rule, uint32_t requests, uint32_t sampled, uint32_t borrowed)
{
    atomic_fetch_add(&tally(rule)->requests, requests);
    atomic_fetch_add(&tally(rule)->sampled, sampled);
    atomic_fetch_add(&tally(rule)->borrowed, borrowed);
}

/* The statistics of a call. */
static const json_t *statistics(size_t call, size_t n)
{
    static json_t *body;

    json_decref(body);
    body = json_loads(fake.calls[call].body, 0, NULL);
    return json_array_get(json_object_get(body, "SamplingStatisticsDocuments"), n);
}

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* tests */

static void test_xray_poller_publishes_before_it_is_told(void **state)
{
    (void)state;
    fake.is_slow = true;
    open_source(NULL);
    xray_sampling_add(&source);
    assert_int_equal(published()->count, 1);
    assert_int_equal(published()->rules[0].reservoir, 1);
    assert_int_equal(published()->rules[0].tally, WIRE_XRAY_TALLY_DEFAULT);
    assert_true(published()->rules[0].quota_until_ns == UINT64_MAX);
    assert_true(published()->rules[0].threshold == sampler_threshold(0.05));
    assert_int_equal(published()->rules[0].flags & WIRE_XRAY_RULE_CENTRAL, 0);
    assert_int_equal(fake.call_count, 1);
    assert_string_equal(fake.calls[0].body, "{}");
    answer();
    assert_int_equal(published()->count, 2);
    assert_int_equal(published()->rules[0].reservoir, 3);
    assert_int_equal(published()->rules[0].quota_until_ns, 0); /* to be borrowed from */
    assert_true(published()->rules[0].flags & WIRE_XRAY_RULE_CENTRAL);
    assert_true(published()->rules[0].threshold == sampler_threshold(0.5));
}

static void test_xray_poller_decides_only_where_it_is_asked_to(void **state)
{
    (void)state;
    open_source("OTEL_TRACES_SAMPLER=always_on");
    xray_sampling_add(&source);
    assert_null(source.sampled);
    assert_int_equal(fake.call_count, 0);
    close_source();
    open_source("AWS_XRAY_SDK_ENABLED=false");
    xray_sampling_add(&source);
    assert_null(source.sampled);
    close_source();
    open_source(NULL);
    source.control_size = WIRE_CONTROL_SMALL; /* of an early shim */
    xray_sampling_add(&source);
    assert_null(source.sampled);
}

static void test_xray_poller_asks_at_the_stated_rate(void **state)
{
    uint64_t last_ns = 0;

    (void)state;
    open_source(NULL);
    xray_sampling_add(&source);
    run_for(3100);
    assert_in_range(calls_of(true), 11, 11);
    assert_int_equal(calls_of(false), 0); /* nothing was counted: nothing is reported */
    for (size_t i = 0; i < fake.call_count; i++) {
        if (i > 0)
            assert_in_range(fake.calls[i].at_ns - last_ns, 300 * S, 305 * S);
        last_ns = fake.calls[i].at_ns;
    }
}

static void test_xray_poller_reports_what_was_counted(void **state)
{
    (void)state;
    open_source(NULL);
    xray_sampling_add(&source);
    run_for(1);
    count(0, 100, 30, 5);
    count(1, 7, 7, 1);
    run_for(10);
    assert_int_equal(calls_of(false), 1);
    assert_int_equal(number_of(statistics(1, 0), "RequestCount"), 100);
    assert_int_equal(number_of(statistics(1, 0), "SampledCount"), 30);
    assert_int_equal(number_of(statistics(1, 0), "BorrowCount"), 5);
    assert_int_equal(strlen(json_string_value(json_object_get(statistics(1, 0), "ClientID"))), 24);
    assert_in_range(number_of(statistics(1, 0), "Timestamp"), time(NULL) - 100, time(NULL) + 100);
    assert_string_equal(json_string_value(json_object_get(statistics(1, 1), "RuleName")), "Default");
    count(1, 3, 0, 0);
    run_for(60);
    assert_int_equal(calls_of(false), 2);
    assert_int_equal(number_of(statistics(2, 0), "RequestCount"), 3); /* since the last one */
    assert_null(statistics(2, 1));
}

static void test_xray_poller_reports_again_what_was_not_taken(void **state)
{
    (void)state;
    open_source(NULL);
    xray_sampling_add(&source);
    run_for(1);
    count(0, 100, 30, 5);
    fake.is_busy = true;
    run_for(10);
    assert_int_equal(logged("sampling quotas can't be had from daemon:2000: it answers 429"), 1);
    fake.is_busy = false;
    count(0, 1, 1, 0);
    run_for(10);
    assert_int_equal(calls_of(false), 2);
    assert_int_equal(number_of(statistics(2, 0), "RequestCount"), 101);
    assert_int_equal(logged("sampling quotas come from daemon:2000 again"), 1);
}

/* The counts wrap around, and a request may be counted as sampled after the report in which it is a request. */
static void test_xray_poller_reports_differences(void **state)
{
    (void)state;
    open_source(NULL);
    atomic_store(&source_ring(&source)->xray_tallies[0].requests, UINT32_MAX - 1);
    xray_sampling_add(&source);
    run_for(1);
    count(0, 5, 4, 0);
    run_for(10);
    assert_int_equal(number_of(statistics(1, 0), "RequestCount"), 5);
    count(0, 1, 2, 2);
    run_for(10);
    assert_int_equal(number_of(statistics(2, 0), "SampledCount"), 1);
    assert_int_equal(number_of(statistics(2, 0), "BorrowCount"), 1);
    count(0, 1, 0, 0);
    run_for(10);
    assert_int_equal(number_of(statistics(3, 0), "SampledCount"), 1); /* told later */
}

static void test_xray_poller_takes_quotas(void **state)
{
    char *text;

    (void)state;
    open_source(NULL);
    xray_sampling_add(&source);
    run_for(1);
    count(0, 1, 1, 1);
    assert_true(asprintf(&text,
                         "{\"SamplingTargetDocuments\":[{\"RuleName\":\"a\",\"FixedRate\":0.25,\"ReservoirQuota\":17,"
                         "\"ReservoirQuotaTTL\":%lld,\"Interval\":30},{\"RuleName\":\"unknown\",\"FixedRate\":1}],"
                         "\"LastRuleModification\":1000}",
                         (long long)time(NULL) + 120) > 0);
    set_targets(text);
    free(text);
    run_for(10);
    assert_int_equal(published()->rules[0].reservoir, 17);
    assert_true(published()->rules[0].threshold == sampler_threshold(0.25));
    assert_in_range(published()->rules[0].quota_until_ns, fake.now_ns + 105 * S, fake.now_ns + 125 * S);

    /* Every third round from now on; what an answer lacks stays as it was. */
    set_targets(
        "{\"SamplingTargetDocuments\":[{\"RuleName\":\"a\",\"FixedRate\":0.75}],\"LastRuleModification\":1000}");
    count(0, 1, 1, 1);
    run_for(20);
    assert_int_equal(calls_of(false), 1);
    run_for(11);
    assert_int_equal(calls_of(false), 2);
    assert_int_equal(published()->rules[0].reservoir, 17);
    assert_true(published()->rules[0].threshold == sampler_threshold(0.75));

    /* Loaded anew, the rule keeps its quota and its counts, and has its own rate. */
    set_targets("{\"SamplingTargetDocuments\":[],\"LastRuleModification\":2000}");
    set_rules(RECORDS(RULE("new", 5, 1, 0) "," RULE("a", 10, 0.125, 3) "," DEFAULT_RULE));
    count(0, 1, 1, 1);
    run_for(20);
    assert_int_equal(calls_of(true), 1);
    run_for(11);
    assert_int_equal(calls_of(true), 2); /* the rules have been changed: not after five minutes, but now */
    assert_int_equal(published()->count, 3);
    assert_int_equal(published()->rules[1].reservoir, 17);
    assert_int_equal(published()->rules[1].tally, 0);
    assert_int_equal(published()->rules[0].tally, 2);
    assert_true(published()->rules[1].threshold == sampler_threshold(0.125));
    count(1, 1, 1, 0);
    run_for(100); /* once, though it is said again */
    assert_int_equal(calls_of(false), 4);
    assert_int_equal(calls_of(true), 2);

    /* The quota has run out. */
    assert_int_equal(published()->rules[1].reservoir, 3);
    assert_int_equal(published()->rules[1].quota_until_ns, 0);
}

static void test_xray_poller_takes_no_quota_that_has_long_run_out(void **state)
{
    (void)state;
    open_source(NULL);
    xray_sampling_add(&source);
    run_for(1);
    count(0, 1, 1, 1);
    set_targets("{\"SamplingTargetDocuments\":[{\"RuleName\":\"a\",\"ReservoirQuota\":17,\"ReservoirQuotaTTL\":1}]}");
    run_for(10); /* the machine was started long after that second */
    assert_int_equal(calls_of(false), 1);
    assert_int_equal(published()->rules[0].reservoir, 3);
    assert_int_equal(published()->rules[0].quota_until_ns, 0);
}

static void test_xray_poller_reports_25_rules_in_a_call(void **state)
{
    char text[64 * 512] = "";
    size_t length = 0;

    (void)state;
    for (int i = 0; i < 60; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length,
                                   "%s{\"SamplingRule\":{\"RuleName\":\"r%02d\",\"Priority\":1,\"FixedRate\":1,"
                                   "\"ReservoirSize\":1,\"ServiceName\":\"*\",\"ServiceType\":\"*\",\"Host\":\"*\","
                                   "\"HTTPMethod\":\"*\",\"URLPath\":\"/%d\",\"ResourceARN\":\"*\",\"Version\":1},"
                                   "\"ModifiedAt\":1000}",
                                   i > 0 ? "," : "{\"SamplingRuleRecords\":[", i, i);
    (void)snprintf(text + length, sizeof(text) - length, "]}");
    set_rules(text);
    open_source(NULL);
    xray_sampling_add(&source);
    run_for(1);
    assert_int_equal(published()->count, 60);
    for (uint32_t i = 0; i < 60; i++)
        count(i, i + 1, 0, 0);
    run_for(10);
    assert_int_equal(calls_of(false), 3);
    assert_non_null(statistics(1, 24));
    assert_null(statistics(1, 25));
    assert_int_equal(number_of(statistics(3, 9), "RequestCount"), 60);
    assert_null(statistics(3, 10));
}

static void test_xray_poller_uses_rules_for_an_hour(void **state)
{
    (void)state;
    open_source(NULL);
    xray_sampling_add(&source);
    run_for(1);
    set_rules(NULL);
    run_for(3590);
    assert_int_equal(published()->count, 2);
    run_for(20);
    assert_int_equal(published()->count, 1); /* the default */
    assert_int_equal(logged("sampling rules can't be had from daemon:2000: nobody takes connections there"), 1);
    assert_int_equal(logged("X-Ray's sampling is by the default"), 1);
    set_rules(RECORDS(RULE("a", 10, 0.5, 3) "," DEFAULT_RULE));
    run_for(306);
    assert_int_equal(published()->count, 2);
    assert_int_equal(published()->rules[0].tally, 0); /* its counts and its quota are there still */
    assert_int_equal(logged("sampling rules come from daemon:2000 again"), 1);
}

/* Soon at first, for a daemon may start after the program; then every five minutes, for ever, with one line. */
static void test_xray_poller_goes_on_asking(void **state)
{
    static const uint64_t expected_s[] = {10, 20, 40, 80, 160, 300, 300};

    (void)state;
    set_rules(NULL);
    open_source(NULL);
    xray_sampling_add(&source);
    run_for(1000);
    for (size_t i = 0; i < 7; i++)
        assert_in_range(fake.calls[i + 1].at_ns - fake.calls[i].at_ns, expected_s[i] * S, (expected_s[i] + 5) * S);
    assert_int_equal(logged("can't be had"), 1);
    assert_int_equal(published()->count, 1);
}

#define ODD_TARGETS                                                                                                    \
    "{\"SamplingTargetDocuments\":[7,{},{\"RuleName\":\"a\",\"FixedRate\":-1,\"ReservoirQuota\":1e99,"                 \
    "\"ReservoirQuotaTTL\":-5,\"Interval\":1e300}],\"UnprocessedStatistics\":[{},{\"ErrorCode\":\"500\"}]}"

static void test_xray_poller_survives_any_answer(void **state)
{
    static const char *const answers[] = {
        "",
        "[]",
        "nonsense",
        "{}",
        "{\"SamplingRuleRecords\":7}",
        "{\"SamplingRuleRecords\":[7,null,{},{\"SamplingRule\":{}}]}",
        "{\"SamplingRuleRecords\":[],\"NextToken\":\"again\"}", /* for ever */
        "{\"SamplingTargetDocuments\":7,\"LastRuleModification\":\"now\",\"UnprocessedStatistics\":3}",
        ODD_TARGETS,
    };

    (void)state;
    open_source(NULL);
    xray_sampling_add(&source);
    run_for(1);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        set_rules(RECORDS(RULE("a", 10, 0.5, 3) "," DEFAULT_RULE));
        set_targets(answers[i]);
        run_for(400);
        count(0, 1, 1, 0);
        run_for(20);
        set_rules(answers[i]);
        run_for(10000);
    }
    assert_true(logged("did not take the statistics of the sampling rule") > 0);
    set_rules(RECORDS(RULE("a", 10, 0.5, 3) "," DEFAULT_RULE));
    run_for(306);
    assert_int_equal(published()->count, 2);
    assert_true(published()->rules[0].threshold == sampler_threshold(0.5));
    assert_int_equal(published()->rules[0].reservoir, 3);
}

static void test_xray_poller_puts_pages_together(void **state)
{
    (void)state;
    fake.is_slow = true;
    set_rules("{\"SamplingRuleRecords\":[" DEFAULT_RULE "],\"NextToken\":\"7\"}");
    open_source(NULL);
    xray_sampling_add(&source);
    answer();
    assert_string_equal(fake.calls[1].body, "{\"NextToken\":\"7\"}");
    assert_int_equal(published()->count, 1);
    set_rules(RECORDS(RULE("a", 10, 0.5, 3)));
    answer();
    assert_int_equal(published()->count, 2);
    assert_int_equal(published()->rules[0].reservoir, 3); /* by priority, not as they came */
}

/* Far more than an account can have, and there would be another page. */
static void test_xray_poller_takes_a_thousand_rules_at_most(void **state)
{
    static const char record[] = RULE("a", 10, 0.5, 3) ",";
    static const char beginning[] = "{\"SamplingRuleRecords\":[", rest[] = DEFAULT_RULE "],\"NextToken\":\"2\"}";
    char *text = malloc(sizeof(beginning) + 1200 * strlen(record) + sizeof(rest));
    char *end = text;

    (void)state;
    assert_non_null(text);
    end = stpcpy(end, beginning);
    for (int i = 0; i < 1200; i++)
        end = stpcpy(end, record);
    (void)stpcpy(end, rest);
    set_rules(text);
    free(text);
    open_source(NULL);
    xray_sampling_add(&source);
    run_for(1);
    assert_int_equal(calls_of(true), 1);
    assert_int_equal(logged(": 1000, and 201 that are passed over"), 1);
}

/* A script that runs for a moment, again and again. */
static void test_xray_poller_reads_no_answer_that_is_too_long(void **state)
{
    static const char rules[] = RECORDS(RULE("a", 10, 0.5, 3));
    const size_t length = (1 << 20) + 1;
    char *text = malloc(length + 1);

    (void)state;
    assert_non_null(text);
    memset(text, ' ', length);
    memcpy(text, rules, strlen(rules));
    text[length] = '\0';
    set_rules(text);
    open_source(NULL);
    xray_sampling_add(&source);
    run_for(1);
    assert_int_equal(logged("its answer is too long"), 1);
    text[length - 1] = '\0';
    set_rules(text);
    free(text);
    run_for(16);
    assert_int_equal(logged("come from daemon:2000 again"), 1);
    assert_int_equal(published()->count, 1);
}

static void test_xray_poller_keeps_rules_for_the_next_program(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        open_source(NULL);
        xray_sampling_add(&source);
        answer_all();
        assert_int_equal(published()->count, 2);
        if (i < 99)
            close_source();
        run_for(2);
    }
    assert_int_equal(calls_of(true), 1);
}

static void test_xray_poller_forgets_a_program_while_it_is_asked_for(void **state)
{
    (void)state;
    open_source(NULL);
    xray_sampling_add(&source);
    run_for(1);
    count(0, 1, 1, 0);
    fake.is_slow = true;
    run_for(10);
    assert_non_null(fake.path);
    close_source();
    answer();
    open_source(NULL);
    xray_sampling_add(&source);
    assert_int_equal(published()->count, 2);
}

/* The rules that the worker before had published count until it is known whether there are newer ones. */
static void test_xray_poller_leaves_what_stands_there_after_a_restart(void **state)
{
    (void)state;
    fake.is_slow = true;
    open_source(NULL);
    atomic_store(&source.control->xray_generation, 5);
    xray_sampling_add(&source);
    assert_int_equal(atomic_load(&source.control->xray_generation), 5);
    answer();
    assert_int_equal(atomic_load(&source.control->xray_generation), 6);
    assert_int_equal(published()->count, 2);
}

static void test_xray_poller_reads_the_users_file(void **state)
{
    char name[] = "/tmp/spanshim-rules-XXXXXX";
    char entry[128];
    int fd = mkstemp(name);
    static const char text[] = "{\"version\":2,\"default\":{\"fixed_target\":4,\"rate\":0},\"rules\":[]}";

    (void)state;
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)snprintf(entry, sizeof(entry), "SPANSHIM_XRAY_SAMPLING_RULES=%s", name);
    set_rules(NULL);
    open_source(entry);
    xray_sampling_add(&source);
    run_for(1);
    assert_int_equal(published()->count, 1);
    assert_int_equal(published()->rules[0].reservoir, 4);
    assert_true(published()->rules[0].threshold == SAMPLER_THRESHOLD_NONE);
    assert_int_equal(settings_complaint_count(source.settings), 0);
    close_source();
    assert_int_equal(ftruncate(fd, 5), 0);
    open_source(entry);
    xray_sampling_add(&source);
    assert_int_equal(published()->rules[0].reservoir, 1);
    assert_int_equal(settings_complaint_count(source.settings), 1);
    assert_non_null(strstr(settings_complaint(source.settings, 0), name));
    (void)close(fd);
    (void)unlink(name);
}

static void test_xray_poller_shows_what_is_in_force(void **state)
{
    json_t *status;
    const json_t *rule;

    (void)state;
    open_source(NULL);
    assert_null(xray_sampling_status(&source));
    xray_sampling_add(&source);
    run_for(7);
    count(0, 9, 3, 1);
    status = xray_sampling_status(&source);
    rule = json_array_get(json_object_get(status, "rules"), 0);
    assert_string_equal(json_string_value(json_object_get(status, "from")), "xray");
    assert_int_equal(number_of(status, "age_s"), 7);
    assert_string_equal(json_string_value(json_object_get(rule, "name")), "a");
    assert_int_equal(number_of(rule, "requests"), 9);
    assert_int_equal(number_of(rule, "sampled"), 3);
    assert_int_equal(number_of(rule, "borrowed"), 1);
    assert_true(json_real_value(json_object_get(rule, "rate")) == 0.5);
    json_decref(status);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_xray_poller_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(publishes_before_it_is_told),
        TEST(decides_only_where_it_is_asked_to),
        TEST(asks_at_the_stated_rate),
        TEST(reports_what_was_counted),
        TEST(reports_again_what_was_not_taken),
        TEST(reports_differences),
        TEST(takes_quotas),
        TEST(takes_no_quota_that_has_long_run_out),
        TEST(reports_25_rules_in_a_call),
        TEST(uses_rules_for_an_hour),
        TEST(goes_on_asking),
        TEST(survives_any_answer),
        TEST(puts_pages_together),
        TEST(takes_a_thousand_rules_at_most),
        TEST(reads_no_answer_that_is_too_long),
        TEST(keeps_rules_for_the_next_program),
        TEST(forgets_a_program_while_it_is_asked_for),
        TEST(leaves_what_stands_there_after_a_restart),
        TEST(reads_the_users_file),
        TEST(shows_what_is_in_force),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
