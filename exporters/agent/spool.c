/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/spool.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/log.h"
#include "exporters/agent/spool_path.h"
#include "exporters/agent/spool_state.h"
#include "exporters/agent/users.h"
#include "exporters/encode/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BLOCKED_S = 30,        /* after a failure it is tried again, */
    BUSY_S = 1,            /* and so after another agent has held it up */
    LOOK_S = 5,            /* while payloads of other agents, or with other tokens, are there for our destinations */
    CHECKPOINT_PAGES = 256 /* 4 MiB */
};

/* Bytes of one user for which no program has handed over settings yet: beyond that the oldest are deleted. */
#define ORPHAN_BYTES_MAX (UINT64_C(256) << 20)

static char set_folder[PATH_MAX]; /* written at start, before the first worker; "": none */

static void look_for_more(struct spool *spool);
static void on_timer(void *arg);

void spool_set_folder(const char *folder)
{
    (void)snprintf(set_folder, sizeof(set_folder), "%s", folder != NULL ? folder : "");
}

uint64_t spool_now_unix_ms(void)
{
    return clock_now_ns(CLOCK_REALTIME) / NS_PER_MS;
}

/* opening and closing */

static void close_file(struct spool *spool)
{
    spool_file_close(&spool->file);
    for (struct spool_queue *queue = spool->queues; queue != NULL; queue = queue->next) {
        queue->depth.full_count += queue->depth.item_count; /* until it is found again */
        queue->depth.payload_count = queue->depth.item_count = queue->depth.byte_count = 0;
        queue->destination = queue->owner = queue->newest = queue->taken.id = 0;
        queue->undeleted_count = 0;
    }
}

/* Nothing is written for a while. One line for people, the first time. */
static void block(struct spool *spool, const char *problem)
{
    if (spool->blocked_until_ns == 0)
        log_line(
            LOG_LEVEL_WARN,
            "%s; what no destination takes is kept in memory for now: free the disk, or set SPANSHIM_SPOOL_DIR to a "
            "private folder elsewhere, or to none",
            problem);
    (void)snprintf(spool->problem, sizeof(spool->problem), "%s", problem);
    spool->blocked_until_ns = loop_now_ns(spool->loop) + BLOCKED_S * NS_PER_S;
}

static void note_busy(struct spool *spool)
{
    spool->busy_until_ns = loop_now_ns(spool->loop) + BUSY_S * NS_PER_S;
}

void spool_unblock(struct spool *spool)
{
    if (spool->blocked_until_ns != 0)
        log_line(LOG_LEVEL_INFO, "%s is used again", spool->file.path);
    spool->blocked_until_ns = 0;
    spool->problem[0] = '\0';
}

/* What a code of SQLite's means for us: -errno, and whether the file is of use. */
int spool_fail(struct spool *spool, int code)
{
    char problem[SPOOL_FILE_PROBLEM_MAX];
    int error = sqlite3_system_errno(spool->file.db);

    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        note_busy(spool);
        return -EAGAIN;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        log_line(LOG_LEVEL_WARN, "%s is damaged: what waited in it is lost; it is kept as %s", spool->file.path,
                 SPOOL_NAME_DAMAGED);
        close_file(spool);
        spool_file_put_aside(&spool->file);
        return -EIO;
    default:
        (void)snprintf(problem, sizeof(problem), "%.128s can't be used: %s%s%s", spool->file.path, sqlite3_errstr(code),
                       error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
        block(spool, problem);
        return -EIO;
    }
}

static int on_commit(void *arg, sqlite3 *db, const char *name, int page_count)
{
    struct spool *spool = arg;

    (void)db;
    (void)name;
    if (page_count >= CHECKPOINT_PAGES)
        spool_file_checkpoint(&spool->file);
    return SQLITE_OK;
}

static int open_file(struct spool *spool)
{
    char problem[SPOOL_FILE_PROBLEM_MAX];
    int error = spool_file_open(&spool->file, set_folder, problem);

    if (error == -EAGAIN)
        note_busy(spool);
    else if (error < 0)
        block(spool, problem);
    if (error < 0) {
        /* Look later at what is in it, whether or not more is put there. */
        (void)loop_timer_set(spool->loop, &spool->timer, (error == -EAGAIN ? BUSY_S : BLOCKED_S) * NS_PER_S);
        return error;
    }
    if (problem[0] != '\0')
        log_line(LOG_LEVEL_WARN, "%s", problem);
    (void)sqlite3_wal_hook(spool->file.db, on_commit, spool);
    look_for_more(spool);
    return 0;
}

