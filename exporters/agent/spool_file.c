/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/spool_file.h"

#include "exporters/agent/folders.h"
#include "exporters/agent/spool_path.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    VERSION = 1,
    BUSY_MS = 50,              /* another agent's transactions are short */
    CHECK_BYTES_MAX = 64 << 20 /* a larger file is not read through at start: what is damaged shows when it is used */
};

/* Pages of 16 KiB: a batch has some hundred KiB. Rows that were deleted are not overwritten: the file is private. */
static const char preparation[] = "PRAGMA page_size = 16384;"
                                  "PRAGMA journal_mode = WAL;"
                                  "PRAGMA synchronous = NORMAL;"
                                  "PRAGMA wal_autocheckpoint = 0;"
                                  "PRAGMA journal_size_limit = 4194304;"
                                  "PRAGMA cache_size = -1024;"
                                  "PRAGMA secure_delete = OFF;";

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS destination ("
    " id INTEGER PRIMARY KEY, uid INTEGER NOT NULL, exporter TEXT NOT NULL, target TEXT NOT NULL, form TEXT NOT NULL,"
    " UNIQUE (uid, exporter, target, form));"
    "CREATE TABLE IF NOT EXISTS item ("
    " id INTEGER PRIMARY KEY, destination INTEGER NOT NULL, mark INTEGER NOT NULL, owner INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, count INTEGER NOT NULL,"
    " payload BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS item_by_queue ON item (destination, owner, mark, id);"
    "PRAGMA user_version = 1;"
    "COMMIT;";

#define OF_QUEUE "destination = ?1 AND owner = ?2 AND mark = ?3"

static const char *const texts[SPOOL_STATEMENT_COUNT] = {
    [SPOOL_FIND_DESTINATION] =
        "SELECT id FROM destination WHERE uid = ?1 AND exporter = ?2 AND target = ?3 AND form = ?4",
    [SPOOL_ADD_DESTINATION] = "INSERT OR IGNORE INTO destination (uid, exporter, target, form) VALUES (?1, ?2, ?3, ?4)",
    [SPOOL_ADD_ITEM] = "INSERT INTO item (destination, owner, mark, kind, created, expires, count, payload)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SPOOL_NEXT_ID] = "SELECT id, created FROM item WHERE " OF_QUEUE " AND id > ?4 ORDER BY id LIMIT 1",
    [SPOOL_READ_ITEM] = "SELECT kind, count, expires, payload FROM item WHERE id = ?1",
    [SPOOL_OLDEST_OF_KIND] =
        "SELECT id, count, length(payload) FROM item WHERE " OF_QUEUE " AND id <> ?4 ORDER BY kind, id LIMIT 1",
    [SPOOL_DELETE_ITEM] = "DELETE FROM item WHERE id = ?1 AND owner = ?2",
    [SPOOL_COUNT_QUEUE] = "SELECT count(*), total(count), total(length(payload)), max(id) FROM item WHERE " OF_QUEUE,
    [SPOOL_LIST_SHARES] = "SELECT DISTINCT owner, mark FROM item WHERE destination = ?1",
    [SPOOL_TAKE_OVER] = "UPDATE item SET owner = ?2, mark = ?3 WHERE destination = ?1 AND owner = ?4 AND mark = ?5",
    [SPOOL_FORGET_DESTINATIONS] =
        "DELETE FROM destination WHERE NOT EXISTS (SELECT 1 FROM item WHERE item.destination = destination.id)",
    [SPOOL_LIST_ALL] = "SELECT item.id, owner, expires, count, length(payload), uid, exporter, target,"
                       " created FROM item JOIN destination ON destination.id = item.destination ORDER BY item.id DESC",
};

/* the folder */

/* Why a folder is not for us; NULL: it is. */
static const char *fault_of(const struct stat *folder)
{
    if (!S_ISDIR(folder->st_mode))
        return "it is no folder";
    if (folder->st_uid != geteuid() && folder->st_uid != 0)
        return "it is another user's";
    return (folder->st_mode & 022) != 0 ? "others can write to it: give it mode 0700" : NULL;
}

static int check_folder(const char *folder, char problem[SPOOL_FILE_PROBLEM_MAX])
{
    struct stat status;
    int error = folders_make(folder);

    if (error == 0 && stat(folder, &status) < 0)
        error = -errno;
    if (error < 0) {
        (void)snprintf(problem, SPOOL_FILE_PROBLEM_MAX, "the folder %.128s can't be made: %s", folder,
                       strerror(-error));
        return error;
    }
    const char *fault = fault_of(&status);
    if (fault == NULL)
        return 0;
    (void)snprintf(problem, SPOOL_FILE_PROBLEM_MAX, "the folder %.128s can't be used: %s", folder, fault);
    return -EPERM;
}

bool spool_file_exists(const char *folder)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, SPOOL_NAME);
    return access(path, F_OK) == 0;
}

