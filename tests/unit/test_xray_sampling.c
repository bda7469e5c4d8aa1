/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/xray_sampling.h"

#include "preload/sampler.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND   UINT64_C(1000000000)
#define NOW      (UINT64_C(5000) * SECOND)
#define LOCAL    UINT64_MAX /* quota_until_ns of a rule that nobody grants anything */
#define NO_RATE  SAMPLER_THRESHOLD_NONE
#define ANY_RATE UINT64_C(0)

static const uint8_t lowest_id[16]; /* that no rate but 1 keeps */
static const uint8_t highest_id[16] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

/* A rule in words. NULL: "*", which the agent leaves out. */
struct words {
    const char *name, *service, *host, *method, *path;
    uint16_t methods; /* 0: all */
    uint32_t reservoir;
    uint64_t quota_until_ns, threshold;
    uint8_t flags;
};

static struct wire_control *control;
static struct wire_xray_tally *tallies; /* shared with forked processes */

static int setup(void **state)
{
    (void)state;
    control = calloc(1, sizeof(*control));
    tallies = mmap(NULL, WIRE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return control && tallies != MAP_FAILED ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(control);
    (void)munmap(tallies, WIRE_PAGE);
    return 0;
}

static struct wire_xray_text put(struct wire_xray_rules *rules, const char *text)
{
    struct wire_xray_text at = {.offset = (uint16_t)rules->text_length};

    if (!text)
        return (struct wire_xray_text){0};
    at.length = (uint16_t)strlen(text);
    memcpy(rules->text + at.offset, text, at.length);
    rules->text_length += at.length;
    return at;
}

/* As the agent does: fill the place that nobody is told of yet, then tell. The n-th rule has the n-th tally. */
static void publish(const struct words *words, size_t count)
{
    uint32_t generation = atomic_load(&control->xray_generation) + 1;
    struct wire_xray_rules *rules = &control->xray[generation & 1];

    memset(rules, 0, sizeof(*rules));
    rules->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        rules->rules[i] = (struct wire_xray_rule){
            .flags = words[i].flags,
            .tally = (uint8_t)i,
            .methods = words[i].methods ? words[i].methods : UINT16_MAX,
            .reservoir = words[i].reservoir,
            .quota_until_ns = words[i].quota_until_ns,
            .threshold = words[i].threshold,
            .name = put(rules, words[i].name),
            .service = put(rules, words[i].service),
            .host = put(rules, words[i].host),
            .method = put(rules, words[i].method),
            .path = put(rules, words[i].path),
        };
    atomic_store(&control->xray_generation, generation);
}

static struct slice slice_of(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

/* A GET of /api/users for shop.example:8080. */
static struct xray_request a_request(void)
{
    return (struct xray_request){
        .now_ns = NOW,
        .trace_id = lowest_id,
        .methods = 1u << WIRE_METHOD_GET,
        .host = slice_of("shop.example:8080"),
        .path = slice_of("/api/users"),
    };
}

static struct xray_decision decide(const struct xray_request *request)
{
    struct xray_decision decision;

    xray_sampling_decide(control, tallies, request, &decision);
    return decision;
}

static bool is_sampled_at(uint64_t now_ns)
{
    struct xray_request request = a_request();

    request.now_ns = now_ns;
    return decide(&request).is_sampled;
}

/* Requests of this second that are sampled, of so many. */
static unsigned sampled_of(unsigned count, uint64_t now_ns)
{
    unsigned sampled = 0;

    for (unsigned i = 0; i < count; i++)
        sampled += is_sampled_at(now_ns + i);
    return sampled;
}

static void assert_tally(unsigned index, unsigned requests, unsigned sampled, unsigned borrowed)
{
    assert_int_equal(tallies[index].requests, requests);
    assert_int_equal(tallies[index].sampled, sampled);
    assert_int_equal(tallies[index].borrowed, borrowed);
}

static void test_xray_sampling_takes_one_a_second_and_five_percent_without_rules(void **state)
{
    struct xray_request request = a_request();
    uint8_t id[16] = {0};
    uint64_t random = 1;
    unsigned kept = 0;

    (void)state;
    free(control);
    control = NULL;
    assert_int_equal(sampled_of(100, NOW), 1);
    assert_int_equal(sampled_of(100, NOW + SECOND), 1);
    request.trace_id = id;
    request.now_ns = NOW + SECOND;
    for (unsigned i = 0; i < 20000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        for (unsigned n = 0; n < 7; n++)
            id[9 + n] = (uint8_t)(random >> (56 - 8 * n));
        kept += decide(&request).is_sampled;
    }
    assert_in_range(kept, 850, 1150);
    assert_int_equal(decide(&request).name_length, 0);
}

static void test_xray_sampling_counts_the_default_where_no_rule_fits(void **state)
{
    const struct words rule = {.path = "/other", .threshold = ANY_RATE};

    (void)state;
    publish(&rule, 1);
    assert_int_equal(sampled_of(10, NOW), 1);
    assert_tally(0, 0, 0, 0);
    assert_tally(WIRE_XRAY_TALLY_DEFAULT, 10, 1, 0);
    publish(&rule, 0);
    assert_int_equal(sampled_of(10, NOW), 0); /* the same second */
}

static void test_xray_sampling_finds_the_rule_that_fits(void **state)
{
    static const struct {
        struct words rule;
        struct {
            const char *host, *method, *path;
            uint16_t methods;
            bool is_named_by_host;
        } request;
        bool fits;
    } rows[] = {
        {{0}, {"h", NULL, "/p", 1 << WIRE_METHOD_GET, true}, true},
        {{.flags = 1, .path = "/api/*"}, {"h", NULL, "/api/users", 1 << WIRE_METHOD_GET, false}, true},
        {{.flags = 1, .path = "/api/*"}, {"h", NULL, "/API/users", 1 << WIRE_METHOD_GET, false}, true},
        {{.flags = 1, .path = "/api/*"}, {"h", NULL, "/apis", 1 << WIRE_METHOD_GET, false}, false},
        {{.flags = 1, .path = "/a?i"}, {"h", NULL, "/api", 1 << WIRE_METHOD_GET, false}, true},
        {{.flags = 1, .path = "/api"}, {"h", NULL, NULL, 1 << WIRE_METHOD_GET, false}, true},
        {{.flags = 1, .host = "*.example:80"}, {"a.Example:80", NULL, "/", 1 << WIRE_METHOD_GET, false}, true},
        {{.flags = 1, .host = "*.example"}, {"a.example:80", NULL, "/", 1 << WIRE_METHOD_GET, false}, false},
        {{.flags = 1, .host = "a"}, {NULL, NULL, "/", 1 << WIRE_METHOD_GET, false}, true},
        {{.flags = 1, .methods = 1 << WIRE_METHOD_POST}, {"h", NULL, "/", 1 << WIRE_METHOD_GET, false}, false},
        {{.flags = 1, .methods = 1 << WIRE_METHOD_GET}, {"h", NULL, "/", 1 << WIRE_METHOD_GET, false}, true},
        {{.flags = 1, .methods = 1 << WIRE_METHOD_GET}, {"h", "PURGE", "/", 1 << WIRE_METHOD_OTHER, false}, false},
        {{.flags = 1, .methods = 1, .method = "PUR*"}, {"h", "PURGE", "/", 1 << WIRE_METHOD_OTHER, false}, true},
        {{.flags = 1, .methods = 1, .method = "PUR"}, {"h", "PURGE", "/", 1 << WIRE_METHOD_OTHER, false}, false},
        {{.flags = 1, .methods = 1 << WIRE_METHOD_GET, .host = "a", .path = "/b"},
         {NULL, NULL, NULL, UINT16_MAX, false},
         true},
        /* the segment's name: the service's own, which the agent has looked at, or the Host */
        {{.flags = 0, .service = "shop"}, {"shop", NULL, "/", 1 << WIRE_METHOD_GET, false}, false},
        {{.flags = 1, .service = "shop"}, {"h", NULL, "/", 1 << WIRE_METHOD_GET, false}, true},
        {{.flags = 1, .service = "shop"}, {"h", NULL, "/", 1 << WIRE_METHOD_GET, true}, false},
        {{.flags = 0, .service = "*.shop"}, {"a.shop", NULL, "/", 1 << WIRE_METHOD_GET, true}, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct words words = rows[i].rule;
        struct xray_request request = {
            .now_ns = NOW,
            .trace_id = lowest_id,
            .is_named_by_host = rows[i].request.is_named_by_host,
            .methods = rows[i].request.methods,
            .method = slice_of(rows[i].request.method),
            .host = slice_of(rows[i].request.host),
            .path = slice_of(rows[i].request.path),
        };
        uint32_t before = tallies[0].requests;

        words.threshold = NO_RATE;
        publish(&words, 1);
        (void)decide(&request);
        if ((tallies[0].requests != before) != rows[i].fits)
            fail_msg("row %zu: %s", i, rows[i].fits ? "does not fit" : "fits");
    }
}

static void test_xray_sampling_asks_the_first_rule_that_fits(void **state)
{
    const struct words rules[] = {
        {.name = "orders", .path = "/orders", .threshold = ANY_RATE, .flags = WIRE_XRAY_RULE_CENTRAL},
        {.name = "api", .path = "/api/*", .threshold = ANY_RATE, .flags = WIRE_XRAY_RULE_CENTRAL},
        {.name = "Default", .threshold = NO_RATE, .flags = WIRE_XRAY_RULE_CENTRAL},
    };
    struct xray_request request = a_request();
    struct xray_decision decision;

    (void)state;
    publish(rules, 3);
    decision = decide(&request);
    assert_true(decision.is_sampled);
    assert_int_equal(decision.name_length, 3);
    assert_memory_equal(decision.name, "api", 3);
    request.path = slice_of("/else");
    decision = decide(&request);
    assert_false(decision.is_sampled);
    assert_int_equal(decision.name_length, 0);
    assert_tally(0, 0, 0, 0);
    assert_tally(1, 1, 1, 0);
    assert_tally(2, 1, 0, 0);
}

/* Only X-Ray's own rules are named in segments. */
static void test_xray_sampling_does_not_name_local_rules(void **state)
{
    const struct words rule = {.name = "file", .threshold = ANY_RATE};
    struct xray_request request = a_request();
    struct xray_decision decision;

    (void)state;
    publish(&rule, 1);
    decision = decide(&request);
    assert_true(decision.is_sampled);
    assert_int_equal(decision.name_length, 0);
}

static void test_xray_sampling_takes_what_is_granted_then_the_rate(void **state)
{
    const struct words rule = {.reservoir = 3, .quota_until_ns = NOW + 2 * SECOND, .threshold = NO_RATE};
    struct xray_request request = a_request();

    (void)state;
    publish(&rule, 1);
    assert_int_equal(sampled_of(10, NOW), 3);
    request.trace_id = highest_id;
    assert_false(decide(&request).is_sampled); /* a rate of 0 */
    assert_int_equal(sampled_of(10, NOW + SECOND), 3);
    assert_tally(0, 21, 6, 0);
}

static void test_xray_sampling_borrows_when_the_quota_has_expired(void **state)
{
    const struct words rule = {.reservoir = 3, .quota_until_ns = NOW + SECOND / 2, .threshold = NO_RATE};
    const struct words empty = {.reservoir = 0, .threshold = NO_RATE};

    (void)state;
    publish(&rule, 1);
    assert_int_equal(sampled_of(10, NOW), 3);
    assert_int_equal(sampled_of(10, NOW + SECOND * 3 / 4), 0); /* of this second more than one is taken */
    assert_int_equal(sampled_of(10, NOW + SECOND), 1);
    assert_int_equal(sampled_of(10, NOW + 2 * SECOND), 1);
    assert_tally(0, 40, 5, 2);
    publish(&empty, 1);
    assert_int_equal(sampled_of(10, NOW + 3 * SECOND), 0); /* nothing to borrow from */
}

static void test_xray_sampling_never_counts_a_second_twice(void **state)
{
    const struct words rule = {.reservoir = 2, .quota_until_ns = LOCAL, .threshold = NO_RATE};

    (void)state;
    publish(&rule, 1);
    assert_true(is_sampled_at(NOW + SECOND));
    assert_true(is_sampled_at(NOW)); /* it began earlier, and comes late: of the newer second */
    assert_false(is_sampled_at(NOW));
    assert_false(is_sampled_at(NOW + SECOND));
    assert_true(is_sampled_at(NOW + 2 * SECOND));
}

static void test_xray_sampling_keeps_within_bounds(void **state)
{
    const struct words rule = {.path = "/x", .name = "n", .threshold = ANY_RATE, .flags = WIRE_XRAY_RULE_CENTRAL};
    struct xray_request request = a_request();
    struct wire_xray_rules *rules;

    (void)state;
    publish(&rule, 1);
    rules = &control->xray[1];
    rules->count = UINT32_MAX;
    for (size_t i = 0; i < WIRE_XRAY_RULES_MAX; i++)
        rules->rules[i] = rules->rules[0];
    assert_true(decide(&request).is_sampled); /* by the default */
    assert_int_equal(tallies[WIRE_XRAY_TALLY_DEFAULT].requests, 1);
    rules->rules[0].path = (struct wire_xray_text){WIRE_XRAY_TEXT_MAX - 1, 2}; /* no text: fits */
    rules->rules[0].name = (struct wire_xray_text){UINT16_MAX, UINT16_MAX};
    rules->rules[0].tally = 255;
    assert_true(decide(&request).is_sampled);
    assert_int_equal(decide(&request).name_length, 0);
    rules->rules[0].name = (struct wire_xray_text){0, WIRE_XRAY_NAME_MAX + 1};
    assert_int_equal(decide(&request).name_length, 0);
}

enum { THREADS = 8, TURNS = 5000, SECONDS = 5, QUOTA = 20000 };

/* Sampled by all threads and processes; beside the tallies. */
static _Atomic uint32_t *all_sampled;

static void *share(void *arg)
{
    atomic_fetch_add(all_sampled, sampled_of(TURNS, *(uint64_t *)arg));
    return NULL;
}

static void share_in_threads(uint64_t now_ns)
{
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, share, &now_ns), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void test_xray_sampling_shares_a_reservoir_among_threads_and_processes(void **state)
{
    const struct words rule = {.reservoir = QUOTA, .quota_until_ns = LOCAL, .threshold = NO_RATE};

    (void)state;
    all_sampled = (_Atomic uint32_t *)(void *)(tallies + WIRE_XRAY_TALLIES_MAX);
    publish(&rule, 1);
    for (unsigned second = 1; second <= SECONDS; second++) {
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        share_in_threads(NOW + second * SECOND);
        if (child == 0)
            _exit(0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(*all_sampled, second * QUOTA);
        assert_tally(0, 2 * second * THREADS * TURNS, second * QUOTA, 0);
    }
}

static _Atomic bool is_over;

/* Publishes two rules in turn, as fast as it can. */
static void *publish_all_the_time(void *arg)
{
    const struct words rules[2] = {
        {.name = "fits", .path = "/*aaaaaaaab*", .threshold = ANY_RATE, .flags = WIRE_XRAY_RULE_CENTRAL},
        {.name = "does not", .path = "/b", .threshold = ANY_RATE, .flags = WIRE_XRAY_RULE_CENTRAL},
    };

    (void)arg;
    for (unsigned i = 0; !atomic_load(&is_over); i++)
        publish(&rules[i / 2 % 2], 1);
    return NULL;
}

/* The rule that fits is never named as the other one, which is written over it meanwhile. */
static void test_xray_sampling_reads_rules_whole_or_not_at_all(void **state)
{
    struct xray_request request = a_request();
    char path[1000];
    pthread_t publisher;

    (void)state;
#if defined(__SANITIZE_THREAD__)
    print_message("skipped: rules are read while they are written, and that is what this sanitizer reports\n");
    skip();
#endif
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = 'b'; /* it takes a while to find out that it fits */
    request.path = (struct slice){path, sizeof(path)};
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&publisher, NULL, publish_all_the_time, NULL), 0);
    for (unsigned i = 0; i < 20000; i++) {
        struct xray_decision decision = decide(&request);

        assert_true(decision.name_length == 0 || slice_is((struct slice){decision.name, decision.name_length}, "fits"));
    }
    atomic_store(&is_over, true);
    assert_int_equal(pthread_join(publisher, NULL), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_xray_sampling_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(takes_one_a_second_and_five_percent_without_rules),
        TEST(counts_the_default_where_no_rule_fits),
        TEST(finds_the_rule_that_fits),
        TEST(asks_the_first_rule_that_fits),
        TEST(does_not_name_local_rules),
        TEST(takes_what_is_granted_then_the_rate),
        TEST(borrows_when_the_quota_has_expired),
        TEST(never_counts_a_second_twice),
        TEST(keeps_within_bounds),
        TEST(shares_a_reservoir_among_threads_and_processes),
        TEST(reads_rules_whole_or_not_at_all),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
