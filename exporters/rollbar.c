/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/spool.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/spool_file.h"
#include "exporters/agent/spool_path.h"
#include "exporters/agent/users.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/utf8.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

enum {
    BLOCKED_S = 30,        /* after a failure it is tried again */
    LOOK_S = 5,            /* while payloads of other agents, or with other tokens, are there for our destinations */
    CHECKPOINT_PAGES = 256 /* 4 MiB */
};

/* Of one user, where no program has handed over the settings yet: beyond, the oldest goes. */
#define ORPHAN_BYTES_MAX (UINT64_C(256) << 20)

#define OF_QUEUE "destination = ?1 AND owner = ?2 AND mark = ?3"

enum statement {
    FIND_DESTINATION,
    ADD_DESTINATION,
    ADD_ITEM,
    NEXT_ID,
    READ_ITEM,
    OLDEST_OF_KIND,
    DELETE_ITEM,
    COUNT_QUEUE,
    LIST_SHARES,
    TAKE_OVER,
    LIST_ORPHANS,
    STATEMENT_COUNT
};

static const char *const texts[STATEMENT_COUNT] = {
    [FIND_DESTINATION] = "SELECT id FROM destination WHERE uid = ?1 AND exporter = ?2 AND target = ?3 AND form = ?4",
    [ADD_DESTINATION] = "INSERT OR IGNORE INTO destination (uid, exporter, target, form) VALUES (?1, ?2, ?3, ?4)",
    [ADD_ITEM] = "INSERT INTO item (destination, owner, mark, kind, created, expires, count, payload)"
                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [NEXT_ID] = "SELECT id, created FROM item WHERE " OF_QUEUE " AND id > ?4 ORDER BY id LIMIT 1",
    [READ_ITEM] = "SELECT kind, count, expires, payload FROM item WHERE id = ?1",
    [OLDEST_OF_KIND] =
        "SELECT id, count, length(payload) FROM item WHERE " OF_QUEUE " AND id <> ?4 ORDER BY kind, id LIMIT 1",
    [DELETE_ITEM] = "DELETE FROM item WHERE id = ?1 AND owner = ?2",
    [COUNT_QUEUE] = "SELECT count(*), total(count), total(length(payload)), max(id) FROM item WHERE " OF_QUEUE,
    [LIST_SHARES] = "SELECT DISTINCT owner, mark FROM item WHERE destination = ?1",
    [TAKE_OVER] = "UPDATE item SET owner = ?2, mark = ?3 WHERE destination = ?1 AND owner = ?4 AND mark = ?5",
    [LIST_ORPHANS] = "SELECT item.id, destination, owner, mark, expires, count, length(payload), uid, exporter, target,"
                     " created FROM item JOIN destination ON destination.id = item.destination ORDER BY item.id DESC",
};

struct spool_queue {
    struct spool_queue *next;
    struct spool *spool;
    struct spool_queue_options options; /* the identity's texts are ours */
    int64_t destination;                /* its row; 0: none yet */
    uint64_t opened_ns;
    bool has_more; /* payloads of another agent were taken over, and its owner does not know yet */
    struct spool_depth depth;
    int64_t newest;
    /* Under way; id 0: nothing is. */
    struct spool_payload taken;
    uint64_t taken_bytes;
    /* Done with, but the disk would not let them go: passed over. */
    int64_t *undeleted;
    size_t undeleted_count;
};

struct spool {
    struct loop *loop;
    struct spool_file file;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    struct spool_queue *queues;
    struct loop_timer timer;
    uint64_t blocked_until_ns;            /* nothing is written before; 0: all is well */
    char problem[SPOOL_FILE_PROBLEM_MAX]; /* "": none */
};

static char set_folder[PATH_MAX]; /* written at start, before the first worker; "": none */

static void look_for_more(struct spool *spool);
static void on_timer(void *arg);

void spool_set_folder(const char *folder)
{
    (void)snprintf(set_folder, sizeof(set_folder), "%s", folder != NULL ? folder : "");
}

static uint64_t now_unix_ms(void)
{
    return clock_now_ns(CLOCK_REALTIME) / NS_PER_MS;
}

/* opening and closing */

