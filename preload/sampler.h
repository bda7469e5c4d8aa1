/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a request is recorded: OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. Set up once at start, then
 * read-only. */
#ifndef SPANSHIM_SAMPLER_H
#define SPANSHIM_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

struct trace_context;

#define SAMPLER_THRESHOLD_NONE (UINT64_C(1) << 56)

/* All zero is always_on. */
struct sampler {
    bool parent_based;  /* a parent's decision is followed; the threshold is for roots */
    uint64_t threshold; /* kept are trace ids whose last 56 bits are at least this: 0 keeps all, 2^56 none */
};

/* The sampler when nothing, or nothing sensible, is set. */
#define SAMPLER_DEFAULT ((struct sampler){.parent_based = true, .threshold = 0})

/* The threshold that keeps the share `ratio`, 0..1, of all trace ids. The smallest share there is keeps one in 2^56.
 * Context: pure. */
uint64_t sampler_threshold(double ratio);

enum sampler_problem { SAMPLER_OK, SAMPLER_BAD_NAME, SAMPLER_BAD_ARG };

/* Read the two settings' values; either may be NULL or empty. Always sets *ret_sampler: a name that is unknown gives
 * SAMPLER_DEFAULT, a ratio that is no number in 0..1 counts as not given (1). Context: start; pure. */
enum sampler_problem sampler_parse(const char *name, const char *arg, struct sampler *ret_sampler);

/* parent: NULL, or not decided, when nobody has decided yet. Deterministic; a higher ratio keeps all that a lower one
 * keeps. Context: pure; signal-safe. */
bool sampler_decide(const struct sampler *sampler, const struct trace_context *parent, const uint8_t trace_id[16]);

/* Is the trace among the share of all that this threshold keeps? Context: pure; signal-safe. */
bool sampler_keeps(uint64_t threshold, const uint8_t trace_id[16]);

#endif
