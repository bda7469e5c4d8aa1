/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of programs that are started: what is put into it, what stays, and whose the memory is. */
#include "preload/child_env.h"

#include "preload/config.h"
#include "preload/current.h"
#include "preload/process.h"
#include "preload/start_env.h"
#include "tests/support/shim_core.h"
#include "tests/support/shim_span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PRELOAD "LD_PRELOAD=/usr/lib/libother.so:/usr/lib/spanshim/libspanshim.so"
#define CALLER  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define START   "TRACEPARENT=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define OWN     "TRACEPARENT=00-11111111111111111111111111111111-2222222222222222-01"

static struct wire_slot *slot;

/* A request that came with a context is served by this thread. */
static int setup(void **state)
{
    if (shim_span_setup(state) != 0)
        return -1;
    config.environment_mode = ENVIRONMENT_ON;
    atomic_store(&process_active, 1);
    slot = shim_span_begin("GET", "/");
    shim_span_field(slot, "traceparent", CALLER);
    shim_span_field(slot, "tracestate", "vendor=1");
    shim_span_field(slot, "baggage", "user=7");
    span_head_end(slot, &shim_span_head);
    current_set(&(struct request_ref){slot, wire_slot_request(slot)->start_ns});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    span_discard(slot);
    current_clear();
    return 0;
}

static const char *own_traceparent(void)
{
    static char text[128];
    const struct wire_request *request = wire_slot_request(slot);
    char *at = text + sprintf(text, "TRACEPARENT=00-");

    for (size_t i = 0; i < sizeof(request->trace_id); i++)
        at += sprintf(at, "%02x", request->trace_id[i]);
    *at++ = '-';
    for (size_t i = 0; i < sizeof(request->span_id); i++)
        at += sprintf(at, "%02x", request->span_id[i]);
    (void)strcpy(at, "-01");
    return text;
}

/* What comes of this environment, up to a NULL among the expected. */
static void assert_made(char *const *envp, const char *const *expected)
{
    struct child_env *env = child_env_make(envp, CHILD_ENV_BESIDE);
    size_t i = 0;

    assert_non_null(env);
    for (; expected[i]; i++) {
        assert_non_null(env->entries[i]);
        assert_string_equal(env->entries[i], expected[i]);
    }
    assert_null(env->entries[i]);
    child_env_free(env);
}

#define MADE(...) ((const char *const[]){__VA_ARGS__, own_traceparent(), "TRACESTATE=vendor=1", "BAGGAGE=user=7", NULL})
#define ENV(...)  ((char *const *)(uintptr_t)(const char *const[]){__VA_ARGS__, NULL})

static void test_child_env_adds_the_context(void **state)
{
    (void)state;
    assert_made(ENV("A=1", PRELOAD, "B="), MADE("A=1", PRELOAD, "B="));
    assert_made(ENV(PRELOAD, "no equals sign", "", "=", "A=1", "A=2"),
                MADE(PRELOAD, "no equals sign", "", "=", "A=1", "A=2"));
}

/* Names are whole, and in upper case. */
static void test_child_env_knows_names(void **state)
{
    (void)state;
    assert_made(ENV(PRELOAD, "TRACEPARENTS=1", "traceparent=1", "MY_TRACEPARENT=1", "TRACEPARENT"),
                MADE(PRELOAD, "TRACEPARENTS=1", "traceparent=1", "MY_TRACEPARENT=1", "TRACEPARENT"));
}

static void test_child_env_leaves_the_callers_word(void **state)
{
    (void)state;
    assert_null(child_env_make(ENV("A=1"), CHILD_ENV_BESIDE));
    assert_null(child_env_make(ENV("LD_PRELOAD=/usr/lib/libother.so"), CHILD_ENV_BESIDE));
    assert_null(child_env_make((char *const[]){NULL}, CHILD_ENV_BESIDE));
    assert_null(child_env_make(NULL, CHILD_ENV_BESIDE));
    assert_null(child_env_make((char *const *)-1, CHILD_ENV_BESIDE));
    assert_null(child_env_make(ENV(PRELOAD, OWN), CHILD_ENV_BESIDE));
    assert_null(child_env_make(ENV(PRELOAD, START, OWN), CHILD_ENV_BESIDE));
    assert_null(child_env_make(ENV(PRELOAD, "TRACEPARENT="), CHILD_ENV_BESIDE));
    assert_made(ENV(PRELOAD, "BAGGAGE=mine=1"),
                ((const char *const[]){PRELOAD, "BAGGAGE=mine=1", own_traceparent(), "TRACESTATE=vendor=1", NULL}));
}

static void test_child_env_replaces_what_was_inherited(void **state)
{
    (void)state;
    assert_made(ENV(START, PRELOAD, START, "TRACESTATE=start=1", "A=1"), MADE(PRELOAD, "A=1"));
    assert_made(ENV(START, PRELOAD, "TRACESTATE=other=1"),
                ((const char *const[]){PRELOAD, "TRACESTATE=other=1", own_traceparent(), "BAGGAGE=user=7", NULL}));
}

/* No request: what the process got itself goes on, where it is missing. */
static void test_child_env_passes_on_what_was_inherited(void **state)
{
    (void)state;
    current_clear();
    assert_null(child_env_make(ENV(PRELOAD), CHILD_ENV_BESIDE)); /* the request is live, but not this thread's */
    span_discard(slot);
    assert_made(ENV(PRELOAD, "A=1"), ((const char *const[]){PRELOAD, "A=1", START, "TRACESTATE=start=1", NULL}));
    assert_null(child_env_make(ENV(PRELOAD, START), CHILD_ENV_BESIDE));
    assert_null(child_env_make(ENV(PRELOAD, OWN), CHILD_ENV_BESIDE));
    assert_int_equal(setup(state), 0);
}