static void close_file(struct spool *spool)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize(spool->statements[i]);
        spool->statements[i] = NULL;
    }
    spool_file_close(&spool->file);
    for (struct spool_queue *queue = spool->queues; queue != NULL; queue = queue->next) {
        queue->depth.full_count += queue->depth.item_count; /* until it is found again */
        queue->depth.payload_count = queue->depth.item_count = queue->depth.byte_count = 0;
        queue->destination = queue->newest = queue->taken.id = 0;
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

static void unblock(struct spool *spool)
{
    if (spool->blocked_until_ns != 0)
        log_line(LOG_LEVEL_INFO, "%s is used again", spool->file.path);
    spool->blocked_until_ns = 0;
    spool->problem[0] = '\0';
}

/* What a code of SQLite's means for us: -errno, and whether the file is of use. */
static int fail(struct spool *spool, int code)
{
    char problem[SPOOL_FILE_PROBLEM_MAX];
    int error = sqlite3_system_errno(spool->file.db);

    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
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

    if (error < 0) {
        block(spool, problem);
        return error;
    }
    if (problem[0] != '\0')
        log_line(LOG_LEVEL_WARN, "%s", problem);
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        int code =
            sqlite3_prepare_v3(spool->file.db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &spool->statements[i], NULL);

        if (code != SQLITE_OK) {
            error = fail(spool, code);
            close_file(spool);
            return error;
        }
    }
    (void)sqlite3_wal_hook(spool->file.db, on_commit, spool);
    look_for_more(spool);
    return 0;
}

/* Open, and still the file of that name. */
static int ensure_open(struct spool *spool)
{
    if (spool->file.db != NULL && !spool_file_stands(&spool->file)) {
        log_line(LOG_LEVEL_WARN, "%s was removed, with what waited in it: it is made again", spool->file.path);
        close_file(spool);
    }
    return spool->file.db != NULL ? 0 : open_file(spool);
}

