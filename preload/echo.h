/* SPDX-License-Identifier: Apache-2.0 */
/* Heads that are passed on. A proxy that works on many requests in turns shows by no system call which of them it sends
 * on, but by what it sends: the head that came in, almost unchanged. A client's request whose parent is not known
 * otherwise is compared with those that are being served: by method, target, host and user agent, which proxies leave
 * alone and which differ in requests of the program's own. Exactly one that is alike: that is its parent. Two may both
 * be meant, and whoever changes one of these has no echo.
 *
 * Prints of heads are made only in processes that make requests, and of the first hundred in each. Context of all:
 * hook; signal-safe; any thread. */
#ifndef SPANSHIM_ECHO_H
#define SPANSHIM_ECHO_H

#include "preload/request.h"
#include "preload/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* This process makes requests. */
void echo_expect(void);

/* So many more connections, or less, may bring requests that are not seen. While there are any, who seems to be the
 * only one alike may not be. */
void echo_hide(int change);

/* What the print of a head begins with; 0: none is to be made. */
uint64_t echo_begin(void);

/* A part of the head, each kind once, in any order: bytes, and a number that goes with them (the method with the path,
 * the port with the host). */
enum echo_part { ECHO_PATH = 1, ECHO_QUERY, ECHO_HOST, ECHO_USER_AGENT };
uint64_t echo_add(uint64_t print, enum echo_part part, struct slice value, uint32_t number);

/* A request is about to be seen by others; `print`: of a server's head, if it has all parts, else ECHO_NEVER. 0: none
 * was made. */
#define ECHO_NEVER UINT64_C(1)
void echo_note(const struct wire_slot *slot, uint64_t print);

/* The request being served whose head is like this one, if there is but one and its answer has not begun. A program
 * that changes what it asks a server for may repeat another one's head by chance: if one that is like none goes there,
 * while the same client asks for something else, the next thousand are not believed. */
struct request_ref echo_find(uint64_t print, const struct wire_address *server, uint64_t now_ns);

/* Do threads of this process send on heads that others have read (Varnish's)? Then what such a thread has read itself
 * says nothing of what it sends: it may have left that and have been given another one's. Only the head counts. */
bool echo_decides(void);

/* A request goes out for this one, and: it has ended. One that ends without may still be meant by what goes out soon
 * after: a cache answers first, and fetches then. Until 2 s are over a head that is like it has no echo. */
void echo_was_passed_on(const struct request_ref *ref);
void echo_end(const struct wire_slot *slot, uint64_t end_ns);

#endif
