/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets for the test programs. Each exits with a message when it can't be had: nothing can go on
 * without. */
#ifndef TEST_APPS_LISTENER_H
#define TEST_APPS_LISTENER_H

#include <stdint.h>

/* TCP on the loopback (IPv4, or IPv6 where `ipv6`); port 0: any. Context: start. */
int listener_tcp(uint16_t port, int ipv6);

/* A unix stream socket at `path`, replacing what is there. Context: start. */
int listener_unix(const char *path);

/* Tell the starter where: "port N" on stdout, flushed. Context: start. */
void listener_announce(int listener);

/* Accept one connection, waiting for it; -1 on errors that end a server. Context: any thread. */
int listener_accept(int listener, int flags);

#endif
