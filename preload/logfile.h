/* SPDX-License-Identifier: Apache-2.0 */
/* Files that the program writes its logs to: those whose path fits one of SPANSHIM_LOG_FILES. A descriptor is looked at
 * when it is first used, by asking the kernel for its path; each path gets a number of its own, as long as there are
 * any. Called by applog.c. */
#ifndef SPANSHIM_LOGFILE_H
#define SPANSHIM_LOGFILE_H

#include "preload/glob.h"
#include "preload/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether any file is taken. Written at start, then read-only. */
extern bool logfile_is_on __attribute__((visibility("hidden")));

/* The patterns are borrowed for ever. Context: start. */
void logfile_init(const struct glob_list *patterns);

/* Nothing is known of this descriptor: is it a log? What it is found to be is noted in the table of descriptors. A
 * socket stays unknown: it may have been inherited, and speak HTTP. Context: hook; signal-safe; system calls. */
bool logfile_classify(int fd);

/* The path of a stream (wire.h), or the last WIRE_LOG_PATH_MAX bytes of it; empty for one that is no file, or whose
 * path has no number. It lives as long as the process. Context: hook; signal-safe. */
struct slice logfile_path(uint32_t stream);

#endif
