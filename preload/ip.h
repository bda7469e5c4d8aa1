/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses as text and back, without the C library: inet_pton is not promised to be safe in a signal handler. */
#ifndef SPANSHIM_IP_H
#define SPANSHIM_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IP_TEXT_SIZE = 46 }; /* the longest text: an IPv6 address that ends in IPv4 notation, with a NUL */

struct ip {
    uint8_t bytes[16]; /* network order */
    uint8_t length;    /* 4 or 16 */
};

/* Four decimal numbers without leading zeros, or RFC 4291 2.2; no brackets, no zone, no port. Context: pure;
 * signal-safe. */
bool ip_parse(const char *text, size_t len, struct ip *ret_ip);

/* Write it as RFC 5952 has it; not NUL-terminated. Returns the length. Context: pure; signal-safe. */
size_t ip_format(const struct ip *ip, char out[IP_TEXT_SIZE]);

/* Is it IPv4 in an IPv6 dress (::ffff:a.b.c.d)? Context: pure; signal-safe. */
bool ip_is_mapped(const uint8_t bytes[16]);

#endif
