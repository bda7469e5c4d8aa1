/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/rollbar_fingerprint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* A frame in short: "module!function", or "module+offset". Addresses and lines are never the same twice. */
static json_t *make_frame(const char *text)
{
    static int serial;
    const char *bang = strchr(text, '!');
    const char *plus = bang == NULL ? strchr(text, '+') : NULL;
    const char *end = bang != NULL ? bang : plus;
    json_t *frame =
        json_pack("{s:o, s:o, s:i}", "module", json_sprintf("/usr/lib%d/%.*s", serial, (int)(end - text), text),
                  "address", json_sprintf("0x%x", 4096 * serial), "line", serial);

    serial++;
    (void)json_object_set_new(frame, bang != NULL ? "function" : "offset", json_string(end + 1));
    return frame;
}

/* Frames, the innermost first, separated by blanks. */
static json_t *make_crash(const char *class, const char *const *frames)
{
    json_t *list = json_array();

    for (; *frames != NULL; frames++)
        (void)json_array_append_new(list, make_frame(*frames));
    return json_pack("{s:s, s:{s:s}, s:[{s:o}]}", "kind", "crash", "exception", "class", class, "threads", "frames",
                     list);
}

#define FRAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void take(json_t *report, char out[ROLLBAR_FINGERPRINT_SIZE])
{
    rollbar_fingerprint(report, out);
    assert_int_equal(strlen(out), 40);
    assert_int_equal(strspn(out, "0123456789abcdef"), 40);
    json_decref(report);
}

static int differ(json_t *a, json_t *b)
{
    char first[ROLLBAR_FINGERPRINT_SIZE];
    char second[ROLLBAR_FINGERPRINT_SIZE];

    take(a, first);
    take(b, second);
    return strcmp(first, second) != 0;
}

static int frames_differ(const char *const *a, const char *const *b)
{
    return differ(make_crash("SIGSEGV", a), make_crash("SIGSEGV", b));
}

static void test_rollbar_fingerprint_tells_crashes_apart(void **state)
{
    (void)state;
    assert_true(frames_differ(FRAMES("shop!parse", "shop!main"), FRAMES("shop!print", "shop!main")));
    assert_true(frames_differ(FRAMES("shop!parse", "shop!main"), FRAMES("other!parse", "shop!main")));
    assert_true(differ(make_crash("SIGSEGV", FRAMES("shop!main")), make_crash("SIGABRT", FRAMES("shop!main"))));
}

static void test_rollbar_fingerprint_is_stable_over_addresses_and_lines(void **state)
{
    (void)state;
    assert_false(frames_differ(FRAMES("shop!parse", "shop!main"), FRAMES("shop!parse", "shop!main")));
}

static void test_rollbar_fingerprint_is_that_of_the_caller_of_libc(void **state)
{
    (void)state;
    assert_false(frames_differ(FRAMES("libc.so.6!__pthread_kill_implementation", "libc.so.6!raise", "libc.so.6!abort",
                                      "shop!check", "shop!main", "libc.so.6!__libc_start_main"),
                               FRAMES("libc.so.6!pthread_kill", "libc.so.6!gsignal", "libc.so.6!abort", "shop!check",
                                      "shop!main", "shop!_start")));
    /* Linked statically. */
    assert_false(frames_differ(FRAMES("shop!raise", "shop!abort", "shop!__libc_message", "shop!malloc_printerr",
                                      "shop!_int_free", "shop!free", "shop!check"),
                               FRAMES("shop!check")));
    assert_false(frames_differ(FRAMES("libstdc++.so.6!std::terminate()", "libstdc++.so.6!__cxa_throw", "shop!at(int)"),
                               FRAMES("shop!at(int)")));
    assert_false(frames_differ(FRAMES("shop!std::process::abort", "shop!__rustc::rust_panic",
                                      "shop!core::panicking::panic_fmt", "shop!shop::run"),
                               FRAMES("shop!shop::run")));
}

static void test_rollbar_fingerprint_folds_recursion(void **state)
{
    (void)state;
    assert_false(frames_differ(FRAMES("a!f", "a!f", "a!f", "a!main"), FRAMES("a!f", "a!f", "a!main")));
    assert_false(frames_differ(FRAMES("a!f", "a!g", "a!f", "a!g", "a!main"),
                               FRAMES("a!g", "a!f", "a!g", "a!f", "a!g", "a!main")));
}

