/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with a complete report, of a crash or of another death. Called by crash_desk.c and crash_death.c. */
#ifndef SPANSHIM_CRASH_FILE_H
#define SPANSHIM_CRASH_FILE_H

#include <jansson.h>
#include <stdint.h>

struct process;
struct source;

enum { CRASH_UUID_SIZE = 37 };

/* The same for the same process (NULL: random) and number, also after a restart of the worker; random in form. Context:
 * loop. */
void crash_file_make_uuid(const struct process *process, uint64_t number, char uuid[CRASH_UUID_SIZE]);

/* Keep it here, give it to the source's destinations, log it. `status`: the wait status; NULL: unknown. Context:
 * loop. */
void crash_file_report(json_t *report, struct source *source, const int *status);

/* What the lane's open requests end of, and the exception for the span of the one that crashed. Context: loop. */
void crash_file_note_fate(const json_t *report, struct source *source, uint32_t lane);

/* The exception for the span with this id, by the report of a printed error; `text` is what was printed. Context:
 * loop. */
void crash_file_note_error(const json_t *report, struct process *process, const uint8_t span_id[8], char *text);

#endif
