/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line asks of the agent. An answer is JSON text in as many packets as it takes, then end of file:
 *
 *   STATUS   {"agent": {"pid", "worker_pid", "version", "started", "uptime_s", "rss_bytes"},
 *             "users": [{"uid", "refused", "limited"}],       others than ours and root: connections refused, messages
 *                                                             beyond their limits
 *             "processes": [{"pid", "service", "executable", "since"}],
 *             "rings": [{"source", "pid", "service", "executable", "since", "processes", "asleep",
 *                        "complaints": [text], "counts": {...}, "dropped": {...}, "withheld": {...},
 *                        "xray_sampling": {...}}],            as xray_sampling_status() has it, where X-Ray decides
 *             "totals": {"counts": {...}, "dropped": {...}, "withheld": {...},    rings that are there and that were
 *                        "given_up_rings",                    those that crashed a worker again and again
 *                        "crashes": {"read", "not_read", "deaths", "held_ns", "held_max_ns"},
 *                        "errors": {"found", "not_reported"}},
 *             "destinations": [...],                          as destinations_status_all() has them
 *             "spool": {...}}                                 as destinations_spool_status() has it
 *             counts: taken, abandoned, corrupt, quarantined, skipped, log_events, log_events_cut, requests,
 *             unsampled, connections, passive, ignored, client_requests, injected, xray_sampled
 *             dropped, withheld: by the names that wire.h has for them
 *   FLUSH    {"result": "ok" or "failed", "exported": n, "failed": n, "errors": [text]}
 *   CONSOLE  the same as FLUSH, when the other end has shut its side down and all of its session was printed
 *   REPORT   {"result": "sent" or "kept", "uuid", "reason": text}     kept: it is sent later, for this reason; else
 *            as below
 *   STOP     {"result": "ok"}
 *   BARRIER  the same
 *   anything else   {"error": text} */
#ifndef SPANSHIM_COMMAND_H
#define SPANSHIM_COMMAND_H

#include "exporters/agent/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;

struct command_host {
    struct loop *loop;
    void (*done)(void *arg, uint32_t id); /* the command was answered */
    void (*stop)(void);
    struct link_hello hello;
};

/* Descriptors are taken. */
struct command_request {
    uint32_t id;
    uid_t uid;              /* who asks: one who isn't trusted sees and flushes what is his, and no more */
    const uint8_t *message; /* struct wire_message and its text */
    size_t length;
    int connection;
    int passed_fd; /* -1: none */
};

/* Context: start. */
void command_init(const struct command_host *host);
void command_deinit(void);

/* Context: loop. */
void command_take(const struct command_request *request);

/* Is one under way? Context: loop. */
bool command_busy(void);

#endif
