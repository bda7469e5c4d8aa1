/* SPDX-License-Identifier: Apache-2.0 */
/* The shim's settings: read from the environment once, at start, then read-only. A value that makes no sense is
 * reported once, by name, through the ring, and the default used; it never stops the program. */
#ifndef SPANSHIM_CONFIG_H
#define SPANSHIM_CONFIG_H

#include "preload/redact.h"
#include "preload/sampler.h"
#include "preload/slice.h"

#include <stdbool.h>

struct config {
    /* The texts of config.def's rows. Borrowed from facts.h's copy of the environment: live as long as the process. */
#define SETTING(NAME, field, TYPE, preset, range, help) const char *field;
#include "preload/config.def"
#undef SETTING
    struct sampler sampler;
    unsigned propagator_formats;
    enum redact_mode query_mode;
    enum redact_ip_mode client_ip_mode;
    bool off; /* hooks only forward */
};

/* Written at start, then read-only. */
extern struct config config __attribute__((visibility("hidden")));

/* Read the settings among facts.h's entries. Context: start. */
void config_init(void);

/* Put the complaints about bad values into the ring. Context: hook; after the first hand-over. */
void config_report(void);

/* Is the header named in the list (SPANSHIM_REQUEST_HEADERS, ..., may be NULL)? Context: pure; signal-safe. */
bool config_names_header(const char *list, struct slice name);

#endif
