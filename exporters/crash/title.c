/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/title.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "exporters/crash/capture.h"
#include "exporters/crash/demangle.h"
#include "exporters/encode/utf8.h"

enum { PLACE_MAX = 256, TITLE_MAX = 512 };

/* Where a program's own code is called from, or calls: what stands in them is not what is wrong. */
static bool is_runtime(const char *path)
{
    static const char *const names[] = {"libc.so",      "libc-",       "libpthread",    "ld-linux",
                                        "libstdc++.so", "libgcc_s.so", "libc++abi.so",  "libc++.so",
                                        "ld-musl",      "libc.musl",   "libspanshim.so"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    if (path[0] == '[')
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strncmp(name, names[i], strlen(names[i])))
            return true;
    }
    return false;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static bool begins(const char *text, const char *beginning)
{
    return !strncmp(text, beginning, strlen(beginning));
}

/* Code of a language's library within the program: templates, generics, and what stands for memset and the like. */
static bool is_library_code(const json_t *frame)
{
    static const char *const functions[] = {
        "std::", "core::", "alloc::", "__rustc::", "rust_", "__rust_", "panic_abort::", "panic_unwind::"};
    const char *function = text_of(frame, "function"), *file = text_of(frame, "file");

    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (begins(function, functions[i]))
            return true;
    }
    /* A function's line may be of a header while the function is the program's: what was inlined there has no scope. */
    return begins(file, "/rustc/") ||
           (begins(file, "/usr/include/") && json_is_true(json_object_get(frame, "inlined")));
}

/* The first frame of the program's own, else the first. */
static const json_t *place_of(const json_t *frames)
{
    const json_t *frame;
    size_t i;

    json_array_foreach(frames, i, frame)
    {
        const char *module = text_of(frame, "module");

        if (module[0] && !is_runtime(module) && !is_library_code(frame))
            return frame;
    }
    return json_array_get(frames, 0);
}

/* "parse_header", or "libfoo.so+0x1234", or nothing. */
static void write_place(const json_t *frame, char place[PLACE_MAX])
{
    const char *function = text_of(frame, "function"), *module = text_of(frame, "module");
    const char *slash = strrchr(module, '/');

    place[0] = '\0';
    if (function[0])
        (void)snprintf(place, PLACE_MAX, "%s", function);
    else if (module[0])
        (void)snprintf(place, PLACE_MAX, "%s+%s", slash ? slash + 1 : module, text_of(frame, "offset"));
}

struct panic_words {
    const char *function, *words;
};

/* What Rust's library says, by the function that says it, where the text itself is lost; without the numbers. */
static const struct panic_words panics[] = {
    {"core::panicking::panic_bounds_check", "index out of bounds"},
    {"core::panicking::panic_const::panic_const_div_by_zero", "attempt to divide by zero"},
    {"core::panicking::panic_const::panic_const_rem_by_zero",
     "attempt to calculate the remainder with a divisor of zero"},
    {"core::panicking::panic_const::panic_const_add_overflow", "attempt to add with overflow"},
    {"core::panicking::panic_const::panic_const_sub_overflow", "attempt to subtract with overflow"},
    {"core::panicking::panic_const::panic_const_mul_overflow", "attempt to multiply with overflow"},
    {"core::panicking::assert_failed", "assertion failed"},
    {"core::panicking::panic_cannot_unwind", "panic in a function that cannot unwind"},
    {"core::option::unwrap_failed", "called `Option::unwrap()` on a `None` value"},
    {"core::result::unwrap_failed", "called `Result::unwrap()` on an `Err` value"},
    {"core::cell::panic_already_borrowed", "already borrowed"},
    {"core::cell::panic_already_mutably_borrowed", "already mutably borrowed"},
};

static bool has_function(const json_t *frames, const char *beginning)
{
    const json_t *frame;
    size_t i;

    json_array_foreach(frames, i, frame)
    {
        if (begins(text_of(frame, "function"), beginning))
            return true;
    }
    return false;
}

/* NULL: it is no panic. */
static const char *panic_message(const json_t *frames, const struct panic_text *panic)
{
    if (panic->printed[0])
        return panic->printed;
    if (has_function(frames, "core::panicking::") && panic->described[0])
        return panic->described;
    for (size_t i = 0; i < sizeof(panics) / sizeof(panics[0]); i++) {
        if (has_function(frames, panics[i].function))
            return panics[i].words;
    }
    return has_function(frames, "core::panicking::") || has_function(frames, "std::panicking::begin_panic") ? "" : NULL;
}

static json_t *exception_of(const json_t *report, const struct capture *capture, const json_t *frames)
{
    const char *message = text_of(report, "abort_message"), *class = text_of(json_object_get(report, "signal"), "name");
    bool is_abort = capture->siginfo.si_signo == SIGABRT;
    const char *panic = is_abort ? panic_message(frames, &capture->panic) : NULL;
    char mangled[EXCEPTION_TYPE_MAX], type[EXCEPTION_TYPE_MAX], what[EXCEPTION_WHAT_MAX];

    if (capture->exception.type[0]) {
        utf8_copy(capture->exception.type, mangled, sizeof(mangled));
        demangle_type(mangled, type, sizeof(type));
        class = type;
        message = capture->exception.what;
    } else if (panic) {
        class = "panic";
        message = panic;
    } else if (!message[0]) {
        message = text_of(json_object_get(report, "signal"), "cause");
    }
    utf8_copy(message, what, sizeof(what));
    return json_pack("{s:s, s:s}", "class", class, "message", what);
}

void title_set(json_t *report, const struct capture *capture)
{
    const json_t *frames = json_object_get(json_array_get(json_object_get(report, "threads"), 0), "frames");
    json_t *exception = exception_of(report, capture, frames);
    char place[PLACE_MAX], title[TITLE_MAX], shown[TITLE_MAX];
    const char *message = text_of(exception, "message");

    write_place(place_of(frames), place);
    (void)snprintf(title, sizeof(title), "%s%s%s%s%.*s", text_of(exception, "class"), place[0] ? " in " : "", place,
                   message[0] ? ": " : "", (int)strcspn(message, "\n"), message);
    utf8_copy(title, shown, sizeof(shown)); /* the end may have cut a character */
    (void)json_object_set_new(report, "title", json_string(shown));
    (void)json_object_set_new(report, "exception", exception);
}
