/* SPDX-License-Identifier: Apache-2.0 */
/* A file that lines are appended to. Several agents may write to one, and an outside tool may rotate it: what is
 * appended goes to the file that has the name now, whole lines or nothing. Used by otlp_file.c and request_log.c. */
#ifndef SPANSHIM_LINE_FILE_H
#define SPANSHIM_LINE_FILE_H

#include <stddef.h>

struct exporter_result;

struct line_file {
    const char *path; /* borrowed */
    int fd;           /* -1: not open */
};

/* Append whole lines, each with its LF, and say in *result what came of it. Context: loop. */
void line_file_append(struct line_file *file, const void *lines, size_t length, struct exporter_result *result);

/* Context: loop. */
void line_file_close(struct line_file *file);

#endif
