/* SPDX-License-Identifier: Apache-2.0 */
/* spanshim purge: removes what the agent of this user ever wrote: socket and lock, log, and the spool with whatever
 * waits in it for delivery, crash reports. Everything else belongs to the installation. Only files of known names are
 * removed, only our own, and no link is followed. */
#include "exporters/agent/log_path.h"
#include "exporters/agent/socket_path.h"
#include "exporters/agent/spool_path.h"
#include "exporters/cli/agent_client.h"
#include "exporters/cli/cli.h"
#include "exporters/cli/deadline.h"
#include "exporters/cli/env_file.h"
#include "exporters/cli/environment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLACES_MAX = 10, NAMES_MAX = 64, LOCK_TIMEOUT_MS = 3000, LOCK_POLL_MS = 10 };

struct purge {
    bool yes, dry_run, stop;
    /* Where to look: a folder and the names in it that are the agent's. */
    struct place {
        char folder[PATH_MAX];
        char names[NAMES_MAX][NAME_MAX + 1];
        bool is_runtime; /* socket and lock */
        bool is_reports; /* of crashes: a folder below one that carries our name */
    } places[PLACES_MAX];
    size_t place_count;
    size_t found_count, failed_count;
};

/* where to look */

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* The place of these names; of names that aren't of a socket and its lock, the folder has one place. */
static struct place *find_place(struct purge *purge, const struct place *wanted)
{
    for (size_t i = 0; i < purge->place_count; i++) {
        struct place *place = &purge->places[i];

        if (place->is_runtime == wanted->is_runtime && strcmp(place->folder, wanted->folder) == 0 &&
            (!place->is_runtime || strcmp(place->names[0], wanted->names[0]) == 0))
            return place;
    }
    return NULL;
}

static void add_name(struct place *place, const char *name)
{
    size_t i = 0;

    while (i < NAMES_MAX && place->names[i][0] && strcmp(place->names[i], name) != 0)
        i++;
    if (i < NAMES_MAX)
        (void)snprintf(place->names[i], sizeof(place->names[i]), "%s", name);
}

static void add_place(struct purge *purge, const struct place *wanted)
{
    struct place *place = find_place(purge, wanted);

    if (wanted->folder[0] != '/' || (!place && purge->place_count == PLACES_MAX))
        return;
    if (!place)
        purge->places[purge->place_count++] = *wanted;
    for (size_t i = 0; place && i < NAMES_MAX; i++)
        if (wanted->names[i][0])
            add_name(place, wanted->names[i]);
}

