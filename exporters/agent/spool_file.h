/* SPDX-License-Identifier: Apache-2.0 */
/* The spool's file: a data base of SQLite in a private folder, and beside it a file of locks that tells whose rows
 * are whose. Used by spool.c. */
#ifndef SPANSHIM_SPOOL_FILE_H
#define SPANSHIM_SPOOL_FILE_H

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { SPOOL_FILE_PROBLEM_MAX = 256 };

/* What is asked of the data base. ?1 to ?3, where it is about a queue's payloads, are destination, owner and mark. */
enum spool_statement {
    SPOOL_FIND_DESTINATION,
    SPOOL_ADD_DESTINATION,
    SPOOL_ADD_ITEM,
    SPOOL_NEXT_ID,
    SPOOL_READ_ITEM,
    SPOOL_OLDEST_OF_KIND,
    SPOOL_DELETE_ITEM,
    SPOOL_COUNT_QUEUE,
    SPOOL_LIST_SHARES,
    SPOOL_TAKE_OVER,
    SPOOL_LIST_ALL,
    SPOOL_FORGET_DESTINATIONS,
    SPOOL_STATEMENT_COUNT
};

struct spool_file {
    sqlite3 *db; /* NULL: not open */
    sqlite3_stmt *statements[SPOOL_STATEMENT_COUNT];
    int lock; /* the file of locks */
    dev_t device;
    ino_t inode;
    char path[PATH_MAX];
};

/* Is there one? Nothing is made. Context: loop. */
bool spool_file_exists(const char *folder);

/* Open it, or make it, and its folder. A damaged one is put aside, and `problem` says so: a line for people; else it is
 * empty. 0; -EAGAIN: another agent holds it up; or -errno with the problem. Context: loop. */
int spool_file_open(struct spool_file *file, const char *folder, char problem[SPOOL_FILE_PROBLEM_MAX]);
void spool_file_close(struct spool_file *file);

/* A statement with its first parameters bound, to be stepped and reset. Context: loop. */
sqlite3_stmt *spool_file_bind(struct spool_file *file, enum spool_statement which, const int64_t *numbers,
                              int number_count);
#define SPOOL_BIND(file, which, ...)                                                                                   \
    spool_file_bind(file, which, (const int64_t[]){__VA_ARGS__},                                                       \
                    (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

/* Run one that gives no rows, or a text. SQLITE_OK, or SQLite's code. Context: loop. */
int spool_file_run(sqlite3_stmt *statement);
int spool_file_execute(struct spool_file *file, const char *text);

/* Put a damaged one aside; it is closed. Context: loop. */
void spool_file_put_aside(struct spool_file *file);

/* Is what is open still what has the name? Context: loop. */
bool spool_file_stands(const struct spool_file *file);

/* A number for the rows of one queue: random; its byte of the lock file is locked until it is given up, or this process
 * ends. 0 or -errno. Context: loop. */
int spool_file_take_owner(const struct spool_file *file, int64_t *ret_owner);
void spool_file_leave_owner(const struct spool_file *file, int64_t owner);

/* Does the process live whose rows have this number? Not to be asked of a number of our own. Context: loop. */
bool spool_file_owner_lives(const struct spool_file *file, int64_t owner);

/* Move what commits have left in the log of SQLite to the data base, in a thread of its own: it waits for the disk.
 * Context: loop. */
void spool_file_checkpoint(const struct spool_file *file);

#endif
