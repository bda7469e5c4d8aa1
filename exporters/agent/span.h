/* SPDX-License-Identifier: Apache-2.0 */
/* A finished request, read out of a wire record: checked, bounded, times on the wall clock, texts as slices. What every
 * exporter maps from. */
#ifndef SPANSHIM_SPAN_H
#define SPANSHIM_SPAN_H

#include "exporters/agent/routes.h"
#include "preload/slice.h"
#include "preload/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process;

enum {
    SPAN_HEADERS_MAX = 32,
    SPAN_LINKS_MAX = 4,
    SPAN_METHOD_MAX = 32,
    SPAN_NAME_SIZE = SPAN_METHOD_MAX + 1 + ROUTES_LENGTH_MAX + 1, /* the longest method, a blank, a route, a NUL */
};

struct span {
    const struct process *process;      /* borrowed */
    const struct wire_request *request; /* borrowed; fixed part validated by span_parse */
    uint64_t start_unix_ns;
    uint64_t first_byte_unix_ns;        /* 0: none */
    uint64_t end_unix_ns;               /* never before the start; the same while it is open */
    bool is_open;                       /* it has not ended yet */
    struct slice text[WIRE_TEXT_COUNT]; /* borrowed, raw bytes; length 0: absent; a repeated text: the first wins */
    struct slice method;          /* a known one, or "_OTHER"; borrowed from the record, or for ever; length 0: there
                                   * was no request, for no connection could be made */
    struct slice method_original; /* what was sent in place of a known one; length 0: it is known */
    struct slice route;           /* borrowed from the settings; length 0: none */
    struct wire_client client;    /* of a client's request; all zero: nothing is known */
    struct slice request_headers[SPAN_HEADERS_MAX]; /* "name: value" */
    struct slice response_headers[SPAN_HEADERS_MAX];
    uint32_t request_header_count;
    uint32_t response_header_count;
    uint32_t header_dropped_count;
    struct wire_link links[SPAN_LINKS_MAX]; /* other traces that it belongs to */
    uint32_t link_count;
};

/* Read a record's payload (a struct wire_request and its text, `length` bytes) as a span. 0, or -EBADMSG when it can't
 * be one: sizes, enums, ids all zero, text entries beyond the end. The bytes must outlive the span. Context: pure. */
int span_parse(const struct process *process, const void *payload, size_t length, struct span *ret_span);

/* It is no root. Context: pure. */
bool span_has_parent(const struct span *span);

/* The span's name by the conventions, with a NUL; its length. The method, and the route if there is one, never the
 * path: names are few. Context: pure. */
size_t span_name(const struct span *span, char name[SPAN_NAME_SIZE]);

/* error.type by the conventions: what the shim calls it (raw bytes), our own error's name, or the status code of a 5xx,
 * and on clients of a 4xx, written into `code`; length 0 when the span ended well. Context: pure. */
struct slice span_error_type(const struct span *span, char code[8]);

#endif
