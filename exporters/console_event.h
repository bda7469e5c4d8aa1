/* SPDX-License-Identifier: Apache-2.0 */
/* An event of a log as the console shows it: a copy, since it waits for its trace.
 *
 *     14:03:12.125  ERROR  orders  Traceback (most recent call last):
 *                                    File "app.py", line 3, in <module>
 *
 * Called by console.c. */
#ifndef SPANSHIM_CONSOLE_EVENT_H
#define SPANSHIM_CONSOLE_EVENT_H

#include "exporters/console_tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct log_event;

struct console_event {
    uint64_t unix_ns;
    uint8_t severity; /* of syslog's, plus one; 0: unknown */
    size_t length;
    /* Texts are from outside: to be shown escaped. */
    char *text;
    char *service;
};

/* False when out of memory. Context: loop. */
bool console_event_init(struct console_event *copy, const struct log_event *event);
void console_event_deinit(struct console_event *copy);

/* Its lines, the first 32; `indent` columns in front of each. Context: loop. */
void console_event_print(FILE *out, const struct console_event *event, unsigned indent,
                         const struct console_style *style);

#endif
