/* SPDX-License-Identifier: Apache-2.0 */
/* What a receiver's answer to a batch means: accepted, come again, or never; and what to do about it, in plain words.
 * Called by otlp_sender.c. */
#ifndef SPANSHIM_OTLP_ANSWER_H
#define SPANSHIM_OTLP_ANSWER_H

#include "exporters/exporter.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_response;

enum { OTLP_WORDS_MAX = 180 };

/* Why a batch wasn't taken, whatever the protocol. */
struct otlp_refusal {
    int status;       /* HTTP's, or the nearest to gRPC's code */
    const char *name; /* gRPC's; NULL: the number is the name */
    bool is_retryable;
    uint32_t retry_after_ms;    /* 0: by back-off */
    char words[OTLP_WORDS_MAX]; /* the receiver's own, as one line, or "" */
};

/* A receiver's words made into a line: valid, bounded. Context: pure. */
void otlp_answer_words(const char *words, size_t length, char out[OTLP_WORDS_MAX]);

/* shown_url: the receiver, for people. Only the first 64 kB of the answer are read. Context: loop. */
void otlp_answer_read(const struct settings *settings, enum signal signal, const char *shown_url,
                      const struct http_response *answer, struct exporter_result *ret_result);

#endif