/* A private file of ours under this name. The descriptor, -EPERM when something else has the name, or -errno. */
static int open_private(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return errno == ELOOP || errno == EISDIR ? -EPERM : -errno;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() && fchmod(fd, 0600) == 0)
        return fd;
    (void)close(fd);
    return -EPERM;
}

/* the owners */

static int open_locks(struct spool_file *file, const char *folder)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, SPOOL_NAME_LOCK);
    file->lock = open_private(path);
    return file->lock < 0 ? file->lock : 0;
}

static struct flock lock_of(int64_t owner, short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = owner, .l_len = 1};
}

int spool_file_take_owner(const struct spool_file *file, int64_t *ret_owner)
{
    int64_t owner;

    if (getrandom(&owner, sizeof(owner), 0) != sizeof(owner))
        return -EIO;
    owner &= INT64_MAX >> 1;
    struct flock lock = lock_of(owner, F_WRLCK);
    if (fcntl(file->lock, F_SETLK, &lock) < 0)
        return -errno;
    *ret_owner = owner;
    return 0;
}

void spool_file_leave_owner(const struct spool_file *file, int64_t owner)
{
    struct flock lock = lock_of(owner, F_UNLCK);

    (void)fcntl(file->lock, F_SETLK, &lock);
}

bool spool_file_owner_lives(const struct spool_file *file, int64_t owner)
{
    struct flock lock = lock_of(owner, F_WRLCK);

    return fcntl(file->lock, F_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}

/* the data base */

static bool is_damage(int code)
{
    return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

static int read_version(sqlite3 *db, int *ret_version)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL);

    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *ret_version = sqlite3_column_int(statement, 0);
    return sqlite3_finalize(statement);
}

/* Does each page lead where it should? */
static int check(sqlite3 *db, off_t size)
{
    sqlite3_stmt *statement;

    if (size > CHECK_BYTES_MAX)
        return SQLITE_OK;
    int code = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    if (sqlite3_step(statement) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0)
        code = SQLITE_CORRUPT;
    int last = sqlite3_finalize(statement);
    return code != SQLITE_OK ? code : last;
}

static int prepare(struct spool_file *file)
{
    int code = SQLITE_OK;

    for (size_t i = 0; i < SPOOL_STATEMENT_COUNT && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(file->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &file->statements[i], NULL);
    return code;
}

/* SQLite's code; SQLITE_MISMATCH: it is of a version to come. */
static int open_db(struct spool_file *file, off_t size)
{
    int version = 0;
    int code =
        sqlite3_open_v2(file->path, &file->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX, NULL);

    if (code != SQLITE_OK)
        return code;
    (void)sqlite3_extended_result_codes(file->db, 1);
    (void)sqlite3_busy_timeout(file->db, BUSY_MS);
    code = spool_file_execute(file, preparation);
    if (code == SQLITE_OK)
        code = check(file->db, size);
    if (code == SQLITE_OK)
        code = read_version(file->db, &version);
    if (code == SQLITE_OK && version > VERSION)
        return SQLITE_MISMATCH;
    if (code == SQLITE_OK && version < VERSION)
        code = spool_file_execute(file, schema);
    return code == SQLITE_OK ? prepare(file) : code;
}

sqlite3_stmt *spool_file_bind(struct spool_file *file, enum spool_statement which, const int64_t *numbers,
                              int number_count)
{
    sqlite3_stmt *statement = file->statements[which];

    for (int i = 0; i < number_count; i++)
        (void)sqlite3_bind_int64(statement, i + 1, numbers[i]);
    return statement;
}

int spool_file_run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);

    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int spool_file_execute(struct spool_file *file, const char *text)
{
    return sqlite3_exec(file->db, text, NULL, NULL, NULL);
}

