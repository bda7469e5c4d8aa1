/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/traceback/ruby_title.h"

#include "exporters/traceback/cursor.h"
#include "exporters/traceback/error.h"
#include "exporters/traceback/traceback.h"

#include <ctype.h>
#include <string.h>

enum { STAMP_LENGTH = sizeof("2026-11-22 00:42:38") - 1 };

/* around it */

bool ruby_title_skip_logger(struct slice *line)
{
    struct slice rest = *line, before;

    if (rest.length < 4 || !isupper((unsigned char)rest.bytes[0]) || memcmp(rest.bytes + 1, ", [", 3) != 0 ||
        !cursor_until(&rest, "] ", &before) || !cursor_until(&rest, " -- ", &before) ||
        !cursor_until(&rest, ": ", &before))
        return false;
    *line = rest;
    return true;
}

bool ruby_title_skip_tags(struct slice *line)
{
    const char *start = line->bytes;
    struct slice rest = *line, before;

    while (cursor_skip(&rest, "[") && cursor_until(&rest, "] ", &before))
        *line = rest;
    return line->bytes > start;
}

/* its forms */

/* "PG::Error": a name with a small letter in it, unlike "DETAIL". */
static bool take_class(struct slice *rest, struct slice *ret_class)
{
    size_t length = 0;
    bool has_small = false;

    while (length < rest->length) {
        struct slice next = {rest->bytes + length, rest->length - length};

        if (cursor_skip(&next, "::")) {
            length += 2;
            continue;
        }
        if (!isalnum((unsigned char)next.bytes[0]) && next.bytes[0] != '_')
            break;
        has_small |= islower((unsigned char)next.bytes[0]) != 0;
        length++;
    }
    if (!has_small || !isupper((unsigned char)rest->bytes[0]))
        return false;
    *ret_class = (struct slice){rest->bytes, length};
    *rest = (struct slice){rest->bytes + length, rest->length - length};
    return true;
}

/* Sinatra: "2026-11-22 00:42:38 - CLASS - MESSAGE:" */
static bool read_stamped(struct slice line, struct ruby_title *ret_title)
{
    struct slice rest = line, stamp, class;

    if (!cursor_until(&rest, " - ", &stamp) || stamp.length != STAMP_LENGTH ||
        !isdigit((unsigned char)stamp.bytes[0]) || !take_class(&rest, &class) || !cursor_skip(&rest, " - "))
        return false;
    *ret_title = (struct ruby_title){.class = class, .message = rest, .closing = ":"};
    return true;
}

/* Of a text that may be long, as much as is searched. */
static struct slice *first_bytes(struct slice *text)
{
    if (text->length > TRACEBACK_MESSAGE_MAX)
        text->length = TRACEBACK_MESSAGE_MAX;
    return text;
}

/* Rails: "CLASS (MESSAGE):", and without the colon where causes follow. */
static bool read_bracketed(struct slice text, struct ruby_title *ret_title)
{
    struct ruby_title title = {.closing = "", .is_whole = true};
    struct slice line;

    if (!take_class(&text, &title.class) || !cursor_skip(&text, " ("))
        return false;

    struct slice rest = text;
    if (!cursor_line(&rest, &line))
        return false;
    if (cursor_ends_with(line, "):"))
        title.message = (struct slice){line.bytes, line.length - 2};
    else if (cursor_ends_with(line, ")"))
        title.message = (struct slice){line.bytes, line.length - 1};
    else if (!cursor_until(first_bytes(&text), "):\n", &title.message))
        return false;
    *ret_title = title;
    return true;
}

/* Rack and many others: "CLASS: MESSAGE", "#<CLASS: MESSAGE>", also behind words of their own. */
static bool read_plain(struct slice line, struct ruby_title *ret_title)
{
    struct ruby_title title = {.closing = ""};

    if (!traceback_find_title(line, &title.class, &title.message))
        return false;
    if (title.class.bytes - line.bytes >= 2 && memcmp(title.class.bytes - 2, "#<", 2) == 0) {
        title.closing = ">"; /* behind the last line */
        title.message = cursor_join(title.message, line);
    }
    *ret_title = title;
    return true;
}

bool ruby_title_is(struct slice line)
{
    struct ruby_title title;
    struct slice rest = line;

    return (take_class(&rest, &title.class) && (cursor_skip(&rest, ": ") || cursor_skip(&rest, " ("))) ||
           read_stamped(line, &title);
}

bool ruby_title_read(struct slice text, struct ruby_title *ret_title)
{
    struct slice rest = text, line;

    return cursor_line(&rest, &line) &&
           (read_stamped(line, ret_title) || read_bracketed(text, ret_title) || read_plain(line, ret_title));
}

bool ruby_title_read_rack(struct slice text, struct ruby_title *ret_title)
{
    struct slice rest, before, line;

    while (cursor_ends_with(text, "\n"))
        text.length--;
    rest = text;
    if (!cursor_until(&rest, "Rack app (", &before) || !cursor_until(&rest, "): ", &before) ||
        !cursor_ends_with(rest, ">") || !cursor_line(&rest, &line) || !read_plain(line, ret_title))
        return false;
    ret_title->message = cursor_join(ret_title->message, text);
    return true;
}

bool ruby_title_read_logged(struct slice first, struct slice last, struct ruby_title *ret_title)
{
    struct ruby_title title = {.closing = "", .is_whole = true};
    struct slice rest = cursor_join(first, last);

    if (!cursor_until_last(&rest, " (", &title.message) || !take_class(&rest, &title.class) || rest.length != 1 ||
        rest.bytes[0] != ')')
        return false;
    *ret_title = title;
    return true;
}

/* the message */

struct slice ruby_title_message(const struct ruby_title *title, struct slice last)
{
    struct slice message = title->message;

    if (title->is_whole)
        return message;
    if (last.bytes > message.bytes)
        message = cursor_join(message, last);
    while (message.length > 0 && isspace((unsigned char)message.bytes[message.length - 1]))
        message.length--;
    if (cursor_ends_with(message, title->closing))
        message.length -= strlen(title->closing);
    return message;
}
