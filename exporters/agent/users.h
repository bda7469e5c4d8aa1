/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the agent serves, and what it counts for each user. The counts are in memory that keeper and workers share, so a
 * worker's death takes none of them along. Used by door.c and keeper.c (who may come, how much), by intake.c and
 * status.c (what was taken). */
#ifndef SPANSHIM_USERS_H
#define SPANSHIM_USERS_H

#include "exporters/agent/log.h"
#include "exporters/agent/source.h"
#include "preload/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { USERS_ERROR_MAX = 256 };

/* Limits of a user other than our own and root. */
enum {
    USERS_RINGS_MAX = 256,            /* programs at once */
    USERS_SETS_MAX = 16,              /* ways to export at once */
    USERS_QUEUE_BYTES_MAX = 16 << 20, /* of each of them */
    USERS_BURST = 200,                /* hand-overs and commands, */
    USERS_PER_SECOND = 20,            /* and how many more may come each second */
    USERS_TIME_BURST_MS = 5,          /* of the worker's time, for finding processes, */
    USERS_TIME_PART = 10,             /* and one part of so many of what follows */
};

struct crash_counts {
    uint64_t taken_count;  /* crashes that were read */
    uint64_t failed_count; /* that could not be read */
    uint64_t death_count;  /* reported deaths without a handler */
    uint64_t held_ns;      /* how long processes were kept from dying, all together */
    uint64_t held_max_ns;
};

/* Errors that programs print. */
struct error_counts {
    uint64_t found_count;
    uint64_t limited_count; /* beyond what is reported in a second */
};

struct user {
    _Atomic uint32_t is_used;
    uid_t uid;
    /* Keeper only. */
    uint64_t refused_count;         /* connections of a user who isn't served */
    _Atomic uint64_t limited_count; /* messages beyond the limits; the worker's too: ways to export beyond them */
    uint64_t given_up_count;        /* rings that workers crashed of */
    uint64_t credit_at_ns;          /* when the whole burst is there again */
    /* Worker only. */
    uint64_t time_at_ns;         /* when the whole burst of time is there again */
    struct log_limit log_limit;  /* of lines about its programs */
    struct crash_counts crashes; /* the same */
    struct error_counts errors;
    /* Worker only: of rings that were. */
    struct source_counts counts;
    uint64_t counted[WIRE_COUNT_COUNT];
    uint64_t dropped[WIRE_DROP_COUNT];
    uint64_t withheld[WIRE_WITHHOLD_COUNT];
};

/* Once, before the first worker is forked. 0 or -errno. Context: start. */
int users_init(void);

/* Serve these users too: "all", or names and numbers, comma separated. 0, or -EINVAL with a line for people.
 * Context: start. */
int users_serve(const char *list, char error[USERS_ERROR_MAX]);

/* Are users other than our own and root served? Context: any. */
bool users_are_many(void);

/* Let the served users, and nobody else, write to this file: by its mode or its access list. 0 or -errno.
 * Context: start, loop. */
int users_admit_to(const char *path);

/* Ours or root: no limits, and it may ask anything. Context: any. */
bool users_is_trusted(uid_t uid);

/* May this user see and change what is that one's? Context: any. */
bool users_may_see(uid_t viewer, uid_t whose);

/* May it connect? Counted when not. Context: loop (keeper). */
bool users_may_connect(uid_t uid);

/* May it send one more message now, with that many rings there already? Counted when not. Context: loop (keeper). */
bool users_may_send(uid_t uid, size_t ring_count, uint64_t now_ns);

/* Time for work that a user can ask for at will: may it take some, and it took so much. Context: loop (worker). */
bool users_may_take_time(uid_t uid, uint64_t now_ns);
void users_took_time(uid_t uid, uint64_t now_ns, uint64_t spent_ns);

/* May one more line about this user's programs be logged? Counted when not, for a line of its own. Context: loop
 * (worker). */
bool users_may_log(uid_t uid, uint64_t now_ns);

/* Where its counts are: an entry of its own, or where the table is full one shared by many. Context: loop. */
struct user *users_find(uid_t uid);

/* Entry n, in order of arrival; NULL after the last. Context: loop. */
const struct user *users_at(size_t n);

#endif
