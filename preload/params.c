/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/params.h"

#include <string.h>

enum { ROOM_FOR_SHORT = 2048, SHORT_MAX = 512 };

enum { NAME_LENGTH, VALUE_LENGTH, NAME, VALUE, STATES };

static const uint32_t length_max = 1u << 24; /* of a name or value: more than any server takes */

/* What follows each state, and where a pair begins: NAME_LENGTH, for SCGI NAME. */
static const uint8_t following[][STATES] = {
    [PARAMS_FASTCGI] = {[NAME_LENGTH] = VALUE_LENGTH, [VALUE_LENGTH] = NAME, [NAME] = VALUE, [VALUE] = NAME_LENGTH},
    [PARAMS_UWSGI] = {[NAME_LENGTH] = NAME, [NAME] = VALUE_LENGTH, [VALUE_LENGTH] = VALUE, [VALUE] = NAME_LENGTH},
    [PARAMS_SCGI] = {[NAME] = VALUE, [VALUE] = NAME},
};

/* The variables that matter beside HTTP_*. */
static const char names[][16] = {
    "REQUEST_METHOD", "REQUEST_URI",    "SCRIPT_NAME", "PATH_INFO",   "QUERY_STRING", "CONTENT_TYPE",   "SERVER_NAME",
    "SERVER_PORT",    "CONTENT_LENGTH", "HTTPS",       "REMOTE_ADDR", "REMOTE_PORT",  "REQUEST_SCHEME",
};

static bool matters(const struct params *params, struct slice name)
{
    if (name.length > 5 && memcmp(name.bytes, "HTTP_", 5) == 0)
        return !(params->unreported >> (name.bytes[5] & 31) & 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_equals(name, names[i], strlen(names[i])))
            return true;
    return false;
}

static uint8_t first_state(const struct params *params)
{
    return params->format == PARAMS_SCGI ? NAME : NAME_LENGTH;
}

void params_begin(struct params *params)
{
    params->state = first_state(params);
    params->length_bytes = 0;
    params->truncated = false;
    params->record_at = params->length = 0;
    params->is_open = false;
}

static char *place(struct params *params)
{
    return params->text + params->length + sizeof(struct param);
}

static void begin_pair(struct params *params, uint32_t at)
{
    params->pair = (struct param){.at = at, .record_at = params->record_at};
    params->name_left = params->value_left = 0;
    params->is_open = true;
    params->is_kept = params->length + sizeof(struct param) + PARAMS_NAME_MAX <= PARAMS_SIZE;
    if (!params->is_kept)
        params->truncated = true;
}

/* The name is complete. */
static void end_name(struct params *params)
{
    if (params->is_kept)
        params->is_kept = matters(params, (struct slice){place(params), params->pair.name_length});
}

static void end_pair(struct params *params, uint32_t end)
{
    params->is_open = false;
    params->pair.length = params->pair.record_at == params->record_at ? end - params->pair.at : 0;
    if (params->is_kept) {
        memcpy(params->text + params->length, &params->pair, sizeof(params->pair));
        params->length += (uint32_t)sizeof(struct param) + params->pair.name_length + params->pair.value_length;
    }
}

/* What is complete now, and what is empty. `end`: the number of the byte that comes next. */
static void go_on(struct params *params, uint32_t end)
{
    do {
        if (params->state == NAME)
            end_name(params);
        else if (params->state == VALUE)
            end_pair(params, end);
        params->state = following[params->format][params->state];
        params->length_bytes = 0;
        if (params->format == PARAMS_SCGI)
            return;
    } while ((params->state == NAME && params->name_left == 0) || (params->state == VALUE && params->value_left == 0));
}

