/* SPDX-License-Identifier: Apache-2.0 */
/* Destination sets: one for each distinct way to export a kind of records (the digest of the settings), shared by all
 * processes that export so. A set owns a journal and one deliver queue for each of its exporters. Called by intake.c
 * (for, unref), drain.c (journal, wake) and command.c (flush, status). */
#ifndef SPANSHIM_DESTINATIONS_H
#define SPANSHIM_DESTINATIONS_H

#include "exporters/agent/settings.h"
#include "exporters/exporter.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct destinations;
struct http_client;
struct loop;
struct process;
struct spool;
struct journal;
struct journal_origin;

/* What the agent gives to the sets; copied. */
struct destinations_host {
    struct loop *loop;
    struct http_client *http;
    struct spool *spool; /* the queue on the disk; NULL: there is none */
    /* journals_obtain, journals_drop and process_find (journals.h, process.h), or a test's own. */
    int (*journal_obtain)(const uint8_t key[SETTINGS_DIGEST_SIZE], size_t capacity, struct journal **ret_journal);
    void (*journal_drop)(struct journal *journal);
    struct process *(*process_find)(const struct journal_origin *origin);
};

/* Once, before the first set is made. Context: loop. */
void destinations_init(const struct destinations_host *host);
/* Every hand-over that the keeper still holds has been taken: only now can it be told whose the records are that an
 * earlier worker left in the journals. Nothing is sent before. Context: loop. */
void destinations_start(void);
/* Free every set, delivered or not. Context: loop. */
void destinations_deinit(void);

/* The set for these settings, made if need be (an exporter that can't be opened is shown by status and in the log); one
 * more reference. NULL with errno when there is nothing to export to (0), when its user has too many (EDQUOT) or when
 * it can't be made. Context: loop. */
struct destinations *destinations_for(struct settings *settings, enum signal signal);

/* A process image that used it is gone. The set lives on until all is delivered; when the receiver stays away, what is
 * in memory alone for five minutes. Context: loop. */
void destinations_unref(struct destinations *destinations);

/* Its journal; its exporters are consumers 0 .. n - 1, told to the journal already. Context: loop. */
struct journal *destinations_journal(struct destinations *destinations);

/* Which records its exporters want: enum wire_want. Context: loop. */
unsigned destinations_wants(const struct destinations *destinations);

/* Is one of its exporters for requests that have not ended yet? Context: loop. */
bool destinations_want_open(const struct destinations *destinations);

/* Records were appended to its journal. Cheap: once per pass over the rings. Context: loop. */
void destinations_wake(struct destinations *destinations);

/* A report (crash/report.h) for those of its exporters that take reports: encoded and kept before this returns, sent at
 * once. Context: loop. */
void destinations_report(struct destinations *destinations, const json_t *report);

/* Nothing of it waits or is under way. Context: loop. */
bool destinations_is_delivered(const struct destinations *destinations);

/* Does any set still have something to deliver? What keeps an agent without processes alive; what can wait on the disk
 * does so for five minutes only. Context: loop. */
bool destinations_busy(void);

/* The agent ends: put on the disk what is in memory and not delivered. Context: loop. */
void destinations_stow(void);

/* What a flush came to: spans since its call. */
struct destinations_flushed {
    uint64_t exported;
    uint64_t failed; /* dropped, refused, or still waiting after a failed attempt or the time's end */
    char error[256]; /* of the first failure; empty: none */
};
typedef void destinations_flush_done(void *arg, const struct destinations_flushed *flushed);

/* Deliver what is in the journals now, of the sets that `viewer` may see, back-off or not: one attempt each, at most
 * timeout_ms. done is called once, now or later. Context: loop. */
void destinations_flush_all(uid_t viewer, uint32_t timeout_ms, destinations_flush_done *done, void *arg);

/* A report as by destinations_report, and a flush of this set: one attempt to send it. 0; else, and then done is not
 * called, -errno as of deliver_report(): no destination has taken it. Context: loop. */
int destinations_submit(struct destinations *destinations, const json_t *report, uint32_t timeout_ms,
                        destinations_flush_done *done, void *arg);

/* The launcher's program has ended: deliver what the console of this session has to print, print it, forget the session
 * (its descriptor is closed), then done. Called after the rings were drained. Context: loop. */
void destinations_end_console(const char *session, uint32_t timeout_ms, destinations_flush_done *done, void *arg);

/* A new array of the sets that `viewer` may see, for `spanshim status`. No secrets. Context: loop. */
json_t *destinations_status_all(uid_t viewer);

/* A new object of what the spool says, likewise; null: there is none. Context: loop. */
json_t *destinations_spool_status(uid_t viewer);

#endif