bool spool_is_usable(const struct spool *spool)
{
    return set_folder[0] != '\0' &&
           (spool->blocked_until_ns == 0 || loop_now_ns(spool->loop) >= spool->blocked_until_ns);
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

static sqlite3_stmt *bind(struct spool *spool, enum statement which, const int64_t *numbers, int number_count)
{
    sqlite3_stmt *statement = spool->statements[which];

    for (int i = 0; i < number_count; i++)
        (void)sqlite3_bind_int64(statement, i + 1, numbers[i]);
    return statement;
}

#define BIND(spool, which, ...)                                                                                        \
    bind(spool, which, (const int64_t[]){__VA_ARGS__}, (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

#define OF(queue) (queue)->destination, (queue)->spool->file.owner, (queue)->options.identity.mark

/* Run one that gives no rows. 0 or SQLite's code. */
static int run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);

    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int execute(struct spool *spool, const char *text)
{
    return sqlite3_exec(spool->file.db, text, NULL, NULL, NULL);
}

/* Its row, if there is one. */
static void find_destination(struct spool_queue *queue, enum statement which)
{
    const struct spool_identity *identity = &queue->options.identity;
    sqlite3_stmt *statement = BIND(queue->spool, which, (int64_t)identity->uid);

    (void)sqlite3_bind_text(statement, 2, identity->exporter, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 3, identity->target, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 4, identity->form, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW)
        queue->destination = sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
}

static void count_queue(struct spool_queue *queue)
{
    sqlite3_stmt *statement = BIND(queue->spool, COUNT_QUEUE, OF(queue));

    if (sqlite3_step(statement) == SQLITE_ROW) {
        queue->depth.payload_count = (uint64_t)sqlite3_column_int64(statement, 0);
        queue->depth.item_count = (uint64_t)sqlite3_column_int64(statement, 1);
        queue->depth.byte_count = (uint64_t)sqlite3_column_int64(statement, 2);
        queue->newest = sqlite3_column_int64(statement, 3);
    }
    (void)sqlite3_reset(statement);
}

static void leave_depth(struct spool_queue *queue, uint64_t items, uint64_t bytes)
{
    struct spool_depth *depth = &queue->depth;

    depth->payload_count -= depth->payload_count > 0;
    depth->item_count -= items < depth->item_count ? items : depth->item_count;
    depth->byte_count -= bytes < depth->byte_count ? bytes : depth->byte_count;
    if (depth->payload_count == 0)
        queue->newest = 0;
}

/* whose payloads they are */

static struct spool_queue *find_queue(const struct spool *spool, int64_t destination, int64_t mark)
{
    struct spool_queue *queue = spool->queues;

    while (queue != NULL && (queue->destination != destination || queue->options.identity.mark != mark))
        queue = queue->next;
    return queue;
}

/* Does nobody send them: is their agent gone, and are they not of a queue of ours? */
static bool is_orphan(const struct spool *spool, int64_t destination, int64_t owner, int64_t mark)
{
    return owner == spool->file.owner ? find_queue(spool, destination, mark) == NULL
                                      : !spool_file_owner_lives(&spool->file, owner);
}

static int take_over(struct spool_queue *queue, int64_t owner, int64_t mark)
{
    return run(BIND(queue->spool, TAKE_OVER, OF(queue), owner, mark));
}

struct share {
    int64_t owner, mark;
};

/* Whose payloads of this destination are there; as many as fit. */
static size_t list_shares(struct spool_queue *queue, struct share *shares, size_t most)
{
    sqlite3_stmt *statement = BIND(queue->spool, LIST_SHARES, queue->destination);
    size_t count = 0;

    while (count < most && sqlite3_step(statement) == SQLITE_ROW)
        shares[count++] = (struct share){sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1)};
    (void)sqlite3_reset(statement);
    return count;
}

/* What nobody sends becomes the queue's; of other tokens only after a while, in which a program may come that has the
 * right one. Is anything left that may become ours later? */
static bool look_for_queue(struct spool_queue *queue)
{
    const struct spool *spool = queue->spool;
    bool is_late = loop_now_ns(spool->loop) - queue->opened_ns >= LOOK_S * NS_PER_S;
    struct share shares[32];
    bool has_taken = false, is_left = false;
    size_t count = list_shares(queue, shares, sizeof(shares) / sizeof(shares[0]));

    for (size_t i = 0; i < count; i++) {
        bool is_same = shares[i].mark == queue->options.identity.mark;

        if (shares[i].owner == spool->file.owner && find_queue(spool, queue->destination, shares[i].mark) != NULL)
            continue;
        if (is_orphan(spool, queue->destination, shares[i].owner, shares[i].mark) && (is_same || is_late) &&
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
        if (queue->destination == 0)
            find_destination(queue, FIND_DESTINATION);
        if (queue->destination != 0)
            is_left |= look_for_queue(queue);
        has_more |= queue->has_more;
    }
    if (is_left || has_more)
        (void)loop_timer_set(spool->loop, &spool->timer, has_more ? 0 : LOOK_S * NS_PER_S);
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
    look_for_more(spool);
}

static int delete_item(struct spool *spool, int64_t id, int64_t owner)
{
    return run(BIND(spool, DELETE_ITEM, id, owner));
}

/* Of what nobody sends goes what is too old, and the oldest of this user that is beyond the bounds. */
static void sweep_orphans(struct spool *spool, uid_t uid)
{
    sqlite3_stmt *statement = spool->statements[LIST_ORPHANS];
    uint64_t byte_count = 0, item_count = 0;
    int64_t now_ms = (int64_t)now_unix_ms();

    while (sqlite3_step(statement) == SQLITE_ROW) {
        int64_t owner = sqlite3_column_int64(statement, 2);

        if (!is_orphan(spool, sqlite3_column_int64(statement, 1), owner, sqlite3_column_int64(statement, 3)))
            continue;
        if (sqlite3_column_int64(statement, 7) == (int64_t)uid)
            byte_count += (uint64_t)sqlite3_column_int64(statement, 6);
        if (sqlite3_column_int64(statement, 4) > now_ms && byte_count <= ORPHAN_BYTES_MAX)
            continue;
        if (delete_item(spool, sqlite3_column_int64(statement, 0), owner) == SQLITE_OK)
            item_count += (uint64_t)sqlite3_column_int64(statement, 5);
    }
    (void)sqlite3_reset(statement);
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
    else if (spool_is_usable(spool) && spool_file_exists(set_folder))
        (void)open_file(spool);
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
    free_queue(queue);
}

/* putting */

/* Take out the oldest, reports last, but for what is under way. SQLITE_NOTFOUND: there is nothing else. */
static int drop_oldest(struct spool_queue *queue)
{
    sqlite3_stmt *statement = BIND(queue->spool, OLDEST_OF_KIND, OF(queue), queue->taken.id);
    bool is_found = sqlite3_step(statement) == SQLITE_ROW;
    int64_t id = sqlite3_column_int64(statement, 0);
    uint64_t items = (uint64_t)sqlite3_column_int64(statement, 1);
    uint64_t bytes = (uint64_t)sqlite3_column_int64(statement, 2);

    (void)sqlite3_reset(statement);
    int code = is_found ? delete_item(queue->spool, id, queue->spool->file.owner) : SQLITE_NOTFOUND;
    if (code != SQLITE_OK)
        return code;
    leave_depth(queue, items, bytes);
    queue->depth.full_count += items;
    return SQLITE_OK;
}

/* Make room, in the transaction of what is to come. */
static int evict(struct spool_queue *queue, uint64_t length)
{
    int code = SQLITE_OK;

    while (code == SQLITE_OK && queue->depth.payload_count > 0 &&
           queue->depth.byte_count + length > queue->options.bytes_max)
        code = drop_oldest(queue);
    return code == SQLITE_NOTFOUND ? SQLITE_OK : code;
}

bool spool_drop_oldest(struct spool_queue *queue)
{
    struct spool *spool = queue->spool;

    if (!spool_is_usable(spool) || spool->file.db == NULL)
        return false;
    int code = drop_oldest(queue);
    if (code != SQLITE_OK && code != SQLITE_NOTFOUND)
        (void)fail(spool, code);
    return code == SQLITE_OK;
}

static int add_item(struct spool_queue *queue, enum spool_kind kind, uint32_t count, const struct buffer *payload)
{
    uint64_t now_ms = now_unix_ms();
    sqlite3_stmt *statement;

    if (queue->destination == 0) {
        find_destination(queue, ADD_DESTINATION);
        find_destination(queue, FIND_DESTINATION);
    }
    int code = evict(queue, payload->length);
    if (code != SQLITE_OK)
        return code;
    statement = BIND(queue->spool, ADD_ITEM, OF(queue), kind, (int64_t)now_ms,
                     (int64_t)(now_ms + queue->options.age_ms), count);
    (void)sqlite3_bind_blob64(statement, 8, payload->bytes, payload->length, SQLITE_STATIC);
    return run(statement);
}

int spool_put(struct spool_queue *queue, enum spool_kind kind, uint32_t count, const struct buffer *payload,
              int64_t *ret_id)
{
    struct spool *spool = queue->spool;
    const struct spool_depth before = queue->depth;

    if (!spool_is_usable(spool))
        return -EAGAIN;
    int error = ensure_open(spool);
    if (error < 0)
        return error;
    if (kind == SPOOL_REPORT)
        (void)execute(spool, "PRAGMA synchronous = FULL");
    int code = execute(spool, "BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = add_item(queue, kind, count, payload);
    int64_t id = sqlite3_last_insert_rowid(spool->file.db);
    if (code == SQLITE_OK)
        code = execute(spool, "COMMIT");
    if (code != SQLITE_OK)
        (void)execute(spool, "ROLLBACK");
    if (kind == SPOOL_REPORT)
        (void)execute(spool, "PRAGMA synchronous = NORMAL");
    if (code != SQLITE_OK) {
        queue->depth = before;
        return fail(spool, code);
    }
    unblock(spool);
    queue->depth.payload_count++;
    queue->depth.item_count += count;
    queue->depth.byte_count += payload->length;
    queue->newest = id;
    *ret_id = id;
    return 0;
}

/* taking */

static bool is_undeleted(const struct spool_queue *queue, int64_t id)
{
    for (size_t i = 0; i < queue->undeleted_count; i++)
        if (queue->undeleted[i] == id)
            return true;
    return false;
}

/* The oldest that is not done with. 0: none. */
static int64_t find_oldest(const struct spool_queue *queue, uint64_t *ret_created_ms)
{
    int64_t id = 0;
    bool is_found;

    if (queue->spool->file.db == NULL || queue->depth.payload_count == 0)
        return 0;
    do {
        sqlite3_stmt *statement = BIND(queue->spool, NEXT_ID, OF(queue), id);

        is_found = sqlite3_step(statement) == SQLITE_ROW;
        id = is_found ? sqlite3_column_int64(statement, 0) : 0;
        *ret_created_ms = is_found ? (uint64_t)sqlite3_column_int64(statement, 1) : 0;
        (void)sqlite3_reset(statement);
    } while (is_found && is_undeleted(queue, id));
    return id;
}

uint64_t spool_oldest_unix_ms(const struct spool_queue *queue)
{
    uint64_t created_ms = 0;

    (void)find_oldest(queue, &created_ms);
    return created_ms;
}

int64_t spool_newest(const struct spool_queue *queue)
{
    return queue->newest;
}

bool spool_is_past(const struct spool_queue *queue, int64_t id)
{
    uint64_t created_ms;
    int64_t oldest = find_oldest(queue, &created_ms);

    return oldest == 0 || oldest > id;
}

const struct spool_depth *spool_depth(const struct spool_queue *queue)
{
    return &queue->depth;
}

static int read_item(struct spool_queue *queue, int64_t id, struct buffer *payload, uint64_t *ret_expires_ms)
{
    sqlite3_stmt *statement = BIND(queue->spool, READ_ITEM, id);
    int code = sqlite3_step(statement);
    int error = code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? -ENOENT : -EIO;

    if (error == 0) {
        const void *bytes = sqlite3_column_blob(statement, 3);

        queue->taken = (struct spool_payload){
            .id = id,
            .kind = sqlite3_column_int(statement, 0) == SPOOL_REPORT ? SPOOL_REPORT : SPOOL_SPANS,
            .count = (uint32_t)sqlite3_column_int(statement, 1),
        };
        *ret_expires_ms = (uint64_t)sqlite3_column_int64(statement, 2);
        queue->taken_bytes = (uint64_t)sqlite3_column_bytes(statement, 3);
        payload->length = 0;
        error = buffer_append(payload, bytes, queue->taken_bytes);
    }
    (void)sqlite3_reset(statement);
    return error == -EIO ? fail(queue->spool, code) : error;
}

int spool_next(struct spool_queue *queue, struct buffer *payload, struct spool_payload *ret_payload)
{
    uint64_t created_ms, expires_ms;
    int64_t id;

    while ((id = find_oldest(queue, &created_ms)) != 0) {
        int error = read_item(queue, id, payload, &expires_ms);

        if (error < 0) {
            queue->taken.id = 0;
            return error;
        }
        if (expires_ms > now_unix_ms()) {
            *ret_payload = queue->taken;
            return 1;
        }
        queue->depth.expired_count += queue->taken.count;
        spool_done(queue);
    }
    /* The file was put aside, or another program took rows out: what is counted must be there. */
    leave_depth(queue, queue->depth.item_count, queue->depth.byte_count);
    queue->depth.payload_count = 0;
    return 0;
}

void spool_hold(struct spool_queue *queue, const struct spool_payload *payload, uint64_t length)
{
    queue->taken = *payload;
    queue->taken_bytes = length;
}

static void pass_over(struct spool_queue *queue, int64_t id)
{
    int64_t *grown = realloc(queue->undeleted, (queue->undeleted_count + 1) * sizeof(*grown));

    if (grown == NULL)
        return; /* it is sent again */
    queue->undeleted = grown;
    queue->undeleted[queue->undeleted_count++] = id;
}

/* Those that could not be deleted when they were done with. */
static void delete_rest(struct spool_queue *queue)
{
    struct spool *spool = queue->spool;

    while (queue->undeleted_count > 0 &&
           delete_item(spool, queue->undeleted[queue->undeleted_count - 1], spool->file.owner) == SQLITE_OK)
        queue->undeleted_count--;
}

void spool_done(struct spool_queue *queue)
{
    struct spool *spool = queue->spool;
    int64_t id = queue->taken.id;

    if (id == 0 || spool->file.db == NULL)
        return;
    leave_depth(queue, queue->taken.count, queue->taken_bytes);
    queue->taken.id = 0;
    int code = delete_item(spool, id, spool->file.owner);
    if (code == SQLITE_OK) {
        delete_rest(queue);
        return;
    }
    pass_over(queue, id);
    (void)fail(spool, code);
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
    sqlite3_stmt *statement = spool->statements[LIST_ORPHANS];
    int64_t now_ms = (int64_t)now_unix_ms();
    json_t *list = json_array();

    while (statement != NULL && sqlite3_step(statement) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 8);
        const char *target = (const char *)sqlite3_column_text(statement, 9);
        int64_t age_ms = now_ms - sqlite3_column_int64(statement, 10);

        if (!users_may_see(viewer, (uid_t)sqlite3_column_int64(statement, 7)) || name == NULL || target == NULL ||
            !is_orphan(spool, sqlite3_column_int64(statement, 1), sqlite3_column_int64(statement, 2),
                       sqlite3_column_int64(statement, 3)))
            continue;
        json_t *entry = entry_of(list, name, target);
        add_to(entry, "queued", sqlite3_column_int64(statement, 5));
        add_to(entry, "bytes", sqlite3_column_int64(statement, 6));
        (void)json_integer_set(json_object_get(entry, "oldest_s"), age_ms > 0 ? age_ms / 1000 : 0);
    }
    (void)sqlite3_reset(statement);
    return list;
}

json_t *spool_status(struct spool *spool, uid_t viewer)
{
    char folder[PATH_MAX];
    json_t *status;

    if (spool->file.db == NULL && spool_is_usable(spool) && spool_file_exists(set_folder))
        (void)open_file(spool);
    if (spool->file.db != NULL)
        sweep_orphans(spool, viewer);
    utf8_copy(set_folder, folder, sizeof(folder));
    status = json_pack("{s:s, s:o}", "folder", folder, "waiting", list_waiting(spool, viewer));
    if (spool->problem[0] != '\0') {
        utf8_copy(spool->problem, folder, sizeof(folder));
        (void)json_object_set_new(status, "problem", json_string(folder));
    }
    return status;
}
