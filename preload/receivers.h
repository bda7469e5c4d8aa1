/* SPDX-License-Identifier: Apache-2.0 */
/* Where the program itself sends its telemetry: by OpenTelemetry's, Honeycomb's, X-Ray's or Rollbar's own library. A
 * trace of that traffic tells nobody anything, and would be sent by more of it. Which servers these are stands in the
 * variables that the libraries read, or is their default. Filled by config.c, asked by span.c. */
#ifndef SPANSHIM_RECEIVERS_H
#define SPANSHIM_RECEIVERS_H

#include "preload/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum { RECEIVERS_MAX = 24, RECEIVERS_ROWS_MAX = 16 };

struct receiver {
    struct slice host; /* IPv6 without its brackets */
    uint16_t port;
    struct slice path; /* its beginning, up to a slash; without one at its end */
};

/* All zero is none. */
struct receivers {
    uint32_t count;
    struct receiver list[RECEIVERS_MAX]; /* borrowed from the settings; what is beyond has no room */
    bool is_given[RECEIVERS_ROWS_MAX];   /* the default of a variable that is set doesn't count */
};

/* Take a "NAME=value" entry of the environment, if it is one of those variables (borrowed). Context: start; pure. */
void receivers_add(struct receivers *receivers, const char *entry);

/* After the last one: the defaults of those that were not set. Context: start; pure. */
void receivers_settle(struct receivers *receivers);

/* Do any of them listen at this port? Most requests go elsewhere, and need not be looked at. Context: pure;
 * signal-safe. */
bool receivers_use_port(const struct receivers *receivers, uint16_t port);

/* Does a request for this path of this server go to one of them? Context: pure; signal-safe. */
bool receivers_match(const struct receivers *receivers, struct slice host, uint16_t port, struct slice path);

#endif
