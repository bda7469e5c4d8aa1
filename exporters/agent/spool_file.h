/* SPDX-License-Identifier: Apache-2.0 */
/* The spool's file: a data base of SQLite in a private folder, and beside it a file of locks that tells which agents
 * live. Used by spool.c. */
#ifndef SPANSHIM_SPOOL_FILE_H
#define SPANSHIM_SPOOL_FILE_H

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { SPOOL_FILE_PROBLEM_MAX = 256 };

struct spool_file {
    sqlite3 *db; /* NULL: not open */
    int lock;
    int64_t owner; /* this worker's number in the rows: random; its byte of the lock file is locked while it lives */
    dev_t device;
    ino_t inode;
    char path[PATH_MAX];
};

/* Is there one? Nothing is made. Context: loop. */
bool spool_file_exists(const char *folder);

/* Open it, or make it, and its folder. A damaged one is put aside, and `problem` says so: a line for people; else it is
 * empty. 0, or -errno with the problem and its remedy. Context: loop. */
int spool_file_open(struct spool_file *file, const char *folder, char problem[SPOOL_FILE_PROBLEM_MAX]);
void spool_file_close(struct spool_file *file);

/* Put a damaged one aside; it is closed. Context: loop. */
void spool_file_put_aside(struct spool_file *file);

/* Is what is open still what has the name? Context: loop. */
bool spool_file_stands(const struct spool_file *file);

/* Does the agent live whose rows have this number? Context: loop. */
bool spool_file_owner_lives(const struct spool_file *file, int64_t owner);

/* Move what commits have left in the log of SQLite to the data base, in a thread of its own: it waits for the disk.
 * Context: loop. */
void spool_file_checkpoint(const struct spool_file *file);

#endif
