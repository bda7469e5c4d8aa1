/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/pgsql.h"

#include <string.h>

enum {
    MESSAGE_HEADER = 5,     /* its type, its length */
    FIRST_HEADER = 8,       /* its length, its code */
    LENGTH_SIZE = 4,        /* which counts itself */
    FIRST_MAX = 10000,      /* the server takes no longer one */
    MESSAGE_MAX = 1 << 30,  /* nor this */
    VERSION_3 = 3,          /* the upper half of a code: a session begins */
    REQUEST_VERSION = 1234, /* likewise: encryption, or an end to a query, is asked for */
};

/* What each side says. Left out is what begins a copy into a table: a Sync amid one has no answer. */
static const char QUESTIONS[] = "BCDEFHPQSXcdfp", ANSWERS[] = "123ACDEHIKNRSTVZcdnstv";

static bool is_in(const char *list, char c)
{
    return c != '\0' && strchr(list, c);
}

static bool first_begins(struct pgsql_stream *stream)
{
    uint32_t length = (uint32_t)(stream->header >> 32), version = (uint32_t)stream->header >> 16;

    stream->is_started = version == VERSION_3;
    stream->left = length - FIRST_HEADER;
    stream->type = 'Q';
    return length >= FIRST_HEADER && length <= FIRST_MAX && (stream->is_started || version == REQUEST_VERSION);
}

/* A query on its own amid an extended one is not sound: after an error the server passes it over. */
static bool is_sound_question(struct pgsql_stream *stream)
{
    if (is_in("BCDEHP", stream->type))
        stream->is_unsynced = true;
    else if (stream->type == 'S')
        stream->is_unsynced = false;
    return is_in(QUESTIONS, stream->type) && !(stream->is_unsynced && is_in("FQ", stream->type));
}

static bool message_begins(struct pgsql_stream *stream, bool is_out)
{
    uint32_t length = (uint32_t)stream->header;

    stream->left = length - LENGTH_SIZE;
    stream->type = (char)(stream->header >> 32);
    return length >= LENGTH_SIZE && length <= MESSAGE_MAX &&
           (is_out ? is_sound_question(stream) : is_in(ANSWERS, stream->type));
}

static bool header_goes_on(struct pgsql_stream *stream, bool is_out, char byte)
{
    bool is_first = is_out && !stream->is_started; /* it has no type */

    stream->header = stream->header << 8 | (uint8_t)byte;
    if (++stream->header_got < (is_first ? FIRST_HEADER : MESSAGE_HEADER))
        return true;
    stream->header_got = 0;
    stream->is_in_body = true;
    return is_first ? first_begins(stream) : message_begins(stream, is_out);
}

/* Encryption is refused: one byte, before all messages. */
static bool is_refusal(struct pgsql_stream *stream, char byte)
{
    if (stream->is_started)
        return false;
    stream->is_started = byte != 'N';
    return byte == 'N';
}

bool pgsql_feed(struct pgsql_stream *stream, bool is_out, const char *bytes, size_t length, uint32_t *ret_count)
{
    uint32_t count = 0;

    while (length > 0) {
        size_t used = 1;

        if (stream->is_in_body) {
            used = stream->left < length ? stream->left : length;
            stream->left -= (uint32_t)used;
        } else if (!is_out && is_refusal(stream, *bytes)) {
            count++;
        } else if (!header_goes_on(stream, is_out, *bytes)) {
            return false;
        }
        bytes += used;
        length -= used;
        if (stream->is_in_body && stream->left == 0) {
            stream->is_in_body = false;
            count += is_in(is_out ? "FQS" : "Z", stream->type);
        }
    }
    *ret_count = count;
    return true;
}
