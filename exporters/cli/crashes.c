/* SPDX-License-Identifier: Apache-2.0 */
/* spanshim crashes: the reports of crashes that are kept on this machine. */
#include "exporters/agent/log_path.h"
#include "exporters/cli/cli.h"
#include "exporters/cli/crash_report.h"
#include "exporters/cli/table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LENGTH_MAX = 64 << 20 }; /* of a report's file: the agent writes less */

/* What was asked for, and what is there. */
struct listing {
    bool as_json;
    const char *wanted; /* NULL: all */
    char folder[PATH_MAX];
    json_t **reports; /* the newest first */
    size_t count;
    bool is_partial; /* some could not be read, and it was said */
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static json_int_t time_of(const json_t *report)
{
    return json_integer_value(json_object_get(report, "time_unix_ns"));
}

/* reading */

/* What is no file, or longer than any report, is not read: it might not end, or take all memory. A descriptor, or
 * -errno. */
static int open_report(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat status;
    int error;

    if (fd < 0 || fstat(fd, &status) < 0)
        error = -errno;
    else if (!S_ISREG(status.st_mode))
        error = -EINVAL;
    else
        error = status.st_size > LENGTH_MAX ? -EFBIG : 0;
    if (error == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return error;
}

static json_t *load(struct listing *listing, int folder, const char *name)
{
    int fd = open_report(folder, name);
    json_error_t error;
    json_t *report = fd < 0 ? NULL : json_loadfd(fd, 0, &error);

    if (fd < 0)
        cli_error("%s/%s: %s", listing->folder, name, fd == -EINVAL ? "no file" : strerror(-fd));
    else if (!json_is_object(report))
        cli_error("%s/%s is no report: %s", listing->folder, name, report ? "not an object" : error.text);
    if (fd >= 0)
        (void)close(fd);
    if (json_is_object(report))
        return report;
    json_decref(report);
    listing->is_partial = true;
    return NULL;
}

/* A report's file is named by its uuid; the agent may be writing another at this moment. */
static bool is_report(const char *name)
{
    size_t length = strlen(name);

    return length > 5 && strcmp(name + length - 5, ".json") == 0;
}

static bool is_wanted(const struct listing *listing, const char *name)
{
    return !listing->wanted || strcmp(listing->wanted, "last") == 0 ||
           strncmp(name, listing->wanted, strlen(listing->wanted)) == 0;
}

static void take(struct listing *listing, json_t *report)
{
    json_t **grown = realloc(listing->reports, (listing->count + 1) * sizeof(json_t *));

    if (!grown) {
        json_decref(report);
        return;
    }
    listing->reports = grown;
    listing->reports[listing->count++] = report;
}

static int newest_first(const void *a, const void *b)
{
    json_int_t left = time_of(*(json_t *const *)a), right = time_of(*(json_t *const *)b);

    return (left < right) - (left > right);
}

/* 0, or an exit status after saying why. */
static int read_folder(struct listing *listing)
{
    DIR *dir = opendir(listing->folder);
    const struct dirent *entry;

    if (!dir && errno == ENOENT)
        return CLI_EXIT_OK;
    if (!dir) {
        cli_error("%s: %s", listing->folder, strerror(errno));
        return CLI_EXIT_FAILED;
    }
    while ((entry = readdir(dir))) {
        json_t *report = is_report(entry->d_name) && is_wanted(listing, entry->d_name)
                             ? load(listing, dirfd(dir), entry->d_name)
                             : NULL;

        if (report)
            take(listing, report);
    }
    (void)closedir(dir);
    if (listing->count)
        qsort(listing->reports, listing->count, sizeof(json_t *), newest_first);
    return CLI_EXIT_OK;
}

/* printing */

static void format_time(json_int_t unix_ns, char out[32])
{
    time_t seconds = (time_t)(unix_ns / 1000000000);
    struct tm local;

    localtime_r(&seconds, &local);
    (void)strftime(out, 32, "%Y-%m-%d %H:%M:%S", &local);
}

static void print_list(const struct listing *listing)
{
    static const char *const titles[] = {"TIME", "SERVICE", "TITLE", "UUID"};
    struct table table = {.columns = 4, .titles = titles};
    char time_text[32];

    for (size_t i = 0; i < listing->count; i++) {
        const json_t *report = listing->reports[i];

        format_time(time_of(report), time_text);
        table_add(&table, time_text);
        table_add(&table, text_of(json_object_get(report, "service"), "name"));
        table_add(&table, text_of(report, "title"));
        table_add(&table, text_of(report, "uuid"));
    }
    table_print(&table);
    table_deinit(&table);
}

static void print_json(const json_t *report, size_t flags)
{
    char *text = json_dumps(report, flags);

    if (text)
        puts(text);
    free(text);
}

static void print_one(const struct listing *listing)
{
    if (listing->as_json)
        print_json(listing->reports[0], JSON_INDENT(2));
    else
        crash_report_print(listing->reports[0]);
}

static int show(const struct listing *listing)
{
    bool is_last = listing->wanted && strcmp(listing->wanted, "last") == 0;

    if (listing->wanted && listing->count == 0) {
        if (is_last)
            cli_error("no crash was reported here (%s)", listing->folder);
        else
            cli_error("there is no report %s in %s; see 'spanshim crashes'", listing->wanted, listing->folder);
        return CLI_EXIT_FAILED;
    }
    if (listing->wanted && !is_last && listing->count > 1) {
        cli_error("%zu reports begin with %s", listing->count, listing->wanted);
        return CLI_EXIT_FAILED;
    }
    if (listing->wanted)
        print_one(listing);
    else if (!listing->as_json)
        print_list(listing);
    for (size_t i = 0; !listing->wanted && listing->as_json && i < listing->count; i++)
        print_json(listing->reports[i], JSON_COMPACT);
    if (listing->count == 0 && !listing->as_json && !listing->is_partial)
        cli_note("no crash was reported here (%s)", listing->folder);
    return fflush(stdout) != 0 || listing->is_partial ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

static int read_arguments(struct listing *listing, int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'j') {
            cli_error("'crashes' takes --json and a report's UUID, or 'last'; see 'spanshim crashes --help'");
            return CLI_EXIT_USAGE;
        }
        listing->as_json = true;
    }
    listing->wanted = optind < argc ? argv[optind++] : NULL;
    return cli_no_arguments("crashes", argc - optind + 1, argv + optind - 1) ? CLI_EXIT_OK : CLI_EXIT_USAGE;
}

int crashes_command(int argc, char **argv)
{
    struct listing listing = {0};
    int status = read_arguments(&listing, argc, argv);

    if (status != CLI_EXIT_OK)
        return status;
    if (log_path_choose_crashes(listing.folder, sizeof(listing.folder)) != 0) {
        cli_error("there is no place for reports: set HOME or XDG_STATE_HOME");
        return CLI_EXIT_FAILED;
    }
    status = read_folder(&listing);
    if (status == CLI_EXIT_OK)
        status = show(&listing);
    for (size_t i = 0; i < listing.count; i++)
        json_decref(listing.reports[i]);
    free(listing.reports);
    return status;
}
