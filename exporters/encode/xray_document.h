/* SPDX-License-Identifier: Apache-2.0 */
/* Spans -> X-Ray's segment documents, in the form that X-Ray's SDK for Python gives them. Called by exporters/xray.c.
 *
 * A server's span becomes a segment. Calls that it made, and that are in the same batch, are embedded in it as
 * subsegments, in the order of their start, XRAY_EMBEDDED_MAX at most. All other calls go as documents of their own,
 * which X-Ray puts together again by their ids; nothing is kept from batch to batch. A call that has no parent at all
 * is put into a segment of its own, of the same times, so that the service map shows who called. A request that is
 * still open is told as "in progress", without the calls it has made so far: the complete document will take its place.
 */
#ifndef SPANSHIM_XRAY_DOCUMENT_H
#define SPANSHIM_XRAY_DOCUMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct span;

enum {
    XRAY_DATAGRAM_DOCUMENT_MAX = 65477, /* a datagram of UDP, without the header line */
    XRAY_EMBEDDED_MAX = 30,             /* as X-Ray's SDKs: beyond that, subsegments go alone */
    XRAY_ANNOTATIONS_MAX = 50,
};

struct xray_options {
    const char *annotations; /* names of attributes that become annotations, comma separated; NULL: none */
    bool has_metadata;       /* what has no field goes into metadata.default */
    const json_t *plugins;   /* {"origin": ..., "aws": {"ec2": {...}, ...}}, or NULL */
    size_t document_max;     /* bytes; larger ones are shed (xray_shed.h) */
};

/* The batch as complete documents of compact JSON, behind the payload's content, each ended by LF; there is no other LF
 * in them. *ret_dropped: documents that were too large, whatever was shed. 0, -ENOMEM or -EFBIG. Context: loop. */
int xray_documents_append(const struct span *const *spans, size_t count, const struct xray_options *options,
                          struct buffer *payload, size_t *ret_dropped);

#endif
