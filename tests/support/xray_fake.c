/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/xray_fake.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"
#include "exporters/agent/xray_sampling.h"
#include "exporters/exporter.h"
#include "exporters/xray_service.h"
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

struct xray_fake xray_fake;

/* the loop and the service */

uint64_t loop_now_ns(const struct loop *loop)
{
    (void)loop;
    return xray_fake.now_ns;
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    if (timer->index != 0)
        xray_fake.timers[timer->index - 1] = NULL;
    timer->index = 0;
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns)
{
    size_t place = 0;

    loop_timer_clear(loop, timer);
    while (xray_fake.timers[place] != NULL)
        place++;
    assert_true(place < XRAY_FAKE_TIMERS_MAX);
    xray_fake.timers[place] = timer;
    timer->index = place + 1;
    timer->deadline_ns = xray_fake.now_ns + delay_ns;
    return 0;
}

struct xray_service *xray_service_new(const struct exporter_host *host, const struct settings *settings,
                                      char error[XRAY_SERVICE_ERROR_SIZE])
{
    (void)host;
    (void)settings;
    (void)error;
    return (struct xray_service *)(void *)&xray_fake;
}

void xray_service_free(struct xray_service *service)
{
    (void)service;
    xray_fake.path = NULL;
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
    assert_null(xray_fake.path); /* one at a time */
    assert_true(xray_fake.call_count < XRAY_FAKE_CALLS_MAX);
    xray_fake.path = path;
    xray_fake.done = done;
    xray_fake.arg = arg;
    xray_fake.calls[xray_fake.call_count].at_ns = xray_fake.now_ns;
    xray_fake.calls[xray_fake.call_count].is_rules = strcmp(path, "/GetSamplingRules") == 0;
    xray_fake.calls[xray_fake.call_count++].body = strndup(body, length);
    return 0;
}

void xray_fake_answer(void)
{
    struct http_response response = {.failure =
                                         xray_fake.is_busy ? "it answers 429" : "nobody takes connections there"};
    const char *body = strcmp(xray_fake.path, "/GetSamplingRules") == 0 ? xray_fake.rules : xray_fake.targets;

    if (body != NULL && !xray_fake.is_busy)
        response = (struct http_response){.status = 200, .body = body, .body_length = strlen(body)};
    xray_fake.path = NULL;
    xray_fake.done(xray_fake.arg, &response);
}

void xray_fake_answer_all(void)
{
    while (xray_fake.path != NULL && !xray_fake.is_slow)
        xray_fake_answer();
}

/* the program */

static void move_clock(uint64_t now_ns)
{
    xray_fake.now_ns = now_ns;
    xray_fake.source.wall_offset_ns = (int64_t)(clock_now_ns(CLOCK_REALTIME) - now_ns);
}

void xray_fake_run_until(uint64_t end_ns)
{
    xray_fake_answer_all();
    for (;;) {
        struct loop_timer *next = NULL;

        for (size_t i = 0; i < XRAY_FAKE_TIMERS_MAX; i++)
            if (xray_fake.timers[i] != NULL && (next == NULL || xray_fake.timers[i]->deadline_ns < next->deadline_ns))
                next = xray_fake.timers[i];
        if (next == NULL || next->deadline_ns > end_ns)
            break;
        move_clock(next->deadline_ns > xray_fake.now_ns ? next->deadline_ns : xray_fake.now_ns);
        loop_timer_clear(NULL, next);
        next->fn(next->arg);
        xray_fake_answer_all();
    }
    move_clock(end_ns);
}

void xray_fake_run_for(uint64_t seconds)
{
    xray_fake_run_until(xray_fake.now_ns + seconds * S);
}

void xray_fake_set_rules(const char *text)
{
    free(xray_fake.rules);
    xray_fake.rules = text != NULL ? strdup(text) : NULL;
}

