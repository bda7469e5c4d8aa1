/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/answers.h"

/* More answers than this can't be outstanding: there was one to nothing. */
enum { OUTSTANDING_MAX = 1 << 29 };

/* Its protocol; a PostgreSQL session begins with a length, whose first byte is 0. */
static enum answers_protocol protocol_of(struct answers *answers, bool is_out, char first)
{
    enum answers_protocol protocol = atomic_load_explicit(&answers->protocol, memory_order_relaxed);

    if (protocol == ANSWERS_UNKNOWN && is_out) {
        protocol = first == '\0' ? ANSWERS_POSTGRESQL : ANSWERS_REDIS;
        atomic_store_explicit(&answers->protocol, (uint8_t)protocol, memory_order_relaxed);
    }
    return protocol;
}

/* How many questions or answers have ended in these bytes. False: it is odd. */
static bool feed(struct answers *answers, bool is_out, const char *bytes, size_t length, uint32_t *ret_count)
{
    union answers_stream *stream = is_out ? &answers->out : &answers->in;

    switch (protocol_of(answers, is_out, *bytes)) {
    case ANSWERS_REDIS:
        return resp_feed(&stream->resp, is_out, bytes, length, ret_count);
    case ANSWERS_POSTGRESQL:
        return pgsql_feed(&stream->pgsql, is_out, bytes, length, ret_count);
    case ANSWERS_UNKNOWN:
        break;
    }
    return false;
}

void answers_feed(struct answers *answers, bool is_out, const char *bytes, size_t length)
{
    _Atomic uint32_t *counter = is_out ? &answers->asked : &answers->answered;
    uint32_t more = 0;

    if (atomic_load_explicit(&answers->is_odd, memory_order_relaxed))
        return;
    if (!bytes || !feed(answers, is_out, bytes, length, &more)) {
        answers_give_up(answers);
        return;
    }
    more += atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, more, memory_order_relaxed);
    if (atomic_load_explicit(&answers->asked, memory_order_relaxed) -
            atomic_load_explicit(&answers->answered, memory_order_relaxed) >
        OUTSTANDING_MAX)
        answers_give_up(answers);
}
