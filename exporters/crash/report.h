/* SPDX-License-Identifier: Apache-2.0 */
/* A report: all that is known of one crash, of a death that could not be caught, of a printed error, or a message. It
 * is a JSON object (jansson), the same from the helper that reads the dying process to the local file, the spool and
 * the destinations. What isn't known is left out; texts are UTF-8, addresses are strings in hexadecimal ("0x7f..");
 * times are ns since the epoch. Users read it too (spanshim crashes --json): keys are never renamed, only added.
 *
 *   version            1
 *   kind               "crash"; "death": no handler ran, only the wait status is known; "message": a person sent it;
 *                      "error": the program printed it, and may go on
 *   uuid               random (version 4), chosen once: the same in every copy and every attempt to send it
 *   time_unix_ns       of the fault, the death, the message
 *   level              "critical" "error" "warning" "info" "debug"
 *   title              one line: "SIGSEGV in parse_header: write to 0x0 (null pointer)"
 *   message            of a message: its text
 *   signal             { number, name "SIGSEGV", code "SEGV_MAPERR", address, cause "write to 0x0 (null pointer)",
 *                      sender_pid, sender_uid, core_dumped }
 *   exception          { class "SIGSEGV" or "std::out_of_range" or "panic", message }
 *   causes             of an error, what it was thrown for, the direct cause first: [ { class, message, frames [..],
 *                      frames_left_out } ]
 *   language           of an error: "python" "javascript" "java" "ruby" "php" "perl" "go" "rust" "c"
 *   framework          of an error, where its calls tell: "flask"
 *   abort_message      what libc said when it aborted
 *   handler            { function, module }: the program's own handler that ran before the end
 *   exit               { signal, status, core_dumped }: how the process ended in fact
 *   process            { pid, executable, build_id, command, argv [..], cwd, uid, started_unix_ns, interpreter }
 *   threads            [ { id, name, crashed, state, registers { rip .. }, frames [..], frames_left_out } ], the
 * crashed one first a frame          { address, module, build_id, offset, function, function_offset, file, line,
 * column, inlined, found_by "context" "cfi" "frame_pointer" "scan", code: the source
 *                      line }, the innermost call first; module is a path,
 *                      offset counts from the module's start as its file's program headers do
 *   modules            [ { path, build_id, base, size } ]
 *   service            { name, version, namespace, environment, instance_id }
 *   host               { name }
 *   request            the one that the crashed thread worked on, else the only one that was open:
 *                      { trace_id, span_id, parent_span_id, method, url, path, query, route, scheme, server_address,
 *                      server_port, client_address, user_agent, headers { }, user_id (by SPANSHIM_USER_HEADER),
 *                      started_unix_ns, certain }
 *   open_requests      [ the same ]: those that were open when it died, that one included, at most 32
 *   recent_requests    [ { method, url, status, started_unix_ns, ended_unix_ns, trace_id, span_id, error } ]: the
 *                      process's last ones, oldest first, at most 50
 *   log_lines          [ { time_unix_ns, stream "stdout" "stderr" "syslog" "file", severity (of syslog), text,
 *                      trace_id, span_id } ]: the last events of its logs where they are taken, oldest first, at most
 * 20 held_ns            how long the process was kept from dying incomplete         [ text ]: what is missing, and why
 */
#ifndef SPANSHIM_REPORT_H
#define SPANSHIM_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

enum { REPORT_VERSION = 1 };

/* Is it about the end of a process? Context: pure. */
static inline bool report_is_crash(const json_t *report)
{
    const char *kind = json_string_value(json_object_get(report, "kind"));

    return kind != NULL && (strcmp(kind, "crash") == 0 || strcmp(kind, "death") == 0);
}

#endif
