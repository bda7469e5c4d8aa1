/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/rollbar_language.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* /usr/bin/python3.11 is python. NULL: none that is known. */
static const char *language_of_interpreter(const char *interpreter)
{
    static const struct {
        const char *start, *language;
    } known[] = {{"python", "python"}, {"gunicorn", "python"}, {"node", "javascript"}, {"ruby", "ruby"},
                 {"puma", "ruby"},     {"php", "php"},         {"perl", "perl"},       {"java", "java"}};
    const char *name = basename(interpreter);

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (begins_with(name, known[i].start))
            return known[i].language;
    return NULL;
}

/* Names are mangled or not: both forms are told. */
static bool is_rust(const char *function, const char *file)
{
    static const char *const crates[] = {"core::", "alloc::", "std::rt::", "std::sys::", "std::panicking::", "_R"};
    size_t length = strlen(function);

    if (ends_with(file, ".rs") || strstr(function, "::{{") != NULL || strstr(function, "::{closure#") != NULL ||
        (function[0] == '<' && strstr(function, " as ") != NULL))
        return true;
    for (size_t i = 0; i < sizeof(crates) / sizeof(crates[0]); i++)
        if (begins_with(function, crates[i]))
            return true;
    /* The old mangling: _ZN...17h<16 digits>E */
    return begins_with(function, "_ZN") && length > 20 && begins_with(function + length - 20, "17h");
}

static bool is_cxx(const char *function, const char *file)
{
    static const char *const endings[] = {".cc", ".cpp", ".cxx", ".hpp", ".C"};

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        if (ends_with(file, endings[i]))
            return true;
    return begins_with(function, "_Z") || strstr(function, "::") != NULL || strchr(function, '(') != NULL;
}

static const char *language_of_frames(const json_t *frames)
{
    const char *language = "c";

    for (size_t i = 0; i < json_array_size(frames); i++) {
        const json_t *frame = json_array_get(frames, i);
        const char *function = json_string_value(json_object_get(frame, "function"));
        const char *file = json_string_value(json_object_get(frame, "file"));

        if (is_rust(function != NULL ? function : "", file != NULL ? file : ""))
            return "rust";
        if (is_cxx(function != NULL ? function : "", file != NULL ? file : ""))
            language = "c++";
    }
    return language;
}

const char *rollbar_language(const json_t *report)
{
    const json_t *process = json_object_get(report, "process");
    const char *interpreter = json_string_value(json_object_get(process, "interpreter"));
    const char *kind = json_string_value(json_object_get(report, "kind"));
    const char *program = interpreter != NULL ? interpreter : json_string_value(json_object_get(process, "executable"));
    const char *told = json_string_value(json_object_get(report, "language"));
    const char *language = program != NULL ? language_of_interpreter(program) : NULL;

    if (kind != NULL && strcmp(kind, "message") == 0)
        return NULL;
    if (told != NULL && strcmp(told, "c") != 0) /* of which C++ and others are told apart below */
        return told;
    if (language != NULL && told == NULL)
        return language;
    return language_of_frames(json_object_get(json_array_get(json_object_get(report, "threads"), 0), "frames"));
}
