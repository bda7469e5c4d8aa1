/* SPDX-License-Identifier: Apache-2.0 */
/* spanshim log: the agent's log, its end or as it grows. */
#include "exporters/agent/log_path.h"
#include "exporters/cli/cli.h"
#include "exporters/cli/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEFAULT_LINES = 50, READ_CHUNK = 64 * 1024 };

struct log_options {
    unsigned long lines; /* 0: all */
    bool follow;
};

/* Where the last n lines start. */
static off_t tail_offset(int fd, unsigned long lines)
{
    struct stat status;
    char chunk[4096];
    unsigned long found = 0;

    if (lines == 0 || fstat(fd, &status) != 0)
        return 0;
    for (off_t end = status.st_size; end > 0;) {
        off_t start = end > (off_t)sizeof(chunk) ? end - (off_t)sizeof(chunk) : 0;
        ssize_t len = pread(fd, chunk, (size_t)(end - start), start);

        for (ssize_t i = len - 1; i >= 0; i--)
            if (chunk[i] == '\n' && start + i + 1 < status.st_size && ++found == lines)
                return start + i + 1;
        end = start;
    }
    return 0;
}

/* Print from where the descriptor stands to the end of the file. False when the reader has gone. */
static bool print_rest(int fd)
{
    char chunk[READ_CHUNK];
    ssize_t len;

    while ((len = read(fd, chunk, sizeof(chunk))) > 0)
        if (fwrite(chunk, 1, (size_t)len, stdout) != (size_t)len)
            return false;
    return fflush(stdout) == 0;
}

/* Whether the path names another file by now: the log was rotated. */
static bool was_rotated(int fd, const char *path)
{
    struct stat open_file;
    struct stat named;

    return fstat(fd, &open_file) == 0 && stat(path, &named) == 0 &&
           (open_file.st_ino != named.st_ino || open_file.st_dev != named.st_dev);
}

/* Until interrupted, or the reader has gone. The folder is watched: a rotated log is a new file in it. */
static void follow(int fd, const char *path)
{
    _Alignas(struct inotify_event) char events[4096];
    int watch = inotify_init1(IN_CLOEXEC);
    char *folder = memory_format("%.*s", (int)(strrchr(path, '/') - path), path);
    int folder_watch = inotify_add_watch(watch, folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO);

    free(folder);
    if (watch < 0 || folder_watch < 0) {
        cli_error("%s cannot be watched: %s", path, strerror(errno));
        return;
    }
    while (print_rest(fd)) {
        if (was_rotated(fd, path)) {
            int next = open(path, O_RDONLY | O_CLOEXEC);

            if (next >= 0) {
                (void)close(fd);
                fd = next;
                continue;
            }
        }
        if (read(watch, events, sizeof(events)) < 0 && errno != EINTR)
            break;
    }
    (void)close(watch);
}

static int show(const struct log_options *options, const char *path)
{
    int status = CLI_EXIT_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)lseek(fd, tail_offset(fd, options->lines), SEEK_SET);
        status = print_rest(fd) ? CLI_EXIT_OK : CLI_EXIT_FAILED;
        if (options->follow)
            follow(fd, path); /* takes the descriptor over */
        else
            (void)close(fd);
    } else if (errno == ENOENT) {
        cli_note("no agent has written a log yet (%s)", path);
        status = CLI_EXIT_OK;
    } else {
        cli_error("%s: %s", path, strerror(errno));
    }
    return status;
}

int log_command(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"follow", no_argument, NULL, 'f'}, {"lines", required_argument, NULL, 'n'}, {0}};
    struct log_options options = {.lines = DEFAULT_LINES};
    char path[PATH_MAX];
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "fn:", long_options, NULL)) != -1) {
        char *end = NULL;

        if (option == 'f')
            options.follow = true;
        else if (option == 'n')
            options.lines = strtoul(optarg, &end, 10);
        if (option == '?' || (end && (end == optarg || *end))) {
            cli_error("'log' takes -f and -n LINES; see 'spanshim log --help'");
            return CLI_EXIT_USAGE;
        }
    }
    if (!cli_no_arguments("log", argc - optind + 1, argv + optind - 1))
        return CLI_EXIT_USAGE;

    if (log_path_choose(path, sizeof(path)) != 0) {
        cli_error("there is no place for a log: set HOME or XDG_STATE_HOME");
        return CLI_EXIT_FAILED;
    }
    return show(&options, path);
}
