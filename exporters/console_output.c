/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/console_output.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_MAX = 1 << 20, CLOSE_WAIT_MS = 200, DEFAULT_WIDTH = 100 };

struct console_output {
    struct loop *loop;
    int fd;       /* as it was given; kept so that its terminal stays the same */
    int write_fd; /* what is written to: the same, or our own opening of it, which may be non-blocking */
    bool is_file;
    bool is_socket;
    bool is_terminal;
    bool is_watched;
    bool is_broken;
    char *buffer;
    size_t length;
    size_t capacity;
    uint64_t dropped_count; /* traces that were not shown */
};

/* The descriptor's file description is shared with the program, so O_NONBLOCK can't be set on it; opening it anew gives
 * one of our own. Not for plain files: their position is shared, and they don't block. */
static void open_own(struct console_output *output)
{
    struct stat status;
    char path[32];

    output->write_fd = output->fd;
    if (fstat(output->fd, &status) < 0)
        return;
    output->is_file = S_ISREG(status.st_mode);
    if (output->is_file)
        return;
    output->is_socket = S_ISSOCK(status.st_mode);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", output->fd);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0)
        output->write_fd = own;
}

int console_output_attach(struct loop *loop, int fd, struct console_output **ret_output)
{
    struct console_output *output = calloc(1, sizeof(*output));

    if (output == NULL) {
        (void)close(fd);
        return -ENOMEM;
    }
    output->loop = loop;
    output->fd = fd;
    output->is_terminal = isatty(fd) == 1;
    open_own(output);
    *ret_output = output;
    return 0;
}

int console_output_append(struct loop *loop, const char *path, struct console_output **ret_output)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);

    if (fd < 0)
        return -errno;
    return console_output_attach(loop, fd, ret_output);
}

static ssize_t write_some(const struct console_output *output, const char *text, size_t length)
{
    if (output->is_socket)
        return send(output->write_fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (output->is_file || output->write_fd != output->fd)
        return write(output->write_fd, text, length);
    /* It could not be opened anew: as little at a time as poll() vouches for. */
    struct pollfd poll_fd = {.fd = output->write_fd, .events = POLLOUT};
    if (poll(&poll_fd, 1, 0) != 1) {
        errno = EAGAIN;
        return -1;
    }
    return write(output->write_fd, text, length < 512 ? length : 512);
}

/* As much of the buffer as is taken now. */
static void write_buffer(struct console_output *output)
{
    size_t done = 0;

    while (done < output->length) {
        ssize_t n = write_some(output, output->buffer + done, output->length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            output->is_broken = true;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (output->is_broken)
        done = output->length;
    output->length -= done;
    if (done > 0)
        memmove(output->buffer, output->buffer + done, output->length);
}

static void watch(struct console_output *output);

static void on_writable(void *arg, int fd, uint32_t events)
{
    struct console_output *output = arg;

    (void)fd;
    (void)events;
    write_buffer(output);
    watch(output);
}

/* Wait for room exactly while something is buffered. */
static void watch(struct console_output *output)
{
    bool wanted = output->length > 0;

    if (wanted == output->is_watched)
        return;
    if (wanted)
        output->is_watched = loop_fd_set(output->loop, output->write_fd, EPOLLOUT, on_writable, output) == 0;
    else
        loop_fd_remove(output->loop, output->write_fd);
    output->is_watched = wanted && output->is_watched;
}

static bool buffer_text(struct console_output *output, const char *text, size_t length)
{
    if (output->length + length > BUFFER_MAX)
        return false;
    if (output->length + length > output->capacity) {
        size_t capacity = (output->length + length) * 2;
        char *grown = realloc(output->buffer, capacity);
        if (grown == NULL)
            return false;
        output->buffer = grown;
        output->capacity = capacity;
    }
    memcpy(output->buffer + output->length, text, length);
    output->length += length;
    return true;
}

void console_output_write(struct console_output *output, const char *text, size_t length)
{
    char note[64];

    if (output->is_broken)
        return;
    if (output->dropped_count > 0 && output->length < BUFFER_MAX / 2) {
        int n = snprintf(note, sizeof(note), "... %llu traces not shown\n", (unsigned long long)output->dropped_count);
        if (buffer_text(output, note, (size_t)n))
            output->dropped_count = 0;
    }
    if (!buffer_text(output, text, length))
        output->dropped_count++;
    if (output->is_watched)
        return; /* it has no room: on_writable() goes on */
    write_buffer(output);
    watch(output);
}

bool console_output_is_terminal(const struct console_output *output)
{
    return output->is_terminal;
}

struct console_style console_output_style(const struct console_output *output)
{
    struct console_style style = {.width = DEFAULT_WIDTH, .colours = output->is_terminal};
    struct winsize size;

    if (output->is_terminal && ioctl(output->fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        style.width = size.ws_col;
    return style;
}

static void drain_bounded(struct console_output *output)
{
    struct pollfd poll_fd = {.fd = output->write_fd, .events = POLLOUT};
    uint64_t start_ns = clock_now_ns(CLOCK_MONOTONIC);
    int64_t left_ms = CLOSE_WAIT_MS;

    while (output->length > 0 && left_ms > 0 && poll(&poll_fd, 1, (int)left_ms) == 1) {
        write_buffer(output);
        left_ms = CLOSE_WAIT_MS - (int64_t)((clock_now_ns(CLOCK_MONOTONIC) - start_ns) / 1000000);
    }
}

void console_output_free(struct console_output *output)
{
    if (output == NULL)
        return;
    drain_bounded(output);
    output->length = 0;
    watch(output);
    if (output->write_fd != output->fd)
        (void)close(output->write_fd);
    (void)close(output->fd);
    free(output->buffer);
    free(output);
}
