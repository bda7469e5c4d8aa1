/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP requests on their way to a receiver: over HTTP as protobuf or JSON, or over gRPC. What goes to AWS is signed.
 * The same for every signal; called by otlp.c and otlp_logs.c, which say what is in a request. */
#ifndef SPANSHIM_OTLP_SENDER_H
#define SPANSHIM_OTLP_SENDER_H

#include "exporters/exporter.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct otlp_sender;

/* What exporter.h calls describe and describe_form. Context: loop. */
void otlp_sender_describe(const struct settings *settings, enum signal signal, char *text, size_t size);
void otlp_sender_describe_form(const struct settings *settings, enum signal signal, char *text, size_t size);

/* As exporter.h's open. Context: loop. */
int otlp_sender_new(const struct exporter_host *host, const struct settings *settings, enum signal signal,
                    struct otlp_sender **ret_sender, char error[256]);
/* NULL is accepted. Context: loop. */
void otlp_sender_free(struct otlp_sender *sender);

/* Append a request's body: this message, as JSON where that is wanted, compressed, framed. 0, -ENOMEM, -EFBIG. Context:
 * loop. */
int otlp_sender_pack(struct otlp_sender *sender, const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                     size_t length, struct buffer *payload);

/* As exporter.h's send. Context: loop. */
void otlp_sender_send(struct otlp_sender *sender, const void *payload, size_t length, exporter_done *done, void *arg);

#endif