/* The folder of `path`; names are its last part and another one. */
static void add_file(struct purge *purge, const char *path, const char *other, bool is_runtime)
{
    const char *slash = strrchr(path, '/');
    struct place place = {.is_runtime = is_runtime};

    if (path[0] != '/')
        return;
    (void)snprintf(place.folder, sizeof(place.folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
    (void)snprintf(place.names[0], sizeof(place.names[0]), "%s", slash + 1);
    (void)snprintf(place.names[1], sizeof(place.names[1]), "%s", other);
    add_place(purge, &place);
}

static void add_spool(struct purge *purge, const char *given)
{
    struct place place = {.names = {SPOOL_NAME, SPOOL_NAME_WAL, SPOOL_NAME_SHM, SPOOL_NAME_LOCK, SPOOL_NAME_DAMAGED}};

    if (spool_path_choose(given, place.folder, sizeof(place.folder)) == 0)
        add_place(purge, &place);
}

/* "UUID.json", or what the agent was writing when it ended. */
static bool is_report(const char *name)
{
    return (strlen(name) == 41 && strspn(name, "0123456789abcdef-") == 36 && strcmp(name + 36, ".json") == 0) ||
           strcmp(name, "draft") == 0;
}

static void add_crashes(struct purge *purge)
{
    struct place place = {.is_reports = true};
    const struct dirent *entry;
    DIR *dir;

    if (log_path_choose_crashes(place.folder, sizeof(place.folder)) != 0 || !(dir = opendir(place.folder)))
        return;
    while ((entry = readdir(dir)))
        if (is_report(entry->d_name))
            add_name(&place, entry->d_name);
    (void)closedir(dir);
    add_place(purge, &place);
}

/* A socket and the lock beside it (agent/runtime.c). */
static void add_socket(struct purge *purge, const char *path)
{
    const char *name = strrchr(path, '/');
    size_t length = name ? strlen(name + 1) : 0;
    char lock[NAME_MAX + 1];

    if (length == 0)
        return;
    if (length > 5 && strcmp(name + 1 + length - 5, ".sock") == 0)
        length -= 5;
    (void)snprintf(lock, sizeof(lock), "%.*s.lock", (int)length, name + 1);
    add_file(purge, path, lock, true);
}

static void add_usual_sockets(struct purge *purge)
{
    char path[PATH_MAX];

    if (setting("XDG_RUNTIME_DIR")) {
        (void)snprintf(path, sizeof(path), "%s/spanshim/agent.sock", setting("XDG_RUNTIME_DIR"));
        add_socket(purge, path);
    }
    if (geteuid() == 0)
        add_socket(purge, SOCKET_PATH_OF_ROOT);
    (void)snprintf(path, sizeof(path), "/tmp/spanshim-%u/agent.sock", (unsigned)geteuid());
    add_socket(purge, path);
}

/* What a setting names is all that is meant then; else every place that the agent may have been at. */
static int find_places(struct purge *purge, const struct environment *env)
{
    char path[PATH_MAX];
    int err = agent_client_path(env, path);

    if (err)
        return err;
    add_socket(purge, path);
    if (!agent_client_is_chosen(env))
        add_usual_sockets(purge);
    add_crashes(purge); /* before the folder that it is in */
    if (log_path_choose(path, sizeof(path)) == 0)
        add_file(purge, path, "agent.log.1", false);
    if (setting("HOME") && geteuid() != 0) {
        (void)snprintf(path, sizeof(path), "%s/.local/state/spanshim/agent.log", setting("HOME"));
        add_file(purge, path, "agent.log.1", false);
    }
    add_spool(purge, environment_get_setting(env, "SPANSHIM_SPOOL_DIR"));
    add_spool(purge, NULL);
    return 0;
}

/* the files */

/* A folder of ours; -1: there is none, or it is a link or another user's. */
static int open_folder(const struct place *place)
{
    struct stat status;
    int folder = open(place->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (folder >= 0 && (fstat(folder, &status) || (status.st_uid != geteuid() && status.st_uid != 0))) {
        (void)close(folder);
        return -1;
    }
    return folder;
}

static bool is_ours(int folder, const char *name)
{
    struct stat status;

    return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_uid == geteuid() &&
           (S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode));
}

static void report_failure(struct purge *purge, const char *folder, const char *name)
{
    cli_error("%s%s%s is not removed: %s", folder, *name ? "/" : "", name, strerror(errno));
    purge->failed_count++;
}

/* Folders that carry our name go when they are empty; what else is in one is somebody's. */
static bool is_named_by_us(const struct place *place)
{
    return place->is_reports || strncmp(strrchr(place->folder, '/') + 1, "spanshim", strlen("spanshim")) == 0;
}

static void remove_folder(struct purge *purge, const struct place *place)
{
    const char *folder = place->folder;
    struct stat status;

    if (!is_named_by_us(place) || lstat(folder, &status) || status.st_uid != geteuid())
        return;
    if (rmdir(folder) == 0)
        return;
    if (errno == ENOTEMPTY)
        cli_note("%s stays: there are other files in it", folder);
    else
        report_failure(purge, folder, "");
}

static void list_place(struct purge *purge, const struct place *place)
{
    int folder = open_folder(place);

    if (folder < 0)
        return;
    for (size_t i = 0; i < NAMES_MAX && place->names[i][0]; i++)
        if (is_ours(folder, place->names[i])) {
            printf("  %s/%s\n", place->folder, place->names[i]);
            purge->found_count++;
        }
    if (is_named_by_us(place)) {
        printf("  %s (if nothing else is in it)\n", place->folder);
        purge->found_count++;
    }
    (void)close(folder);
}

/* An agent holds the lock before it listens, and after it has stopped to, until it is gone: that is waited for. */
static bool is_locked(int folder, const struct place *place)
{
    int lock = place->is_runtime ? openat(folder, place->names[1], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    uint64_t deadline = deadline_in_ms(LOCK_TIMEOUT_MS);
    bool is_held = false;

    while (lock >= 0 && (is_held = flock(lock, LOCK_EX | LOCK_NB) != 0) && deadline_remaining_ms(deadline) > 0)
        (void)poll(NULL, 0, LOCK_POLL_MS);
    if (lock >= 0)
        (void)close(lock);
    return is_held;
}

static void remove_place(struct purge *purge, const struct place *place)
{
    int folder = open_folder(place);

    if (folder < 0)
        return;
    if (is_locked(folder, place)) {
        cli_error("%s: an agent is starting; nothing is removed there", place->folder);
        purge->failed_count++;
        (void)close(folder);
        return;
    }
    for (size_t i = 0; i < NAMES_MAX && place->names[i][0]; i++)
        if (is_ours(folder, place->names[i]) && unlinkat(folder, place->names[i], 0))
            report_failure(purge, place->folder, place->names[i]);
    (void)close(folder);
    remove_folder(purge, place);
}

/* the agent */

static bool agent_runs(const struct purge *purge)
{
    for (size_t i = 0; i < purge->place_count; i++) {
        char path[PATH_MAX + NAME_MAX + 2];
        int connection = -ENOENT;

        (void)snprintf(path, sizeof(path), "%s/%s", purge->places[i].folder, purge->places[i].names[0]);
        if (purge->places[i].is_runtime && strlen(path) < AGENT_PATH_MAX)
            connection = agent_client_connect(path);
        if (connection < 0)
            continue;
        (void)close(connection);
        return true;
    }
    return false;
}

static bool is_agent_gone(const struct purge *purge)
{
    static char name[] = "stop", *no_arguments[] = {name, NULL};

    if (!agent_runs(purge))
        return true;
    if (purge->stop && stop_command(1, no_arguments) == CLI_EXIT_OK && !agent_runs(purge))
        return true;
    cli_error(purge->stop ? "an agent is still running: nothing is removed"
                          : "an agent is running: nothing is removed; 'spanshim purge --stop' ends it first");
    return false;
}

/* the command */

static bool is_agreed(const struct purge *purge)
{
    char answer[16] = "";

    if (purge->yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        cli_error("nothing is removed without --yes where nobody can be asked");
        return false;
    }
    printf("Remove them? [y/N] ");
    (void)fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static bool read_options(int argc, char **argv, struct purge *purge)
{
    static const struct option options[] = {
        {"yes", no_argument, NULL, 'y'}, {"dry-run", no_argument, NULL, 'n'}, {"stop", no_argument, NULL, 's'}, {0}};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "yn", options, NULL)) != -1) {
        purge->yes |= option == 'y';
        purge->dry_run |= option == 'n';
        purge->stop |= option == 's';
        if (option == '?') {
            cli_error("'purge' takes --yes, --dry-run and --stop; see 'spanshim purge --help'");
            return false;
        }
    }
    return cli_no_arguments("purge", argc - optind + 1, argv + optind - 1);
}

int purge_command(int argc, char **argv)
{
    static struct purge purge;
    struct environment env;

    if (!read_options(argc, argv, &purge))
        return CLI_EXIT_USAGE;
    environment_init(&env, (const char *const *)environ);
    env_file_load_system(&env); /* the agent was started with that, too */
    int err = find_places(&purge, &env);
    environment_deinit(&env);
    if (err) {
        cli_error("the path of the agent's socket is too long");
        return CLI_EXIT_FAILED;
    }
    if (!purge.dry_run && !purge.stop && !is_agent_gone(&purge))
        return CLI_EXIT_FAILED;
    for (size_t i = 0; i < purge.place_count; i++)
        list_place(&purge, &purge.places[i]);
    if (purge.found_count == 0)
        cli_note("there is nothing to remove");
    if (purge.found_count == 0 || purge.dry_run)
        return CLI_EXIT_OK;
    if (!is_agreed(&purge) || !is_agent_gone(&purge))
        return CLI_EXIT_FAILED;
    for (size_t i = 0; i < purge.place_count; i++)
        remove_place(&purge, &purge.places[i]);
    return purge.failed_count ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}
