/* SPDX-License-Identifier: Apache-2.0 */
/* A file that lines are appended to. Several agents may write to one, and an outside tool may rotate it: what is
 * appended goes to the file that has the name now, whole lines or nothing. Used by otlp_file.c and request_log.c. */
#ifndef SPANSHIM_LINE_FILE_H
#define SPANSHIM_LINE_FILE_H

#include "exporters/agent/loop.h"
#include "exporters/encode/buffer.h"
#include "exporters/exporter.h"

struct line_file {
    struct buffer lines; /* to be appended, each with its LF: the exporter's to fill, until it calls line_file_send() */
    const char *path;    /* borrowed */
    struct loop *loop;
    int fd;                  /* -1: not open */
    struct loop_timer timer; /* for another look at a lock */
    unsigned looks;          /* at it, for these lines */
    exporter_done *done;
    void *arg;
};

/* path is borrowed. Context: loop. */
void line_file_init(struct line_file *file, struct loop *loop, const char *path);

/* What waits for a lock is given up. All zero is accepted. Context: loop. */
void line_file_deinit(struct line_file *file);

/* Append the lines and say what came of it: as an exporter's send(). Context: loop. */
void line_file_send(struct line_file *file, exporter_done *done, void *arg);

#endif
