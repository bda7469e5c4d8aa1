/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol, versions 1 and 2 (doc/proxy-protocol.txt of HAProxy): what a load balancer sends on a connection
 * before anything else, to tell whose connection it passes on. A pure push parser: exchange_request.c feeds it the
 * first bytes of a connection. */
#ifndef SPANSHIM_PROXY_HEADER_H
#define SPANSHIM_PROXY_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "preload/wire.h"

enum { PROXY_HEADER_KEPT = 107 }; /* the longest line of version 1, with its end; version 2 needs 52 */

enum proxy_state {
    PROXY_IN_HEADER, /* nothing came yet, or a header that is not complete */
    PROXY_IN_REST,   /* `remaining` bytes of it don't matter */
    PROXY_OVER,      /* the connection's own bytes have begun */
};

/* All zero is the start of a connection. Private but for the marked ones. */
struct proxy_header {
    uint8_t state;  /* enum proxy_state: read by the owner */
    uint8_t length; /* bytes kept: read by the owner */
    uint16_t remaining;
    char bytes[PROXY_HEADER_KEPT]; /* read by the owner */
};

enum proxy_result {
    PROXY_NEED_MORE, /* all bytes used */
    PROXY_COMPLETE,  /* what follows is the connection's own */
    PROXY_NONE,      /* no header, or a malformed one: all is the connection's own, first the bytes kept */
};

/* Take bytes, until the state is PROXY_OVER. Returns how many were used. On PROXY_COMPLETE *ret_client is the client's
 * address if the header tells an IP address of it (not: LOCAL, UNKNOWN, a unix socket), else unchanged.
 * Context: pure; signal-safe. */
size_t proxy_header_feed(struct proxy_header *header, const char *bytes, size_t len, enum proxy_result *ret_result,
                         struct wire_address *ret_client);

#endif
