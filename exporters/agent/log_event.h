/* SPDX-License-Identifier: Apache-2.0 */
/* An event of a log: a line, or several that belong together, as the program wrote it, read out of a journal: checked,
 * bounded. What every destination of logs maps from. */
#ifndef SPANSHIM_LOG_EVENT_H
#define SPANSHIM_LOG_EVENT_H

#include "exporters/agent/span.h"
#include "preload/wire.h"

#include <stddef.h>
#include <stdint.h>

struct process;

enum { LOG_EVENT_TEXT_MAX = 256 * 1024 };

/* In place of an enum wire_log_stream: made by the agent, a line about a request, and a crash. */
enum { LOG_EVENT_STREAM_REQUEST = UINT8_MAX, LOG_EVENT_STREAM_CRASH = UINT8_MAX - 1 };

enum log_event_flag {
    LOG_EVENT_CUT = 1 << 0,    /* its end was left out: it is too long */
    LOG_EVENT_GAP = 1 << 1,    /* something before its start was lost */
    LOG_EVENT_NO_END = 1 << 2, /* the line had no end when the program ended, or paused */
    LOG_EVENT_BINARY = 1 << 3, /* it has bytes that are no text */
};

/* As it stands in a journal; the path and the text follow. */
struct log_event_record {
    struct wire_record header; /* LOG; `pad` is the text's length */
    uint64_t mono_ns;          /* of the first byte */
    uint8_t trace_id[16];      /* zero: of no request that is certain */
    uint8_t span_id[8];
    uint8_t stream;    /* enum wire_log_stream, or LOG_EVENT_STREAM_... */
    uint8_t severity;  /* of syslog's, plus one; 0: unknown */
    uint16_t flags;    /* enum log_event_flag */
    uint32_t left_out; /* bytes, where it is cut */
    uint32_t path_length;
    uint32_t pad;
};

struct log_event {
    const struct process *process; /* borrowed */
    uint64_t unix_ns;
    const struct log_event_record *record; /* borrowed */
    struct slice path;                     /* borrowed; of the file that it was written to; empty: it is none */
    struct slice text;                     /* borrowed; raw bytes, without the line's end */
};

/* Read a journal's entry. 0, or -EBADMSG when it can't be one. The bytes must outlive the event. Context: pure. */
int log_event_parse(const struct process *process, const void *bytes, size_t length, struct log_event *ret_event);

#endif
