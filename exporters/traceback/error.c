/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/traceback/error.h"

#include "exporters/encode/json_access.h"
#include "exporters/encode/json_text.h"
#include "exporters/traceback/cursor.h"
#include "exporters/traceback/traceback.h"

#include <ctype.h>
#include <string.h>

enum {
    TEXT_MAX = 1024,
    LOOK_MAX = 1024, /* bytes of a line that may stand before its error's class */
    CODE_MAX = 64
};

static json_t *last_error(const struct traceback *traceback)
{
    size_t count = json_array_size(traceback->errors);

    return count > 0 ? json_array_get(traceback->errors, count - 1) : NULL;
}

static void set_text(json_t *object, const char *key, struct slice text, size_t max)
{
    if (text.length > 0)
        json_set_text(object, key, text.bytes, text.length < max ? text.length : max);
}

void traceback_add_error(struct traceback *traceback, struct slice class, struct slice message)
{
    json_t *error = json_object();

    while (message.length > 0 && isspace((unsigned char)message.bytes[message.length - 1]))
        message.length--;
    set_text(error, "class", class.length > 0 ? class : (struct slice){"Error", 5}, TEXT_MAX);
    set_text(error, "message", message, TRACEBACK_MESSAGE_MAX);
    json_set(error, "frames", json_array());
    if (json_array_size(traceback->errors) == TRACEBACK_ERRORS_MAX)
        (void)json_array_remove(traceback->errors, TRACEBACK_ERRORS_MAX / 2);
    (void)json_array_append_new(traceback->errors, error);
}

/* The deepest and the outermost calls say most. */
static void leave_one_out(json_t *error, json_t *frames)
{
    json_int_t left_out = json_integer_value(json_object_get(error, "frames_left_out"));

    (void)json_array_remove(frames, TRACEBACK_FRAMES_MAX / 2);
    json_set(error, "frames_left_out", json_integer(left_out + 1));
}

void traceback_add_frame(struct traceback *traceback, const struct traceback_frame *frame)
{
    json_t *error = last_error(traceback), *frames = json_object_get(error, "frames"), *object;

    if (frames == NULL)
        return;
    object = json_object();
    set_text(object, "function", frame->function, TEXT_MAX);
    set_text(object, "file", frame->file, TEXT_MAX);
    set_text(object, "module", frame->module, TEXT_MAX);
    set_text(object, "code", frame->code, TEXT_MAX);
    if (frame->line > 0)
        json_set(object, "line", json_integer(frame->line));
    if (frame->column > 0)
        json_set(object, "column", json_integer(frame->column));
    if (json_object_size(object) == 0) { /* it says nothing */
        json_decref(object);
        return;
    }
    if (json_array_size(frames) == TRACEBACK_FRAMES_MAX)
        leave_one_out(error, frames);
    (void)json_array_append_new(frames, object);
}

size_t traceback_frame_count(const struct traceback *traceback)
{
    return json_array_size(json_object_get(last_error(traceback), "frames"));
}

static void reverse(json_t *list)
{
    for (size_t i = 0; i + 1 < json_array_size(list); i++) {
        json_t *last = json_incref(json_array_get(list, json_array_size(list) - 1));

        (void)json_array_remove(list, json_array_size(list) - 1);
        (void)json_array_insert_new(list, i, last);
    }
}

void traceback_reverse_errors(struct traceback *traceback)
{
    reverse(traceback->errors);
}

void traceback_reverse_frames(struct traceback *traceback)
{
    json_t *error;
    size_t i;

    json_array_foreach(traceback->errors, i, error)
    {
        reverse(json_object_get(error, "frames"));
    }
}

/* titles */

static size_t class_length(struct slice text)
{
    size_t length = 0;

    while (length < text.length &&
           (isalnum((unsigned char)text.bytes[length]) || text.bytes[length] == '_' || text.bytes[length] == '.' ||
            text.bytes[length] == '$' || text.bytes[length] == '\\' || /* PHP */
            (text.bytes[length] == ':' && length + 1 < text.length &&
             (text.bytes[length + 1] == ':' || (length > 0 && text.bytes[length - 1] == ':')))))
        length++;
    while (length > 0 && (text.bytes[length - 1] == '.' || text.bytes[length - 1] == ':'))
        length--;
    return length;
}

static bool sounds_like_error(struct slice class)
{
    static const char *const endings[] = {"Error", "Exception", "Throwable", "Failure", "Interrupt", "Timeout"};

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        if (cursor_ends_with(class, endings[i]))
            return true;
    return false;
}

/* "CODE]" */
static bool skip_code(struct slice *rest)
{
    const char *end = memchr(rest->bytes, ']', rest->length < CODE_MAX ? rest->length : CODE_MAX);

    if (end == NULL)
        return false;
    *rest = (struct slice){end + 1, rest->length - (size_t)(end + 1 - rest->bytes)};
    return true;
}

/* "CLASS: MESSAGE", "CLASS - MESSAGE", "CLASS [CODE]: MESSAGE" or "CLASS", to the line's end. */
static bool read_title(struct slice line, struct slice *ret_class, struct slice *ret_message)
{
    struct slice rest = line;
    bool is_inspected = cursor_skip(&rest, "#<");
    struct slice class = {rest.bytes, class_length(rest)};

    if (class.length == 0 || !isalpha((unsigned char)class.bytes[0]))
        return false;
    rest = (struct slice){rest.bytes + class.length, rest.length - class.length};
    if (cursor_skip(&rest, " [") && !skip_code(&rest))
        return false;
    if (rest.length > 0 && !cursor_skip(&rest, ": ") && !cursor_skip(&rest, " - ") &&
        !(is_inspected && cursor_skip(&rest, ":\"")) && !(rest.length == 1 && rest.bytes[0] == ':'))
        return false;
    if (is_inspected && cursor_ends_with(rest, ">"))
        rest.length--;
    *ret_class = class;
    *ret_message = rest;
    return true;
}

static bool has_capital_or_point(struct slice class)
{
    return isupper((unsigned char)class.bytes[0]) || memchr(class.bytes, '.', class.length) != NULL;
}

bool traceback_find_title(struct slice line, struct slice *ret_class, struct slice *ret_message)
{
    struct slice rest, word, class, message;
    bool is_title;

    (void)cursor_skip_blanks(&line);
    rest = line;
    do
        is_title = read_title(rest, &class, &message) && sounds_like_error(class);
    while (!is_title && rest.bytes - line.bytes < LOOK_MAX && cursor_until(&rest, " ", &word));
    if (!is_title && (!read_title(line, &class, &message) || !has_capital_or_point(class)))
        return false;
    *ret_class = class;
    *ret_message = message;
    return true;
}