static void test_child_env_bounds(void **state)
{
    static char preload[] = PRELOAD, other[] = "A=1";
    static char *many[CHILD_ENV_ENTRIES + 1];
    struct child_env *env;

    (void)state;
    many[0] = preload;
    for (size_t i = 1; i < CHILD_ENV_ENTRIES; i++)
        many[i] = other;
    assert_null(child_env_make(many, CHILD_ENV_BESIDE));
    many[CHILD_ENV_ENTRIES - START_ENV_COUNT - 2] = NULL;
    env = child_env_make(many, CHILD_ENV_BESIDE);
    assert_non_null(env);
    assert_string_equal(env->entries[CHILD_ENV_ENTRIES - 3], "BAGGAGE=user=7");
    assert_null(env->entries[CHILD_ENV_ENTRIES - 2]);
    child_env_free(env);
}

/* The longest that a request may bring along. */
static void test_child_env_takes_all_of_a_context(void **state)
{
    static char baggage[8192 + 1], expected[sizeof("BAGGAGE=") + sizeof(baggage)];
    struct child_env *env;

    (void)teardown(state);
    memset(baggage, 'b', sizeof(baggage) - 1);
    memcpy(baggage, "key=", 4);
    (void)sprintf(expected, "BAGGAGE=%s", baggage);
    slot = shim_span_begin("GET", "/");
    shim_span_field(slot, "traceparent", CALLER);
    shim_span_field(slot, "baggage", baggage);
    span_head_end(slot, &shim_span_head);
    current_set(&(struct request_ref){slot, wire_slot_request(slot)->start_ns});
    env = child_env_make(ENV(PRELOAD), CHILD_ENV_BESIDE);
    assert_non_null(env);
    assert_string_equal(env->entries[2], expected);
    assert_null(env->entries[3]);
    child_env_free(env);
}

/* A vfork child's block is taken back by its parent; one that it gave back itself is not lent any more. */
static void test_child_env_lends_to_a_vfork_child(void **state)
{
    struct child_env *env, *other;

    (void)state;
    process_in_vfork = 1;
    env = child_env_make(ENV(PRELOAD), CHILD_ENV_IN_PLACE);
    assert_ptr_equal(child_env_lent, env);
    child_env_free(env);
    assert_null(child_env_lent);
    env = child_env_make(ENV(PRELOAD), CHILD_ENV_IN_PLACE);
    process_in_vfork = 0;
    other = child_env_make(ENV(PRELOAD), CHILD_ENV_BESIDE);
    assert_ptr_not_equal(other, env);
    assert_ptr_equal(child_env_lent, env);
    child_env_reclaim();
    assert_null(child_env_lent);
    child_env_reclaim();
    assert_ptr_equal(child_env_make(ENV(PRELOAD), CHILD_ENV_BESIDE), env);
    child_env_free(env);
    child_env_free(other);
    child_env_free(NULL);
}

static void test_child_env_is_switched(void **state)
{
    (void)state;
    config.environment_mode = ENVIRONMENT_READ;
    assert_null(child_env_make(ENV(PRELOAD), CHILD_ENV_BESIDE));
    config.environment_mode = ENVIRONMENT_WRITE;
    config.propagator_formats = 1u << PROPAGATION_B3 | (PROPAGATION_B3 + 1u) << PROPAGATION_ORDER_SHIFT;
    assert_null(child_env_make(ENV(PRELOAD), CHILD_ENV_BESIDE));
}

/* system(), and in the handler of a signal that interrupts it again. */
static void test_child_env_is_exchanged(void **state)
{
    char *const *own = ENV(PRELOAD, "A=1");
    char **before = environ;
    struct child_env *env;

    (void)state;
    environ = (char **)(uintptr_t)own;
    env = child_env_exchange();
    assert_non_null(env);
    assert_ptr_equal(env->entries, environ);
    assert_null(child_env_exchange());
    child_env_restore(NULL);
    assert_ptr_equal(env->entries, environ);
    child_env_restore(env);
    assert_ptr_equal(own, environ);
    environ = before;
}

/* The handler jumps out of the call, or goes on with it after a jump of its own. */
static void test_child_env_is_restored_by_a_jump(void **state)
{
    char *const *own = ENV(PRELOAD, "A=1");
    char **before = environ;
    struct child_env *env;

    (void)state;
    environ = (char **)(uintptr_t)own;
    env = child_env_exchange();
    assert_non_null(env);
    child_env_after_jump();
    assert_ptr_equal(own, environ);
    child_env_restore(env);
    assert_ptr_equal(own, environ);
    child_env_restore(child_env_exchange());
    assert_ptr_equal(own, environ);
    environ = before;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_child_env_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(adds_the_context),
        TEST(knows_names),
        TEST(leaves_the_callers_word),
        TEST(replaces_what_was_inherited),
        TEST(passes_on_what_was_inherited),
        TEST(bounds),
        TEST(takes_all_of_a_context),
        TEST(lends_to_a_vfork_child),
        TEST(is_exchanged),
        TEST(is_restored_by_a_jump),
        TEST(is_switched),
    };

    if (!shim_core_init(NULL))
        return 1;
    config.environment_mode = ENVIRONMENT_ON;
    config.propagator_formats = PROPAGATION_DEFAULT_FORMATS;
    start_env_init(ENV(PRELOAD, START, "TRACESTATE=start=1"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
