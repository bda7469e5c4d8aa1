/* SPDX-License-Identifier: Apache-2.0 */
/* What stands around the items of an OTLP request, be they spans or log records: for each group of items of one process
 * and one scope, these two. The messages of both kinds have other names and the same numbers. Called by otlp_trace.c
 * and otlp_logs.c.
 *
 * Each item is packed by protobuf-c straight into the output, one after the other; resource and scope are put before
 * them when a group is complete. So the message structs of one item are reused for the next and stay in the processor's
 * cache, and nothing is allocated per item. */
#ifndef SPANSHIM_OTLP_ENVELOPE_H
#define SPANSHIM_OTLP_ENVELOPE_H

#include "exporters/encode/buffer.h"
#include "exporters/encode/otlp_resource.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process;

enum { OTLP_REQUEST_MAX = 64 << 20 };

/* An InstrumentationScope, packed. */
struct otlp_scope {
    uint8_t bytes[64];
    size_t length;
};

/* The items of a batch, by number. */
struct otlp_items {
    size_t count;
    const struct process *(*process_of)(const void *arg, size_t n);
    const struct otlp_scope *(*scope_of)(const void *arg, size_t n);
    int (*write)(void *arg, size_t n); /* by otlp_envelope_add; 0 or -errno */
    void *arg;
};

struct otlp_envelope {
    struct otlp_resource resource;
    /* Private. */
    struct buffer out;
    bool *is_written; /* per item of the batch */
    size_t is_written_capacity;
};

/* Name it. Context: pure. */
void otlp_scope_init(struct otlp_scope *scope, const char *name);

/* Once; the envelope is all zero. Context: loop. */
void otlp_envelope_init(struct otlp_envelope *envelope);
/* Context: loop. */
void otlp_envelope_deinit(struct otlp_envelope *envelope);

/* Encode a batch. The bytes are the envelope's, until the next batch. 0, -ENOMEM, or -EFBIG when it would exceed
 * OTLP_REQUEST_MAX. Context: loop. */
int otlp_envelope_encode(struct otlp_envelope *envelope, const struct otlp_items *items, const uint8_t **ret_bytes,
                         size_t *ret_length);

/* The next item, which takes packed_max bytes at most. 0 or as buffer_reserve. Context: loop, within `write`. */
int otlp_envelope_add(struct otlp_envelope *envelope, const ProtobufCMessage *item, size_t packed_max);

#endif
