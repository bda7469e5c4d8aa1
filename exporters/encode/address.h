/* SPDX-License-Identifier: Apache-2.0 */
/* A socket's address as text. Called by url.c and otlp_attributes.c. */
#ifndef SPANSHIM_ADDRESS_H
#define SPANSHIM_ADDRESS_H

#include <stddef.h>

struct wire_address;

enum { ADDRESS_SIZE = 46 }; /* the longest IPv6 address, with a NUL */

/* The IP address, with a NUL; its length, 0 when there is none. An IPv4 address within an IPv6 one is written as it is.
 * Context: pure. */
size_t address_format(const struct wire_address *address, char out[ADDRESS_SIZE]);

#endif