void xray_fake_set_targets(const char *text)
{
    free(xray_fake.targets);
    xray_fake.targets = text != NULL ? strdup(text) : NULL;
}

void xray_fake_open_source(const char *more)
{
    const char *entries[] = {"AWS_XRAY_DAEMON_ADDRESS=127.0.0.1:9", "OTEL_SERVICE_NAME=shop", more};

    xray_fake.source = (struct source){.pid = 7, .same_clock = true};
    xray_fake.source.settings = settings_new(entries, more != NULL ? 3 : 2, NULL);
    xray_fake.source.executable = strdup("/bin/shop");
    assert_non_null(xray_fake.source.settings);
    xray_fake.source.map = calloc(1, WIRE_PAGE);
    xray_fake.source.control = calloc(1, sizeof(struct wire_control));
    xray_fake.source.control_size = sizeof(struct wire_control);
    move_clock(xray_fake.now_ns);
}

void xray_fake_close_source(void)
{
    xray_sampling_remove(&xray_fake.source);
    settings_unref(xray_fake.source.settings);
    free(xray_fake.source.executable);
    free(xray_fake.source.map);
    free(xray_fake.source.control);
}

static char log_path[32];

int xray_fake_set_up(void **state)
{
    (void)state;
    xray_fake.now_ns = 100000 * S;
    xray_fake.is_busy = false;
    xray_fake.call_count = 0;
    xray_fake.is_slow = false;
    xray_fake_set_rules(XRAY_RECORDS(XRAY_RULE("a", 10, 0.5, 3) "," XRAY_DEFAULT_RULE));
    xray_fake_set_targets(XRAY_NO_TARGETS);
    (void)snprintf(log_path, sizeof(log_path), "/tmp/test_xray_poller.XXXXXX");
    assert_int_not_equal(close(mkstemp(log_path)), -1);
    assert_int_equal(log_open(log_path), 0);
    xray_sampling_init(&(struct exporter_host){0});
    return 0;
}

int xray_fake_tear_down(void **state)
{
    (void)state;
    xray_fake_close_source();
    xray_sampling_deinit();
    for (size_t i = 0; i < XRAY_FAKE_TIMERS_MAX; i++)
        assert_null(xray_fake.timers[i]);
    for (size_t i = 0; i < xray_fake.call_count; i++)
        free(xray_fake.calls[i].body);
    xray_fake_set_rules(NULL);
    xray_fake_set_targets(NULL);
    log_close();
    (void)unlink(log_path);
    return 0;
}

size_t xray_fake_logged(const char *text)
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

size_t xray_fake_calls_of(bool is_rules)
{
    size_t count = 0;

    for (size_t i = 0; i < xray_fake.call_count; i++)
        count += xray_fake.calls[i].is_rules == is_rules;
    return count;
}

const struct wire_xray_rules *xray_fake_published(void)
{
    uint32_t generation = atomic_load(&xray_fake.source.control->xray_generation);

    assert_int_not_equal(generation, 0);
    return &xray_fake.source.control->xray[generation & 1];
}

struct wire_xray_tally *xray_fake_tally(uint32_t rule)
{
    return &source_ring(&xray_fake.source)->xray_tallies[xray_fake_published()->rules[rule].tally];
}

void xray_fake_count(uint32_t rule, uint32_t requests, uint32_t sampled, uint32_t borrowed)
{
    atomic_fetch_add(&xray_fake_tally(rule)->requests, requests);
    atomic_fetch_add(&xray_fake_tally(rule)->sampled, sampled);
    atomic_fetch_add(&xray_fake_tally(rule)->borrowed, borrowed);
}

const json_t *xray_fake_statistics(size_t call, size_t n)
{
    static json_t *body;

    json_decref(body);
    body = json_loads(xray_fake.calls[call].body, 0, NULL);
    return json_array_get(json_object_get(body, "SamplingStatisticsDocuments"), n);
}

json_int_t xray_fake_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}
