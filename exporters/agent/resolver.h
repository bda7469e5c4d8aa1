/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of a host for UDP. Name servers may take long to answer, so a name is looked up in a thread of its own. */
#ifndef SPANSHIM_RESOLVER_H
#define SPANSHIM_RESOLVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct loop;
struct resolver;

enum { RESOLVER_ADDRESSES_MAX = 8 };

struct resolver_address {
    struct sockaddr_storage address;
    socklen_t length;
};

/* The addresses in the order in which they are to be tried. count 0: there are none, and `problem` says why. The lookup
 * has ended. */
typedef void resolver_done(void *arg, const struct resolver_address *addresses, size_t count, const char *problem);

/* Look up a name, or an address that is written as a number; done is called once, later. 0 or -errno. Context: loop. */
int resolver_start(struct loop *loop, const char *host, uint16_t port, resolver_done *done, void *arg,
                   struct resolver **ret_resolver);

/* Forget it; done is not called. NULL is accepted. Context: loop. */
void resolver_cancel(struct resolver *resolver);

/* Of an address that is written as a number, at once. 0; -EINVAL: it is a name. Context: pure. */
int resolver_parse(const char *host, uint16_t port, struct resolver_address *ret_address);

#endif
