/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of sockets and clients as text. Called by url.c and whatever shows a request. */
#ifndef SPANSHIM_ADDRESS_H
#define SPANSHIM_ADDRESS_H

#include "exporters/agent/span.h"

#include <stddef.h>

struct wire_address;

enum { ADDRESS_SIZE = 46 }; /* the longest IPv6 address, with a NUL */

/* The IP address, with a NUL; its length, 0 when there is none. An IPv4 address within an IPv6 one is written as it is.
 * Context: pure. */
size_t address_format(const struct wire_address *address, char out[ADDRESS_SIZE]);

/* The client of a served request: whoever a proxy says it is, raw bytes of the record, else the peer, written into
 * `text`; length 0: unknown. Context: pure. */
struct slice address_client(const struct span *span, char text[ADDRESS_SIZE]);

#endif
