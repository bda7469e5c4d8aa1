/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads put into a queue of the spool, and taken out of it. */
#include "exporters/agent/spool_state.h"

#include "exporters/encode/buffer.h"

#include <errno.h>
#include <stdlib.h>

int spool_delete(struct spool *spool, int64_t id, int64_t owner)
{
    return spool_file_run(SPOOL_BIND(&spool->file, SPOOL_DELETE_ITEM, id, owner));
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

/* putting */

static bool is_undeleted(const struct spool_queue *queue, int64_t id)
{
    for (size_t i = 0; i < queue->undeleted_count; i++)
        if (queue->undeleted[i] == id)
            return true;
    return false;
}

/* Take out the oldest, reports last, but for what is under way. SQLITE_NOTFOUND: there is nothing else. */
static int drop_oldest(struct spool_queue *queue)
{
    sqlite3_stmt *statement = SPOOL_BIND(&queue->spool->file, SPOOL_OLDEST_OF_KIND, SPOOL_OF(queue), queue->taken.id);
    bool is_found = sqlite3_step(statement) == SQLITE_ROW;
    int64_t id = sqlite3_column_int64(statement, 0);
    uint64_t items = (uint64_t)sqlite3_column_int64(statement, 1);
    uint64_t bytes = (uint64_t)sqlite3_column_int64(statement, 2);

    (void)sqlite3_reset(statement);
    int code = is_found ? spool_delete(queue->spool, id, queue->owner) : SQLITE_NOTFOUND;
    if (code != SQLITE_OK || is_undeleted(queue, id))
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
        (void)spool_fail(spool, code);
    return code == SQLITE_OK;
}

static int add_item(struct spool_queue *queue, enum spool_kind kind, uint32_t count, const struct buffer *payload)
{
    uint64_t now_ms = spool_now_unix_ms();
    sqlite3_stmt *statement;

    /* Each time: a destination without payloads is forgotten. */
    spool_find_destination(queue, SPOOL_ADD_DESTINATION);
    spool_find_destination(queue, SPOOL_FIND_DESTINATION);
    int code = evict(queue, payload->length);
    if (code != SQLITE_OK)
        return code;
    statement = SPOOL_BIND(&queue->spool->file, SPOOL_ADD_ITEM, SPOOL_OF(queue), kind, (int64_t)now_ms,
                           (int64_t)(now_ms + queue->options.age_ms), count);
    (void)sqlite3_bind_blob64(statement, 8, payload->bytes, payload->length, SQLITE_STATIC);
    return spool_file_run(statement);
}

int spool_put(struct spool_queue *queue, enum spool_kind kind, uint32_t count, const struct buffer *payload,
              int64_t *ret_id)
{
    struct spool *spool = queue->spool;
    const struct spool_queue before = *queue;

    if (kind == SPOOL_REPORT ? spool_is_blocked(spool) : !spool_is_usable(spool))
        return -EAGAIN;
    int error = spool_ensure_open(spool);
    if (error == 0)
        error = spool_ensure_owner(queue);
    if (error < 0)
        return error;
    if (kind == SPOOL_REPORT)
        (void)spool_file_execute(&spool->file, "PRAGMA synchronous = FULL");
    int code = spool_file_execute(&spool->file, "BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = add_item(queue, kind, count, payload);
    int64_t id = sqlite3_last_insert_rowid(spool->file.db);
    if (code == SQLITE_OK)
        code = spool_file_execute(&spool->file, "COMMIT");
    if (code != SQLITE_OK)
        (void)spool_file_execute(&spool->file, "ROLLBACK");
    if (kind == SPOOL_REPORT)
        (void)spool_file_execute(&spool->file, "PRAGMA synchronous = NORMAL");
    if (code != SQLITE_OK) {
        queue->depth = before.depth;
        queue->newest = before.newest;
        return spool_fail(spool, code);
    }
    spool_unblock(spool);
    queue->depth.payload_count++;
    queue->depth.item_count += count;
    queue->depth.byte_count += payload->length;
    queue->newest = id;
    *ret_id = id;
    return 0;
}

/* taking */

/* The oldest that is not done with. 0: none. */
static int64_t find_oldest(const struct spool_queue *queue, uint64_t *ret_created_ms)
{
    int64_t id = 0;
    bool is_found;

    if (queue->spool->file.db == NULL || queue->depth.payload_count == 0)
        return 0;
    do {
        sqlite3_stmt *statement = SPOOL_BIND(&queue->spool->file, SPOOL_NEXT_ID, SPOOL_OF(queue), id);

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
    sqlite3_stmt *statement = SPOOL_BIND(&queue->spool->file, SPOOL_READ_ITEM, id);
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
    return error == -EIO ? spool_fail(queue->spool, code) : error;
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
        if (expires_ms > spool_now_unix_ms()) {
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
           spool_delete(spool, queue->undeleted[queue->undeleted_count - 1], queue->owner) == SQLITE_OK)
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
    int code = spool_delete(spool, id, queue->owner);
    if (code == SQLITE_OK) {
        delete_rest(queue);
        return;
    }
    pass_over(queue, id);
    (void)spool_fail(spool, code);
}
