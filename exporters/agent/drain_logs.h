/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the pieces of logs that drain.c finds: they become lines and events (log_lines.h) for the source's journal of
 * logs. Lines that wait to be joined have left the ring and are in no journal yet. To keep them when the worker is
 * killed, each step is written to a write-ahead log first (log_wal.h). Called by worker.c and intake.c. */
#ifndef SPANSHIM_DRAIN_LOGS_H
#define SPANSHIM_DRAIN_LOGS_H

/* Give the memfd to the keeper, which hands it to the next worker. Returns 0 or -errno. */
typedef int drain_logs_hold(int memfd);

/* `hold` is called when the first piece comes. NULL: lines wait in the worker's own memory only. Context: start. */
void drain_logs_init(drain_logs_hold *hold);
void drain_logs_deinit(void);

/* Go on with the memfd of the worker before. The descriptor stays the caller's. Returns 0 or -errno. Context: start. */
int drain_logs_restore(int memfd);

/* After drain_resume of all sources: lines of processes that are gone wait no longer. Context: start. */
void drain_logs_start(void);

#endif
