/* SPDX-License-Identifier: Apache-2.0 */
/* The shim's settings: read once, at start, then read-only. A value that makes no sense counts as unset; it never stops
 * the program. The agent gets the same entries, reads them with the same functions and says what was wrong. */
#ifndef SPANSHIM_CONFIG_H
#define SPANSHIM_CONFIG_H

#include "preload/crash.h"
#include "preload/deepbind.h"
#include "preload/glob.h"
#include "preload/receivers.h"
#include "preload/redact.h"
#include "preload/sampler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_row {
#define SETTING(NAME, field, TYPE, preset, range, help) CONFIG_##NAME,
#define SETTING_ALSO                                    SETTING
#include "preload/config.def"
#undef SETTING
#undef SETTING_ALSO
    CONFIG_ROW_COUNT
};

/* Do traces go to X-Ray, and whose decision counts there? Zero is the default. */
enum xray_mode {
    XRAY_OFF,
    XRAY_FOLLOWS, /* OTEL_TRACES_SAMPLER is set, and rules both */
    XRAY_SAMPLES, /* X-Ray's rules */
};

/* SPANSHIM_CLIENT. Zero is the default. */
enum client_mode { CLIENT_ON, CLIENT_SPANS, CLIENT_OFF };

/* SPANSHIM_ENVIRONMENT_CONTEXT, by bits. */
enum environment_mode {
    ENVIRONMENT_OFF,
    ENVIRONMENT_READ = 1 << 0,
    ENVIRONMENT_WRITE = 1 << 1,
    ENVIRONMENT_ON = ENVIRONMENT_READ | ENVIRONMENT_WRITE,
};

/* SPANSHIM_REQUEST_LINES. Zero is the default. */
enum request_lines { REQUEST_LINES_OFF, REQUEST_LINES_SHORT, REQUEST_LINES_COMBINED, REQUEST_LINES_JSON };

struct config {
    /* The texts of config.def's rows; NULL when unset or empty. Borrowed from the entries: the shim's are in facts.h's
     * copy of the environment and live as long as the process. */
#define SETTING(NAME, field, TYPE, preset, range, help) const char *field;
#define SETTING_ALSO(...)
#include "preload/config.def"
#undef SETTING
#undef SETTING_ALSO
    struct sampler sampler;
    enum xray_mode xray_mode;
    unsigned propagator_formats;
    unsigned response_lines; /* enum propagation_response */
    enum redact_mode query_mode;
    enum redact_ip_mode client_ip_mode;
    enum deepbind_mode deepbind_mode;
    struct glob_list ignored_paths;
    struct glob_list ignored_user_agents;
    struct glob_list ignored_hosts;
    struct receivers receivers;
    enum client_mode client_mode;
    enum environment_mode environment_mode;
    struct glob_list captured_request_headers;
    struct glob_list captured_response_headers;
    struct slice user_header; /* empty: none */
    uint32_t span_limit;      /* of a second; 0: none */
    enum crash_mode crash_mode;
    uint32_t crash_timeout_ms;
    unsigned log_sources;             /* enum applog_source; 0 while logs go nowhere */
    struct glob_list taken_log_files; /* empty likewise */
    enum request_lines request_line_form;
    bool off; /* hooks only forward */

    const char *values[CONFIG_ROW_COUNT]; /* as they were given, by row; NULL: not given, or empty */
    uint64_t bad;                         /* a bit for each row whose value makes no sense */
};

/* Written at start, then read-only. */
extern struct config config __attribute__((visibility("hidden")));

/* Read the settings among the entries of a hand-over's text (facts.h). Context: start. */
void config_init(const char *text, size_t length);

/* The two halves of it: take a "NAME=value" entry (borrowed; the first of a name counts), and work out what all of them
 * mean. *config is zeroed before the first. Context: pure. */
void config_add(struct config *config, const char *entry);
void config_settle(struct config *config);

#endif
