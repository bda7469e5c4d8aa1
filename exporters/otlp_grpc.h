/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP over gRPC, as far as it differs from OTLP over HTTP: a frame around the message, and the outcome in trailers.
 * The rest of gRPC is HTTP/2, which is http_client.c's. Called by otlp_sender.c and otlp_answer.c. */
#ifndef SPANSHIM_OTLP_GRPC_H
#define SPANSHIM_OTLP_GRPC_H

#include "exporters/otlp_answer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_response;

enum { GRPC_FRAME_SIZE = 5, GRPC_TIMEOUT_SIZE = 16 };

/* What stands before a message of this length. Context: pure. */
void otlp_grpc_frame(uint8_t frame[GRPC_FRAME_SIZE], bool is_compressed, size_t length);

/* A time limit as the header grpc-timeout has it. Context: pure. */
void otlp_grpc_timeout(uint32_t timeout_ms, char text[GRPC_TIMEOUT_SIZE]);

/* Is it an answer of gRPC: a status, or a message without one? Then *ret_refusal is all zero when the batch was taken.
 * False: what answered speaks no gRPC, and HTTP's status counts. Context: loop, within an http_done. */
bool otlp_grpc_read(const struct http_response *response, struct otlp_refusal *ret_refusal);

#endif