static void test_rollbar_fingerprint_takes_no_noise_of_names(void **state)
{
    (void)state;
    assert_false(frames_differ(FRAMES("a!f(int, char const*)"), FRAMES("a!f(long)")));
    assert_false(frames_differ(FRAMES("a!f.part.0"), FRAMES("a!f")));
    assert_false(frames_differ(FRAMES("a!f.cold"), FRAMES("a!f")));
    assert_false(frames_differ(FRAMES("a!f@@V_1"), FRAMES("a!f")));
    assert_false(
        frames_differ(FRAMES("a!v<int, w<char> >::at(unsigned long)"), FRAMES("a!v<long>::at(unsigned long)")));
    assert_false(frames_differ(FRAMES("a!shop::run::h0123456789abcdef"), FRAMES("a!shop::run::hfedcba9876543210")));
    assert_false(frames_differ(FRAMES("a!shop::run::h0123456789abcdef"), FRAMES("a!shop::run")));
    assert_true(frames_differ(FRAMES("a!(anonymous namespace)::f()"), FRAMES("a!(anonymous namespace)::g()")));
    assert_true(frames_differ(FRAMES("a!operator<(x)"), FRAMES("a!operator<<(x)")));
    assert_true(frames_differ(FRAMES("a!x::operator()(int)"), FRAMES("a!x::operator[](int)")));
    assert_true(frames_differ(FRAMES("a!<a::X as b::Y>::f"), FRAMES("a!<a::X as b::Z>::f")));
}

static void test_rollbar_fingerprint_counts_the_innermost_five(void **state)
{
    (void)state;
    assert_false(frames_differ(FRAMES("a!1f", "a!2f", "a!3f", "a!4f", "a!5f", "a!6f"),
                               FRAMES("a!1f", "a!2f", "a!3f", "a!4f", "a!5f", "a!other")));
    assert_true(frames_differ(FRAMES("a!1f", "a!2f", "a!3f", "a!4f", "a!5f"),
                              FRAMES("a!1f", "a!2f", "a!3f", "a!4f", "a!other")));
}

static void test_rollbar_fingerprint_passes_over_guesses_and_inlined_frames(void **state)
{
    json_t *with = make_crash("SIGSEGV", FRAMES("a!f", "a!guessed", "a!inlined", "a!main"));
    json_t *frames = json_object_get(json_array_get(json_object_get(with, "threads"), 0), "frames");

    (void)state;
    (void)json_object_set_new(json_array_get(frames, 1), "found_by", json_string("scan"));
    (void)json_object_set_new(json_array_get(frames, 2), "inlined", json_true());
    assert_false(differ(with, make_crash("SIGSEGV", FRAMES("a!f", "a!main"))));
}

static void test_rollbar_fingerprint_takes_offsets_where_nothing_has_a_name(void **state)
{
    (void)state;
    assert_false(frames_differ(FRAMES("a+0x10", "a+0x20"), FRAMES("a+0x10", "a+0x20")));
    assert_true(frames_differ(FRAMES("a+0x10", "a+0x20"), FRAMES("a+0x18", "a+0x20")));
    /* All of it within libc: its own names then. */
    assert_true(frames_differ(FRAMES("libc.so.6!abort"), FRAMES("libc.so.6!free")));
}

static json_t *make_error(const char *class, const char *message, const char *function, int line)
{
    return json_pack("{s:s, s:{s:s, s:s}, s:[{s:[{s:s, s:s, s:i}]}]}", "kind", "error", "exception", "class", class,
                     "message", message, "threads", "frames", "file", "shop.py", "function", function, "line", line);
}

/* As Rollbar groups it. */
static void test_rollbar_fingerprint_of_an_error_is_its_class_and_calls(void **state)
{
    (void)state;
    assert_false(differ(make_error("KeyError", "a", "price", 5), make_error("KeyError", "b", "price", 6)));
    assert_true(differ(make_error("KeyError", "a", "price", 5), make_error("ValueError", "a", "price", 5)));
    assert_true(differ(make_error("KeyError", "a", "price", 5), make_error("KeyError", "a", "load", 5)));
}

static void test_rollbar_fingerprint_of_others(void **state)
{
    (void)state;
    assert_false(differ(json_pack("{s:s, s:s}", "kind", "message", "message", "job 17 failed"),
                        json_pack("{s:s, s:s}", "kind", "message", "message", "job 4 failed")));
    assert_true(differ(json_pack("{s:s, s:s}", "kind", "message", "message", "job failed"),
                       json_pack("{s:s, s:s}", "kind", "message", "message", "job done")));
    assert_true(differ(json_pack("{s:s, s:{s:s}}", "kind", "death", "signal", "name", "SIGKILL"),
                       json_pack("{s:s, s:{s:s}}", "kind", "death", "signal", "name", "SIGXCPU")));
    take(json_object(), (char[ROLLBAR_FINGERPRINT_SIZE]){0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollbar_fingerprint_tells_crashes_apart),
        cmocka_unit_test(test_rollbar_fingerprint_is_stable_over_addresses_and_lines),
        cmocka_unit_test(test_rollbar_fingerprint_is_that_of_the_caller_of_libc),
        cmocka_unit_test(test_rollbar_fingerprint_folds_recursion),
        cmocka_unit_test(test_rollbar_fingerprint_takes_no_noise_of_names),
        cmocka_unit_test(test_rollbar_fingerprint_counts_the_innermost_five),
        cmocka_unit_test(test_rollbar_fingerprint_passes_over_guesses_and_inlined_frames),
        cmocka_unit_test(test_rollbar_fingerprint_takes_offsets_where_nothing_has_a_name),
        cmocka_unit_test(test_rollbar_fingerprint_of_an_error_is_its_class_and_calls),
        cmocka_unit_test(test_rollbar_fingerprint_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