/* One byte of a length. *ret_is_whole: it is complete. False: it is too large. */
static bool feed_length(struct params *params, uint8_t byte, bool *ret_is_whole)
{
    uint32_t *left = params->state == NAME_LENGTH ? &params->name_left : &params->value_left;

    if (params->format == PARAMS_UWSGI) {
        *left |= (uint32_t)byte << 8 * params->length_bytes++;
        *ret_is_whole = params->length_bytes == 2;
        return true;
    }
    if (params->length_bytes > 0) {
        *left = *left << 8 | byte;
        params->length_bytes--;
    } else {
        *left = byte & 0x7f;
        params->length_bytes = byte & 0x80 ? 3 : 0;
    }
    *ret_is_whole = params->length_bytes == 0;
    return *left < length_max;
}

/* How much of a value is kept that stands here. The last room is for short ones: a trace header may come behind long
 * cookies and tokens. */
static size_t value_most(const struct params *params, const char *text)
{
    size_t room = (size_t)(params->text + PARAMS_SIZE - text);
    size_t most = room > ROOM_FOR_SHORT + SHORT_MAX ? room - ROOM_FOR_SHORT : SHORT_MAX;

    if (most > PARAMS_VALUE_MAX)
        most = PARAMS_VALUE_MAX;
    return most < room ? most : room;
}

/* Keep a piece of a name or a value, as far as there is room. */
static void keep(struct params *params, const char *bytes, size_t len)
{
    bool is_name = params->state == NAME;
    uint16_t *length = is_name ? &params->pair.name_length : &params->pair.value_length;
    char *text = place(params) + (is_name ? 0 : params->pair.name_length);
    size_t room = (is_name ? PARAMS_NAME_MAX : value_most(params, text)) - *length;

    if (len > room && is_name) {
        params->is_kept = false;
        return;
    }
    if (len > room) {
        params->truncated = params->pair.is_cut = true;
        len = room;
    }
    memcpy(text + *length, bytes, len);
    *length = (uint16_t)(*length + len);
}

/* Take a piece of a name or value; returns its length. */
static size_t feed_text(struct params *params, const char *bytes, size_t len, bool *ret_is_whole)
{
    uint32_t *left = params->state == NAME ? &params->name_left : &params->value_left;
    const char *end = params->format == PARAMS_SCGI ? memchr(bytes, '\0', len) : NULL;
    size_t length = len;

    if (params->format != PARAMS_SCGI) {
        length = len < *left ? len : *left;
        *left -= (uint32_t)length;
        *ret_is_whole = *left == 0;
    } else {
        length = end ? (size_t)(end - bytes) : len;
        *ret_is_whole = end != NULL;
    }
    if (params->is_kept)
        keep(params, bytes, length);
    return length + (end != NULL);
}

bool params_feed(struct params *params, const char *bytes, size_t len, uint32_t at)
{
    const char *end = bytes + len;

    while (bytes < end) {
        bool is_whole;
        size_t used = 1;

        if (params_is_whole(params))
            begin_pair(params, at);
        if (params->state >= NAME)
            used = feed_text(params, bytes, (size_t)(end - bytes), &is_whole);
        else if (!feed_length(params, (uint8_t)*bytes, &is_whole))
            return false;
        bytes += used;
        at += (uint32_t)used;
        if (is_whole)
            go_on(params, at);
    }
    return true;
}

bool params_is_whole(const struct params *params)
{
    return !params->is_open;
}

bool params_next(struct params *params, uint32_t *cursor, struct slice *ret_name, struct slice *ret_value,
                 struct param *ret_param)
{
    const char *text = params->text + *cursor + sizeof(*ret_param);

    if (*cursor >= params->length)
        return false;
    memcpy(ret_param, params->text + *cursor, sizeof(*ret_param));
    *ret_name = (struct slice){text, ret_param->name_length};
    *ret_value = (struct slice){text + ret_param->name_length, ret_param->value_length};
    *cursor += (uint32_t)sizeof(*ret_param) + ret_param->name_length + ret_param->value_length;
    return true;
}

struct slice params_find(struct params *params, const char *name)
{
    struct slice found = {"", 0}, one, value;
    struct param param;
    uint32_t cursor = 0;

    while (params_next(params, &cursor, &one, &value, &param))
        if (slice_equals(one, name, strlen(name)))
            found = value;
    return found;
}
