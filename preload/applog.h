/* SPDX-License-Identifier: Apache-2.0 */
/* The program's own logs: what it writes to standard output and error, and hands to syslog(), becomes records as it was
 * written. Nothing is put together here: the agent makes lines of it.
 *
 * A descriptor is a log by its number at start (1 and 2), by having been made a copy of one, by having been put in the
 * place of 1 or 2 (dup2), or as a file of SPANSHIM_LOG_FILES (logfile.h). One of these that is closed is none any more:
 * what is opened next under its number may be data. What stdio writes goes by libc's inside, see stdio.h. */
#ifndef SPANSHIM_APPLOG_H
#define SPANSHIM_APPLOG_H

#include "preload/fdtab.h"
#include "preload/request.h"
#include "preload/slice.h"
#include "preload/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct glob_list;
struct iovec;

/* SPANSHIM_LOGS: bits, in the order of its row's words. */
enum applog_source {
    APPLOG_STDOUT = 1 << 0,
    APPLOG_STDERR = 1 << 1,
    APPLOG_SYSLOG = 1 << 2,
    APPLOG_ALL = APPLOG_STDOUT | APPLOG_STDERR | APPLOG_SYSLOG,
};

/* Is anything taken at all? Written at start, then read-only. */
extern bool applog_is_on __attribute__((visibility("hidden")));

/* Which are taken. Written at start, then read-only. */
extern unsigned applog_sources __attribute__((visibility("hidden")));

/* The patterns are borrowed for ever. Context: start. */
void applog_init(unsigned sources, const struct glob_list *files);

/* Is this descriptor, of which nothing is known, one of a file that is a log? Context: hook; signal-safe; system calls
 * at a file's first use. */
bool applog_looks_at(int fd);

/* Is this descriptor a log that is taken? Context: hook; signal-safe. */
static inline bool applog_takes(int fd)
{
    if (__builtin_expect(!applog_is_on, 1))
        return false;

    uint32_t value = fdtab_value(fdtab_get(fd));

    return value - FDTAB_LOG < FDTAB_CONN - FDTAB_LOG || (value == FDTAB_UNKNOWN && applog_looks_at(fd));
}

/* What goes to this descriptor, and to its copies, is a CGI program's answer, and no log. Context: start. */
void applog_take_answer(int fd);

/* A descriptor is to be a copy of one whose value in the table is `value`: what its own is. Context: hook;
 * signal-safe. */
uint32_t applog_value_of_copy(int fd, uint32_t value);

/* The program is about to start a thread: it is tied to the agent before, for while one thread does that, what others
 * write is lost. Context: hook. */
void applog_before_thread(void);

/* The program has written n bytes of these to a log; nothing if n <= 0. errno is kept. Context: hook; signal-safe. */
void applog_written(int fd, const void *bytes, ssize_t n);
void applog_written_vector(int fd, const struct iovec *iov, int count, ssize_t n);

/* The same of a stream's buffer, which any thread may fill and write. Context: hook; signal-safe. */
void applog_flushed(int fd, const void *bytes, ssize_t n);

/* It has written this to a request's own error stream, as FastCGI has one; the writer's number tells such streams
 * apart. Taken as standard error is, if nothing was written there for this request. Context: hook; signal-safe. */
void applog_errors(struct request_ref request, struct slice text, uint32_t writer);

/* It has handed a message to syslog(), of this priority; so many bytes of its end are not here. Context: hook. */
void applog_syslog(int priority, const char *text, size_t length, size_t left_out);

#endif
