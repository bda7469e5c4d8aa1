/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of logs in a test: what a program writes goes in as the shim cuts it, and the events that come of it stay. */
#ifndef SPANSHIM_LOG_LINES_FIXTURE_H
#define SPANSHIM_LOG_LINES_FIXTURE_H

#include "exporters/agent/log_lines.h"
#include "preload/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PIECE_MAX = WIRE_LOG_BYTES, BIG = 300 * 1024 };

/* What came out: the texts, each with '|' behind it, and what the last event was. */
struct log_lines_fixture {
    struct log_lines *lines;
    bool is_saved; /* and loaded after each piece */
    char texts[4 * BIG];
    size_t length;
    unsigned count;
    struct log_event_record last;
    struct log_lines_place place;
    char path[WIRE_LOG_PATH_MAX + 1];
    uint64_t now_ns, position;
    struct wire_log log; /* what the next piece has */
};

/* cmocka's. As `saved` all that waits is saved and loaded after each piece, as after a restart. */
int log_lines_setup(void **state);
int log_lines_setup_saved(void **state);
int log_lines_teardown(void **state);

/* A piece of a call: a block of just its size, for sanitizers. Is it taken? */
bool give(struct log_lines_fixture *fixture, const char *path, const char *bytes, size_t length);

/* A call of its own. */
void write_text(struct log_lines_fixture *fixture, const char *text);

/* By a thread; 0: by any, from the buffer that they share. */
void write_as(struct log_lines_fixture *fixture, uint32_t thread, const char *text);

/* A call of many bytes, in pieces as the shim cuts them. */
void write_long(struct log_lines_fixture *fixture, const char *bytes, size_t length);

/* So much time goes by, and the lines are looked at. */
void wait_ms(struct log_lines_fixture *fixture, unsigned ms);

/* These came out since the last time, each with '|' behind it. */
void assert_texts(struct log_lines_fixture *fixture, const char *expected);

#endif
