/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL's protocol, version 3, as far as it tells how many questions went out, and how many answers have come. A
 * question is what the server answers with ReadyForQuery at its end: the session's first message, a simple query, a
 * Sync. A pure push parser; bytes may be cut anywhere.
 *
 * Source of the rules: PostgreSQL's documentation, "Frontend/Backend Protocol". */
#ifndef SPANSHIM_PGSQL_H
#define SPANSHIM_PGSQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One direction. All zero: at its start. */
struct pgsql_stream {
    uint64_t header;    /* of the message in hand: its last bytes, the latest one lowest */
    uint32_t left;      /* of its body that are still to come */
    uint8_t header_got; /* bytes of its header that have come */
    char type;          /* of the message in hand; the first one counts as a query */
    bool is_in_body;
    bool is_started;  /* the session's first message has come */
    bool is_unsynced; /* parts of an extended query went out, and no Sync after them */
};

/* How many questions (`is_out`) or answers have ended in these bytes. False: it can't be counted. Context: hook;
 * signal-safe. */
bool pgsql_feed(struct pgsql_stream *stream, bool is_out, const char *bytes, size_t length, uint32_t *ret_count);

#endif