/* Open, and still the file of that name. */
int spool_ensure_open(struct spool *spool)
{
    if (spool->file.db != NULL && !spool_file_stands(&spool->file)) {
        log_line(LOG_LEVEL_WARN, "%s was removed, with what waited in it: it is made again", spool->file.path);
        close_file(spool);
    }
    return spool->file.db != NULL ? 0 : open_file(spool);
}

int spool_ensure_owner(struct spool_queue *queue)
{
    char problem[SPOOL_FILE_PROBLEM_MAX];
    int error = queue->owner == 0 ? spool_file_take_owner(&queue->spool->file, &queue->owner) : 0;

    if (error < 0) {
        (void)snprintf(problem, sizeof(problem), "%.128s can't be locked: %s", queue->spool->file.path,
                       strerror(-error));
        block(queue->spool, problem);
    }
    return error;
}

bool spool_is_blocked(const struct spool *spool)
{
    return set_folder[0] == '\0' || loop_now_ns(spool->loop) < spool->blocked_until_ns;
}

bool spool_is_usable(const struct spool *spool)
{
    return !spool_is_blocked(spool) && loop_now_ns(spool->loop) >= spool->busy_until_ns;
}

struct spool *spool_new(struct loop *loop)
{
    struct spool *spool = calloc(1, sizeof(*spool));

    if (spool == NULL)
        return NULL;
    spool->loop = loop;
    spool->file.lock = -1;
    spool->timer = (struct loop_timer){.fn = on_timer, .arg = spool};
    return spool;
}

void spool_free(struct spool *spool)
{
    if (spool == NULL)
        return;
    loop_timer_clear(spool->loop, &spool->timer);
    close_file(spool);
    free(spool);
}

/* statements */

/* Its row, if there is one. */
void spool_find_destination(struct spool_queue *queue, enum spool_statement which)
{
    const struct spool_identity *identity = &queue->options.identity;
    sqlite3_stmt *statement = SPOOL_BIND(&queue->spool->file, which, (int64_t)identity->uid);

    queue->destination = 0;
    (void)sqlite3_bind_text(statement, 2, identity->exporter, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 3, identity->target, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 4, identity->form, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW)
        queue->destination = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
}

static void count_queue(struct spool_queue *queue)
{
    sqlite3_stmt *statement = SPOOL_BIND(&queue->spool->file, SPOOL_COUNT_QUEUE, SPOOL_OF(queue));

    if (sqlite3_step(statement) == SQLITE_ROW) {
        queue->depth.payload_count = (uint64_t)sqlite3_column_int64(statement, 0);
        queue->depth.item_count = (uint64_t)sqlite3_column_int64(statement, 1);
        queue->depth.byte_count = (uint64_t)sqlite3_column_int64(statement, 2);
        queue->newest = sqlite3_column_int64(statement, 3);
    }
    (void)sqlite3_reset(statement);
}

/* whose payloads they are */

static bool is_ours(const struct spool *spool, int64_t owner)
{
    const struct spool_queue *queue = spool->queues;

    while (queue != NULL && queue->owner != owner)
        queue = queue->next;
    return queue != NULL;
}

/* Does nobody send the payloads of this owner? */
static bool is_orphan(const struct spool *spool, int64_t owner)
{
    return !is_ours(spool, owner) && !spool_file_owner_lives(&spool->file, owner);
}

static int take_over(struct spool_queue *queue, int64_t owner, int64_t mark)
{
    return spool_file_run(SPOOL_BIND(&queue->spool->file, SPOOL_TAKE_OVER, SPOOL_OF(queue), owner, mark));
}

struct share {
    int64_t owner, mark;
};

/* Whose payloads of this destination are there; as many as fit. */
static size_t list_shares(struct spool_queue *queue, struct share *shares, size_t most)
{
    sqlite3_stmt *statement = SPOOL_BIND(&queue->spool->file, SPOOL_LIST_SHARES, queue->destination);
    size_t count = 0;

    while (count < most && sqlite3_step(statement) == SQLITE_ROW)
        shares[count++] = (struct share){sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1)};
    (void)sqlite3_reset(statement);
    return count;
}

