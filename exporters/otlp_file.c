/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP as lines of JSON in a file, as the Collector's file receiver reads them: each batch is a line. Several agents
 * may append to one file, and an outside tool may rotate it: a batch goes to the file that has the name now. */
#include "exporters/agent/settings.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/otlp_json.h"
#include "exporters/encode/otlp_trace.h"
#include "exporters/exporter.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCKED_WAIT_MS = 50 };

struct otlp_file {
    const struct settings *settings;
    struct otlp_encoder *encoder;
    struct otlp_limits limits;
    struct buffer text; /* a newline, the line, a newline */
    int fd;             /* -1: not open */
};

static void otlp_file_describe(const struct settings *settings, char *text, size_t size)
{
    (void)snprintf(text, size, "%s", settings->otlp_file != NULL ? settings->otlp_file : "");
}

static void otlp_file_close(void *instance)
{
    struct otlp_file *file = instance;

    if (file == NULL)
        return;
    if (file->fd >= 0)
        (void)close(file->fd);
    otlp_encoder_free(file->encoder);
    buffer_deinit(&file->text);
    free(file);
}

static int otlp_file_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                          char error[256])
{
    (void)host;
    if (settings->otlp_file == NULL) {
        (void)snprintf(error, 256, "has no file: set SPANSHIM_OTLP_FILE");
        return -EINVAL;
    }
    struct otlp_file *file = calloc(1, sizeof(*file));
    if (file != NULL) {
        file->settings = settings;
        file->limits = (struct otlp_limits){settings->attribute_count, settings->attribute_length};
        file->fd = -1;
        file->encoder = otlp_encoder_new();
    }
    if (file == NULL || file->encoder == NULL) {
        (void)snprintf(error, 256, "can't be set up: %s", strerror(ENOMEM));
        otlp_file_close(file);
        return -ENOMEM;
    }
    *ret_instance = file;
    return 0;
}

static bool has_the_name(const struct otlp_file *file)
{
    struct stat named;
    struct stat opened;

    return file->fd >= 0 && stat(file->settings->otlp_file, &named) == 0 && fstat(file->fd, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

/* Open what has the name now. Only a plain file never blocks, and can be cut. */
static int reopen(struct otlp_file *file)
{
    struct stat status;

    if (file->fd >= 0)
        (void)close(file->fd);
    file->fd = open(file->settings->otlp_file, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    if (file->fd < 0)
        return -errno;
    if (fstat(file->fd, &status) == 0 && S_ISREG(status.st_mode))
        return 0;
    (void)close(file->fd);
    file->fd = -1;
    return -ENOTSUP;
}

static int encode(struct otlp_file *file, const struct span *const *spans, size_t span_count)
{
    const uint8_t *bytes;
    size_t length;
    int r = otlp_trace_encode(file->encoder, spans, span_count, &file->limits, &bytes, &length);

    file->text.length = 0;
    if (r == 0)
        r = buffer_append(&file->text, "\n", 1);
    if (r == 0)
        r = otlp_json_append(&file->text, &otlp__export_trace_service_request__descriptor, bytes, length);
    return r == 0 ? buffer_append(&file->text, "\n", 1) : r;
}

/* With the lock held: one write, which is there whole or not at all. */
static int append(const struct otlp_file *file)
{
    const uint8_t *text = file->text.bytes;
    size_t length = file->text.length;
    struct stat status;
    char last = '\n';

    if (fstat(file->fd, &status) < 0)
        return -errno;
    if (status.st_size > 0)
        (void)pread(file->fd, &last, 1, status.st_size - 1);
    /* A writer that was killed has left a cut line: ours begins behind it. */
    if (last == '\n') {
        text++;
        length--;
    }
    ssize_t n = write(file->fd, text, length);
    if (n == (ssize_t)length)
        return 0;
    int r = n < 0 ? -errno : -ENOSPC;
    if (n > 0)
        (void)ftruncate(file->fd, status.st_size);
    return r;
}

/* Append under a lock, so that what another agent writes isn't cut off with our rest. */
static void write_text(struct otlp_file *file, struct exporter_result *result)
{
    const char *path = file->settings->otlp_file;
    int r = has_the_name(file) ? 0 : reopen(file);

    if (r < 0) {
        result->outcome = EXPORTER_RETRY;
        (void)snprintf(result->error, sizeof(result->error), "%.160s can't be opened: %s", path,
                       r == -ENOTSUP ? "it is no plain file" : strerror(-r));
        return;
    }
    if (flock(file->fd, LOCK_EX | LOCK_NB) < 0) {
        result->outcome = EXPORTER_RETRY;
        result->retry_after_ms = LOCKED_WAIT_MS;
        (void)snprintf(result->error, sizeof(result->error), "%.160s is locked by another program", path);
        return;
    }
    r = append(file);
    (void)flock(file->fd, LOCK_UN);
    if (r < 0) {
        result->outcome = EXPORTER_DROP;
        (void)snprintf(result->error, sizeof(result->error), "%.160s can't be written: %s", path, strerror(-r));
    }
}

static void otlp_file_send_spans(void *instance, const struct span *const *spans, size_t span_count,
                                 exporter_done *done, void *arg)
{
    struct otlp_file *file = instance;
    struct exporter_result result = {.outcome = EXPORTER_SENT};
    int r = encode(file, spans, span_count);

    if (r == 0) {
        write_text(file, &result);
    } else {
        result.outcome = r == -ENOMEM ? EXPORTER_RETRY : EXPORTER_DROP;
        (void)snprintf(result.error, sizeof(result.error), "the batch can't be encoded: %s", strerror(-r));
    }
    done(arg, &result);
}

const struct exporter exporter_otlp_file = {
    .name = "otlp_file",
    .describe = otlp_file_describe,
    .open = otlp_file_open,
    .send_spans = otlp_file_send_spans,
    .close = otlp_file_close,
};
