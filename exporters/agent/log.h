/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's log: one line per event, for people: UTC time, level, text. No secrets: callers log names of settings and
 * addresses of destinations, never header values. A file of 0600 that is rotated at 5 MB, or standard error. */
#ifndef SPANSHIM_LOG_H
#define SPANSHIM_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_NONE, LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Log to this file (created 0600, its folder too); NULL: to standard error. 0 or -errno, and then it stays as it was.
 * Context: start. */
int log_open(const char *path);
void log_close(void);

/* The level of a word of OTEL_LOG_LEVEL, in lower case. Context: pure. */
enum log_level log_level_of(const char *word);

/* Lines above this level are left out; LOG_LEVEL_INFO at first. Context: start. */
void log_set_level(enum log_level level);

/* One line; control characters are replaced. Context: loop. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Lets `burst` lines through every `interval_s` seconds and counts the rest. All zero but these two is valid. */
struct log_limit {
    uint32_t burst;
    uint32_t interval_s;
    uint64_t window_start_ns;
    uint32_t window_count;
    uint64_t suppressed_count; /* since the last line that was let through */
};

/* May this line be logged? When it may after some were held back, says how many in a line of its own. Context: loop. */
int log_limit_pass(struct log_limit *limit, uint64_t now_ns);

#endif
