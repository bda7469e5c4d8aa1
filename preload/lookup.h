/* SPDX-License-Identifier: Apache-2.0 */
/* Names that were looked up: how long it took, and the addresses it gave. The connection that is made to one of them
 * has the look-up in its first request's span. Of the last look-ups only, of all threads: event loops look names up in
 * threads of their own. */
#ifndef SPANSHIM_LOOKUP_H
#define SPANSHIM_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

struct addrinfo;
struct wire_address;

/* One of the last; another one may have its place by now. All zero: none. */
struct lookup_ref {
    struct lookup *lookup;
    uint32_t generation;
};

/* A look-up that began at this time has given these. Context: hook; any thread. */
void lookup_note(const struct addrinfo *results, uint64_t start_ns);

/* How long the look-up took that gave this address, in ns: the last one, of this thread if there is one; 0: there is
 * none. Context: hook; signal-safe. */
uint64_t lookup_find(const struct wire_address *address, struct lookup_ref *ret_ref);

/* A request is made over the connection that it led to; another connection to the same address had none. False: it was
 * taken before, or forgotten. Context: hook; signal-safe. */
bool lookup_take(const struct lookup_ref *ref);

#endif