/* What is to be done about a code. */
static int explain(struct spool_file *file, int code, char problem[SPOOL_FILE_PROBLEM_MAX])
{
    int error = file->db != NULL ? sqlite3_system_errno(file->db) : 0;

    if (code == SQLITE_MISMATCH)
        (void)snprintf(problem, SPOOL_FILE_PROBLEM_MAX, "%.128s was made by a newer spanshim: use that, or remove it",
                       file->path);
    else
        (void)snprintf(problem, SPOOL_FILE_PROBLEM_MAX, "%.128s can't be opened: %s%s%s", file->path,
                       sqlite3_errstr(code), error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
    return -EIO;
}

/* It is there, ours and private. Not opened where it was there already: closing any descriptor of a file takes away the
 * locks that this process has on it, SQLite's as well. */
static int make_file(struct spool_file *file, off_t *ret_size)
{
    struct stat status;

    if (lstat(file->path, &status) < 0) {
        int fd = open_private(file->path);

        if (fd < 0)
            return fd;
        (void)fstat(fd, &status);
        (void)close(fd);
    }
    if (!S_ISREG(status.st_mode) || status.st_uid != geteuid())
        return -EPERM;
    if ((status.st_mode & 077) != 0 && chmod(file->path, 0600) < 0)
        return -errno;
    file->device = status.st_dev;
    file->inode = status.st_ino;
    *ret_size = status.st_size;
    return 0;
}

static void put_aside(const char *path)
{
    static const char *const added[] = {"-wal", "-shm"};
    char name[PATH_MAX + 16];

    (void)snprintf(name, sizeof(name), "%.*s%s", (int)(strrchr(path, '/') + 1 - path), path, SPOOL_NAME_DAMAGED);
    (void)rename(path, name);
    for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, added[i]);
        (void)unlink(name);
    }
}

int spool_file_open(struct spool_file *file, const char *folder, char problem[SPOOL_FILE_PROBLEM_MAX])
{
    off_t size = 0;
    int error;

    problem[0] = '\0';
    *file = (struct spool_file){.lock = -1};
    if (snprintf(file->path, sizeof(file->path), "%s/%s", folder, SPOOL_NAME) >= (int)sizeof(file->path) - 16)
        return -ENAMETOOLONG;
    error = check_folder(folder, problem);
    if (error < 0)
        return error;
    const char *name = SPOOL_NAME_LOCK;
    error = open_locks(file, folder);
    if (error == 0) {
        name = SPOOL_NAME;
        error = make_file(file, &size);
    }
    if (error < 0) {
        (void)snprintf(problem, SPOOL_FILE_PROBLEM_MAX, "%.128s/%s can't be opened: %s", folder, name,
                       error == -EPERM ? "it is no plain file of the agent's user" : strerror(-error));
        spool_file_close(file);
        return error;
    }
    int code = open_db(file, size);
    if (is_damage(code)) {
        (void)sqlite3_close(file->db);
        put_aside(file->path);
        (void)snprintf(problem, SPOOL_FILE_PROBLEM_MAX,
                       "%.128s was damaged: what waited in it is lost; it is kept as %s", file->path,
                       SPOOL_NAME_DAMAGED);
        error = make_file(file, &size);
        code = error == 0 ? open_db(file, size) : SQLITE_CANTOPEN;
    }
    if (code == SQLITE_OK)
        return 0;
    error = (code & 0xff) == SQLITE_BUSY ? -EAGAIN : explain(file, code, problem);
    spool_file_close(file);
    return error;
}

/* A checkpoint under way; at most one. The thread clears it, released; the loop acquires it. */
static _Atomic bool is_checkpointing;

static void *checkpoint(void *arg)
{
    char *path = arg;
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) == SQLITE_OK) {
        (void)sqlite3_exec(db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
        (void)sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
    (void)sqlite3_close(db);
    free(path);
    atomic_store_explicit(&is_checkpointing, false, memory_order_release);
    return NULL;
}

void spool_file_checkpoint(const struct spool_file *file)
{
    sigset_t all, before;
    pthread_t thread;
    char *path;

    if (atomic_load_explicit(&is_checkpointing, memory_order_acquire))
        return;
    path = strdup(file->path);
    if (path == NULL)
        return;
    atomic_store_explicit(&is_checkpointing, true, memory_order_relaxed);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, checkpoint, path) == 0)
        (void)pthread_detach(thread);
    else
        (void)checkpoint(path);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void spool_file_close(struct spool_file *file)
{
    for (size_t i = 0; i < SPOOL_STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize(file->statements[i]);
        file->statements[i] = NULL;
    }
    (void)sqlite3_close(file->db);
    file->db = NULL;
    if (file->lock >= 0)
        (void)close(file->lock);
    file->lock = -1;
}

void spool_file_put_aside(struct spool_file *file)
{
    spool_file_close(file);
    put_aside(file->path);
}

bool spool_file_stands(const struct spool_file *file)
{
    struct stat status;

    return stat(file->path, &status) == 0 && status.st_dev == file->device && status.st_ino == file->inode;
}