/* Payloads that no agent sends are added to the queue; those of other tokens only after a while, in which a program
 * with the right token may come. Is anything left that the queue may take later? */
static bool look_for_queue(struct spool_queue *queue)
{
    const struct spool *spool = queue->spool;
    bool is_late = loop_now_ns(spool->loop) - queue->opened_ns >= LOOK_S * NS_PER_S;
    struct share shares[32];
    bool has_taken = false, is_left = false;
    size_t count = list_shares(queue, shares, sizeof(shares) / sizeof(shares[0]));

    for (size_t i = 0; i < count; i++) {
        bool is_same = shares[i].mark == queue->options.identity.mark;

        if (is_ours(spool, shares[i].owner))
            continue;
        if (is_orphan(spool, shares[i].owner) && (is_same || is_late) &&
            take_over(queue, shares[i].owner, shares[i].mark) == SQLITE_OK)
            has_taken = true;
        else
            is_left = true;
    }
    if (has_taken || queue->newest == 0)
        count_queue(queue);
    queue->has_more |= has_taken;
    return is_left;
}

/* For each queue; those for which something was found hear of it from the timer, not within the call that led here. */
static void look_for_more(struct spool *spool)
{
    bool is_left = false, has_more = false;

    if (spool->file.db == NULL)
        return;
    for (struct spool_queue *queue = spool->queues; queue != NULL; queue = queue->next) {
        spool_find_destination(queue, SPOOL_FIND_DESTINATION);
        if (queue->destination != 0 && spool_ensure_owner(queue) == 0)
            is_left |= look_for_queue(queue);
        has_more |= queue->has_more;
    }
    if (is_left || has_more)
        (void)loop_timer_set(spool->loop, &spool->timer, has_more ? 0 : LOOK_S * NS_PER_S);
}

/* Open it when there is something to be found in it. */
static void open_for_more(struct spool *spool)
{
    if (spool->file.db == NULL && spool_is_usable(spool) && spool_file_exists(set_folder))
        (void)open_file(spool);
}

static void on_timer(void *arg)
{
    struct spool *spool = arg;
    struct spool_queue *next;

    for (struct spool_queue *queue = spool->queues; queue != NULL; queue = next) {
        next = queue->next;
        if (queue->has_more) {
            queue->has_more = false;
            queue->options.on_more(queue->options.arg);
        }
    }
    if (spool->file.db != NULL)
        look_for_more(spool);
    else
        open_for_more(spool);
}

/* The columns of SPOOL_LIST_ALL. */
enum { ALL_ID, ALL_OWNER, ALL_EXPIRES, ALL_COUNT, ALL_BYTES, ALL_UID, ALL_EXPORTER, ALL_TARGET, ALL_CREATED };

/* Delete payloads that no agent sends: those that are too old, and this user's oldest beyond the bounds. */
static void sweep_orphans(struct spool *spool, uid_t uid)
{
    sqlite3_stmt *statement = spool->file.statements[SPOOL_LIST_ALL];
    uint64_t byte_count = 0, item_count = 0;
    int64_t now_ms = (int64_t)spool_now_unix_ms();

    while (sqlite3_step(statement) == SQLITE_ROW) {
        int64_t owner = sqlite3_column_int64(statement, ALL_OWNER);

        if (!is_orphan(spool, owner))
            continue;
        if (sqlite3_column_int64(statement, ALL_UID) == (int64_t)uid)
            byte_count += (uint64_t)sqlite3_column_int64(statement, ALL_BYTES);
        if (sqlite3_column_int64(statement, ALL_EXPIRES) > now_ms && byte_count <= ORPHAN_BYTES_MAX)
            continue;
        if (spool_delete(spool, sqlite3_column_int64(statement, ALL_ID), owner) == SQLITE_OK)
            item_count += (uint64_t)sqlite3_column_int64(statement, ALL_COUNT);
    }
    (void)sqlite3_reset(statement);
    (void)spool_file_run(spool->file.statements[SPOOL_FORGET_DESTINATIONS]);
    spool->dropped_count += item_count;
    if (item_count > 0)
        log_line(LOG_LEVEL_WARN,
                 "%" PRIu64
                 " spans and reports are dropped: they waited too long in %s for a program with their settings",
                 item_count, spool->file.path);
}

/* queues */

