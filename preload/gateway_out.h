/* SPDX-License-Identifier: Apache-2.0 */
/* The trace context in a request that goes out by FastCGI, SCGI or uwsgi: as variables of its own behind the program's.
 * FastCGI has a record for them, in which nothing of the program's changes; the block of the others has its length in
 * front, so it must go out in one piece. Context of all: pure; signal-safe. */
#ifndef SPANSHIM_GATEWAY_OUT_H
#define SPANSHIM_GATEWAY_OUT_H

#include "preload/gateway.h"

struct iovec;
struct outgoing;

/* A call's part of a head, of which all has been parsed. */
struct gateway_head {
    const struct iovec *iov;
    size_t end; /* of the head, among the call's bytes */
};

/* The variable that HTTP1_FIELD has just told is a trace header's: ours take its place. */
void gateway_note_context(struct gateway *gateway);

/* Put these header lines in: *ret_own_before and *ret_own_length are for outgoing_build(). The reason why they can't
 * be; outgoing is spoiled then. */
enum wire_withhold gateway_put_lines(const struct gateway *gateway, const struct gateway_head *head, struct slice lines,
                                     struct outgoing *outgoing, size_t *ret_own_before, size_t *ret_own_length);

#endif
