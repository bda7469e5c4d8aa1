/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP's JSON, made out of its protobuf bytes by the messages' own descriptors: what goes into a message is said once,
 * by the protobuf encoder, and names come from the .proto file.
 *
 * Keys in lowerCamelCase, trace and span ids in hex, other bytes in base64, enums as numbers, 64-bit integers as
 * strings. */
#ifndef SPANSHIM_OTLP_JSON_H
#define SPANSHIM_OTLP_JSON_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

struct buffer;

/* Append a message, in one line. The bytes are ours: texts are UTF-8, the items of a list follow each other and aren't
 * packed. 0, -ENOMEM, -EFBIG, or -EBADMSG when they are no such message. Context: loop. */
int otlp_json_append(struct buffer *out, const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                     size_t length);

#endif
