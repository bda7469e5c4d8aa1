/* SPDX-License-Identifier: Apache-2.0 */
/* RESP, the protocol of redis and its kin, as far as it tells how many commands went out, and how many replies have
 * come. A pure push parser; bytes may be cut anywhere. Source of the rules: redis' protocol specification, versions 2
 * and 3. */
#ifndef SPANSHIM_RESP_H
#define SPANSHIM_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One direction. All zero: at its start. */
struct resp_stream {
    uint64_t number;   /* of the line in hand, or bytes of a string that are still to come */
    uint32_t elements; /* of the message in hand that are still to come */
    uint8_t state;     /* enum resp_state, see resp.c */
    char type;         /* of the element in hand */
    bool is_push;      /* the message answers nothing */
    bool is_null;
};

/* How many commands (`is_out`) or replies have ended in these bytes. False: it is odd. Context: hook; signal-safe. */
bool resp_feed(struct resp_stream *stream, bool is_out, const char *bytes, size_t length, uint32_t *ret_count);

#endif
