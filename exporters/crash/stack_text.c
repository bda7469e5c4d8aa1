/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/stack_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *frame, const char *key)
{
    return json_string_value(json_object_get(frame, key));
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* "src/http.c:312", or "libfoo.so+0x1234", or the bare address. */
static void print_place(FILE *out, const json_t *frame)
{
    const char *file = text_of(frame, "file"), *module = text_of(frame, "module"), *offset = text_of(frame, "offset");
    json_int_t line = json_integer_value(json_object_get(frame, "line"));

    if (file && line > 0)
        (void)fprintf(out, "%s:%" JSON_INTEGER_FORMAT, file, line);
    else if (file)
        (void)fputs(file, out);
    else if (module)
        (void)fprintf(out, "%s+%s", base_name(module), offset ? offset : "?");
    else
        (void)fputs(text_of(frame, "address") ? text_of(frame, "address") : "?", out);
}

/* Frames that were only guessed at say so. */
static void print_frame(FILE *out, size_t number, const json_t *frame, const char *indent)
{
    const char *function = text_of(frame, "function"), *found_by = text_of(frame, "found_by");

    (void)fprintf(out, "%s#%-3zu %s (", indent, number, function ? function : "??");
    print_place(out, frame);
    (void)fprintf(out, ")%s%s\n", json_is_true(json_object_get(frame, "inlined")) ? " inlined" : "",
                  found_by && strcmp(found_by, "scan") == 0 ? " (guessed)" : "");
}

char *stack_text_new(const json_t *thread, const char *indent, size_t size_max)
{
    json_int_t left_out = json_integer_value(json_object_get(thread, "frames_left_out"));
    const json_t *frames = json_object_get(thread, "frames"), *frame;
    char *text = NULL;
    size_t size = 0, i;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    json_array_foreach(frames, i, frame)
    {
        print_frame(out, i, frame, indent);
        if (fflush(out) || size > size_max)
            break;
    }
    if (left_out > 0)
        (void)fprintf(out, "%s... %" JSON_INTEGER_FORMAT " more\n", indent, left_out);
    if (fclose(out)) {
        free(text);
        return NULL;
    }
    if (size > size_max) {
        text[size_max] = '\0';
        char *end = strrchr(text, '\n');

        if (end)
            end[1] = '\0';
    }
    return text;
}
