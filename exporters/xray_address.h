/* SPDX-License-Identifier: Apache-2.0 */
/* Where X-Ray's daemon is: AWS_XRAY_DAEMON_ADDRESS, in the forms of X-Ray's SDKs. Documents go to it by UDP, questions
 * about sampling by TCP. Called by settle.c, xray_daemon.c and xray_service.c. */
#ifndef SPANSHIM_XRAY_ADDRESS_H
#define SPANSHIM_XRAY_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

enum { XRAY_ADDRESS_HOST_SIZE = 254, XRAY_ADDRESS_PROBLEM_SIZE = 256 };

struct xray_address {
    char udp_host[XRAY_ADDRESS_HOST_SIZE]; /* a name, or an address; IPv6 without its brackets */
    char tcp_host[XRAY_ADDRESS_HOST_SIZE];
    uint16_t udp_port, tcp_port;
};

/* "host:port" for both, or "tcp:host:port udp:host:port" in either order; NULL: 127.0.0.1:2000. IPv6 stands in
 * brackets. 0; -EINVAL, and `problem` says what is wrong and how it should be. Context: pure. */
int xray_address_parse(const char *text, struct xray_address *ret_address, char problem[XRAY_ADDRESS_PROBLEM_SIZE]);

/* Where documents go to, for people: "udp host:port"; empty where that can't be told. Context: pure. */
void xray_address_describe(const char *text, char *out, size_t size);

/* "host:port", IPv6 in brackets. Context: pure. */
void xray_address_show(const char *host, uint16_t port, char *out, size_t size);

#endif