static void free_queue(struct spool_queue *queue)
{
    free((char *)queue->options.identity.exporter);
    free((char *)queue->options.identity.target);
    free((char *)queue->options.identity.form);
    free(queue->undeleted);
    free(queue);
}

int spool_queue_open(struct spool *spool, const struct spool_queue_options *options, struct spool_queue **ret_queue)
{
    struct spool_queue *queue = calloc(1, sizeof(*queue));
    struct spool_identity *identity;

    if (queue == NULL)
        return -ENOMEM;
    queue->spool = spool;
    queue->options = *options;
    queue->opened_ns = loop_now_ns(spool->loop);
    identity = &queue->options.identity;
    identity->exporter = strdup(identity->exporter);
    identity->target = strdup(identity->target);
    identity->form = strdup(identity->form);
    if (identity->exporter == NULL || identity->target == NULL || identity->form == NULL) {
        free_queue(queue);
        return -ENOMEM;
    }
    queue->next = spool->queues;
    spool->queues = queue;
    *ret_queue = queue;
    if (spool->file.db != NULL)
        look_for_more(spool);
    else
        open_for_more(spool);
    if (spool->file.db != NULL)
        sweep_orphans(spool, identity->uid);
    return 0;
}

void spool_queue_close(struct spool_queue *queue)
{
    struct spool_queue **link;

    if (queue == NULL)
        return;
    for (link = &queue->spool->queues; *link != queue; link = &(*link)->next)
        continue;
    *link = queue->next;
    if (queue->owner != 0)
        spool_file_leave_owner(&queue->spool->file, queue->owner);
    free_queue(queue);
}

/* status */

/* An entry for a destination, made when it is not there yet. */
static json_t *entry_of(json_t *list, const char *name, const char *target)
{
    size_t i;
    json_t *entry;

    json_array_foreach(list, i, entry)
    {
        if (strcmp(json_string_value(json_object_get(entry, "name")), name) == 0 &&
            strcmp(json_string_value(json_object_get(entry, "target")), target) == 0)
            return entry;
    }
    entry = json_pack("{s:s, s:s, s:i, s:I, s:i}", "name", name, "target", target, "queued", 0, "bytes", (json_int_t)0,
                      "oldest_s", 0);
    (void)json_array_append_new(list, entry);
    return entry;
}

static void add_to(json_t *entry, const char *name, json_int_t number)
{
    json_t *value = json_object_get(entry, name);

    (void)json_integer_set(value, json_integer_value(value) + number);
}

static json_t *list_waiting(struct spool *spool, uid_t viewer)
{
    sqlite3_stmt *statement = spool->file.statements[SPOOL_LIST_ALL];
    int64_t now_ms = (int64_t)spool_now_unix_ms();
    json_t *list = json_array();

    while (statement != NULL && sqlite3_step(statement) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, ALL_EXPORTER);
        const char *target = (const char *)sqlite3_column_text(statement, ALL_TARGET);
        int64_t age_ms = now_ms - sqlite3_column_int64(statement, ALL_CREATED);

        if (!users_may_see(viewer, (uid_t)sqlite3_column_int64(statement, ALL_UID)) || name == NULL || target == NULL ||
            !is_orphan(spool, sqlite3_column_int64(statement, ALL_OWNER)))
            continue;
        json_t *entry = entry_of(list, name, target);
        add_to(entry, "queued", sqlite3_column_int64(statement, ALL_COUNT));
        add_to(entry, "bytes", sqlite3_column_int64(statement, ALL_BYTES));
        (void)json_integer_set(json_object_get(entry, "oldest_s"), age_ms > 0 ? age_ms / 1000 : 0);
    }
    (void)sqlite3_reset(statement);
    return list;
}

json_t *spool_status(struct spool *spool, uid_t viewer)
{
    char folder[PATH_MAX];
    json_t *status;

    open_for_more(spool);
    if (spool->file.db != NULL)
        sweep_orphans(spool, viewer);
    utf8_copy(set_folder, folder, sizeof(folder));
    status = json_pack("{s:s, s:o, s:I}", "folder", folder, "waiting", list_waiting(spool, viewer), "dropped",
                       (json_int_t)spool->dropped_count);
    if (spool->problem[0] != '\0') {
        utf8_copy(spool->problem, folder, sizeof(folder));
        (void)json_object_set_new(status, "problem", json_string(folder));
    }
    return status;
}
