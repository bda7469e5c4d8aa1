/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/doctor/installation.h"

#include "exporters/agent/settings.h"
#include "exporters/agent/socket_path.h"
#include "exporters/agent/values.h"
#include "exporters/cli/agent_client.h"
#include "exporters/cli/cli.h"
#include "exporters/cli/doctor/trial.h"
#include "exporters/cli/elf.h"
#include "exporters/cli/env_file.h"
#include "exporters/cli/environment.h"
#include "exporters/cli/memory.h"
#include "exporters/cli/parts.h"
#include "exporters/cli/preload_list.h"
#include "exporters/cli/telemetry.h"
#include "exporters/xray_address.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHECKS_MAX = 64, URL_MAX = 1024, JSON_SCHEMA = 1 };
enum state { STATE_OK, STATE_WARNING, STATE_FAILED };

static const rlim_t smallest_mapping = 1 << 20; /* of what a process shares with the agent, see preload/link.c */

struct installation {
    struct environment env; /* with the system's defaults */
    bool is_on_terminal;    /* no setting says where traces go */
    struct settings *settings;
    struct check {
        const char *name;
        enum state state;
        char *text;
    } checks[CHECKS_MAX];
    size_t count;
};

__attribute__((format(printf, 4, 5))) static void found(struct installation *installation, const char *name,
                                                        enum state state, const char *format, ...)
{
    char text[PATH_MAX + 256];
    va_list args;

    if (installation->count == CHECKS_MAX)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    cli_mask(text);
    installation->checks[installation->count++] = (struct check){name, state, memory_copy_text(text)};
}

/* its parts */

static bool is_readable_by_all(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && (status.st_mode & S_IROTH);
}

static void check_library(struct installation *installation)
{
    static const char name[] = "library";
    char path[PATH_MAX];
    struct elf_facts facts = {0};

    if (parts_find_library(path) != 0) {
        found(installation, name, STATE_FAILED, "libspanshim.so is not there; install spanshim again");
        return;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        elf_inspect(fd, &facts);
        (void)close(fd);
    }
    if (!facts.is_elf || facts.is_broken || facts.is_foreign)
        found(installation, name, STATE_FAILED, "%s is damaged or for another machine; install spanshim again", path);
    else if (!preload_list_can_hold(path))
        found(installation, name, STATE_FAILED,
              "LD_PRELOAD cannot hold %s: it has a blank, a colon or a $; install spanshim elsewhere", path);
    else if (!is_readable_by_all(path))
        found(installation, name, STATE_WARNING, "%s cannot be read by other users: their programs run without traces",
              path);
    else
        found(installation, name, STATE_OK, "%s", path);
}

static void check_agent_program(struct installation *installation)
{
    char path[PATH_MAX];

    if (parts_find_agent(path) != 0)
        found(installation, "agent", STATE_FAILED, "spanshim-agent is not beside spanshim; install spanshim again");
    else
        found(installation, "agent", STATE_OK, "%s", path);
}

/* the agent that runs, or could */

static void folder_of(const char *path, char ret_folder[AGENT_PATH_MAX])
{
    const char *slash = strrchr(path, '/');

    (void)snprintf(ret_folder, AGENT_PATH_MAX, "%.*s", slash && slash != path ? (int)(slash - path) : 1,
                   slash ? path : ".");
}

/* The folder is made by the agent when it isn't there; its own folder has to be there then. */
static void check_folder(struct installation *installation, const char *socket_path)
{
    static const char name[] = "folder";
    char folder[AGENT_PATH_MAX], parent[AGENT_PATH_MAX];
    struct stat status;

    folder_of(socket_path, folder);
    folder_of(folder, parent);
    if (lstat(folder, &status) != 0) {
        if (access(parent, W_OK | X_OK) == 0)
            found(installation, name, STATE_OK, "%s is not there yet; the agent will make it", folder);
        else
            found(installation, name, STATE_FAILED,
                  "%s is not there and cannot be made: %s; set SPANSHIM_RUNTIME_DIR to a folder of your own", folder,
                  strerror(errno));
        return;
    }
    switch (-socket_folder_judge(&status)) {
    case 0:
        found(installation, name, STATE_OK, "%s", folder);
        break;
    case ENOTDIR:
        found(installation, name, STATE_FAILED, "%s is no folder, or a link to one: the agent refuses it", folder);
        break;
    case EACCES:
        found(installation, name, STATE_FAILED, "others may write to %s: the agent refuses it. Do: chmod go-w %s",
              folder, folder);
        break;
    default:
        found(installation, name, STATE_FAILED,
              "%s belongs to user %u: the agent refuses it; set SPANSHIM_RUNTIME_DIR to a folder of your own", folder,
              (unsigned)status.st_uid);
    }
}

static void check_agent(struct installation *installation)
{
    static const char name[] = "running";
    char path[AGENT_PATH_MAX];

    if (agent_client_path(&installation->env, path) != 0) {
        found(installation, name, STATE_FAILED,
              "the path of the agent's socket is too long; set SPANSHIM_RUNTIME_DIR to a shorter folder");
        return;
    }
    check_folder(installation, path);
    int connection = agent_client_connect(path);
    if (connection >= 0) {
        (void)close(connection);
        found(installation, name, STATE_OK, "an agent answers at %s", path);
    } else if (connection == -ENOENT || connection == -ECONNREFUSED) {
        found(installation, name, STATE_OK, "no agent yet; 'spanshim run' starts one at %s", path);
    } else {
        found(installation, name, STATE_FAILED, "%s: %s", path, strerror(-connection));
    }
}

/* settings, and where they send what is recorded */

static void check_settings(struct installation *installation)
{
    size_t count = settings_complaint_count(installation->settings);

    for (size_t i = 0; i < count; i++)
        found(installation, "settings", STATE_WARNING, "%s", settings_complaint(installation->settings, i));
    if (environment_is_on(&installation->env, "SPANSHIM_DISABLED"))
        found(installation, "settings", STATE_WARNING, "SPANSHIM_DISABLED is set: nothing is traced");
    else if (count == 0)
        found(installation, "settings", STATE_OK, "nothing is wrong with them; 'spanshim settings' lists them");
}

/* Where this destination sends or writes to, for people; empty: it has no address of its own. */
static void describe_target(const struct settings *settings, const char *exporter, char out[URL_MAX])
{
    const char *path = NULL;

    *out = '\0';
    if (strcmp(exporter, "otlp") == 0)
        values_show_url(settings->otlp[SIGNAL_TRACES].url, out, URL_MAX);
    else if (strcmp(exporter, "otlp_logs") == 0)
        values_show_url(settings->otlp[SIGNAL_LOGS].url, out, URL_MAX);
    else if (strcmp(exporter, "rollbar") == 0)
        values_show_url(settings->rollbar_url, out, URL_MAX);
    else if (strcmp(exporter, "xray") == 0 && strcmp(settings->xray_via, "daemon") == 0)
        xray_address_describe(settings->xray_daemon_address, out, URL_MAX);
    else if (strcmp(exporter, "otlp_file") == 0)
        path = settings->otlp_file;
    else if (strcmp(exporter, "otlp_logs_file") == 0)
        path = settings->otlp_logs_file;
    else if (strcmp(exporter, "request_log") == 0)
        path = settings->request_log;
    else if (strcmp(exporter, "cloudwatch") == 0)
        path = settings->cloudwatch_group;
    else if (strcmp(exporter, "console") == 0 || strcmp(exporter, "console_logs") == 0)
        path = settings->console_path;
    if (path)
        (void)snprintf(out, URL_MAX, "%s", path);
}

static void check_exporters(struct installation *installation, char *const *exporters, size_t count)
{
    const struct settings *settings = installation->settings;
    char target[URL_MAX];

    for (size_t i = 0; i < count; i++) {
        if (installation->is_on_terminal && strcmp(exporters[i], "console") == 0 && !settings->console_path) {
            found(installation, "target", STATE_OK, "the terminal: no setting says where else");
            continue;
        }
        describe_target(settings, exporters[i], target);
        found(installation, "target", STATE_OK, "%s%s%s", exporters[i], *target ? " " : "", target);
    }
}

static void check_destinations(struct installation *installation)
{
    const struct settings *settings = installation->settings;

    if (settings->exporter_count + settings->log_exporter_count == 0)
        found(installation, "target", STATE_WARNING, "nowhere: the settings say so");
    check_exporters(installation, settings->exporters, settings->exporter_count);
    check_exporters(installation, settings->log_exporters, settings->log_exporter_count);
}

/* what the kernel has */

static bool has_memfd(void)
{
    int fd = memfd_create("spanshim-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static bool has_pidfd(void)
{
    long fd = syscall(SYS_pidfd_open, getpid(), 0);

    if (fd >= 0)
        (void)close((int)fd);
    return fd >= 0;
}

/* Called so that it fails: with another error than "no such call" where it is there. */
static bool has_futex_waitv(void)
{
#ifdef SYS_futex_waitv
    return syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) == 0 || errno != ENOSYS;
#else
    return false;
#endif
}

static void check_kernel(struct installation *installation)
{
    size_t before = installation->count;
    struct rlimit limit;

    if (!has_memfd())
        found(installation, "kernel", STATE_FAILED, "memfd_create: %s: nothing can be handed over", strerror(errno));
    if (!has_pidfd())
        found(installation, "kernel", STATE_WARNING, "pidfd_open: %s: the agent looks after processes by number",
              strerror(errno));
    if (!has_futex_waitv())
        found(installation, "kernel", STATE_WARNING,
              "no futex_waitv (Linux 5.16): the agent polls instead of sleeping");
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < smallest_mapping)
        found(installation, "kernel", STATE_WARNING,
              "files are limited to %llu bytes (ulimit -f): too little to hand requests over",
              (unsigned long long)limit.rlim_cur);
    if (prctl(PR_GET_SECCOMP) == 2)
        found(installation, "kernel", STATE_WARNING,
              "this shell is under a seccomp filter, and what it starts will be");
    if (installation->count == before)
        found(installation, "kernel", STATE_OK, "has all that is needed");
}

/* all of it together */

static void check_delivery(struct installation *installation, const struct environment *env)
{
    char text[PATH_MAX];
    bool delivered = trial_send(env, installation->is_on_terminal, text, sizeof(text));

    found(installation, "delivery", delivered ? STATE_OK : STATE_FAILED, "%s", text);
}

/* what is printed */

static void print_checks(const struct installation *installation)
{
    static const char *const labels[] = {"ok", "WARNING", "FAILED"};
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};
    bool coloured = cli_has_colour(STDOUT_FILENO);

    for (size_t i = 0; i < installation->count; i++) {
        const struct check *check = &installation->checks[i];

        printf("  %s%-8s%s %-10s %s\n", coloured ? colours[check->state] : "", labels[check->state],
               coloured ? "\033[0m" : "", check->name, check->text);
    }
}

static void print_json(const struct installation *installation, bool in_order)
{
    static const char *const names[] = {"ok", "warning", "failed"};
    json_t *checks = json_array();

    for (size_t i = 0; i < installation->count; i++) {
        const struct check *check = &installation->checks[i];
        json_t *text = json_string(check->text);

        (void)json_array_append_new(checks, json_pack("{s:s, s:s, s:o}", "name", check->name, "state",
                                                      names[check->state], "text", text ? text : json_string("?")));
    }
    json_t *all = json_pack("{s:i, s:b, s:o}", "schema", JSON_SCHEMA, "in_order", in_order, "checks", checks);
    (void)json_dumpf(all, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(all);
}

static bool is_in_order(const struct installation *installation)
{
    for (size_t i = 0; i < installation->count; i++)
        if (installation->checks[i].state == STATE_FAILED)
            return false;
    return true;
}

int installation_check(const struct environment *env, bool as_json, bool send)
{
    struct installation installation = {0};

    environment_init(&installation.env, (const char *const *)env->entries);
    env_file_load_system(&installation.env);
    installation.is_on_terminal = telemetry_choose_terminal(&installation.env);
    installation.settings = settings_new((const char *const *)installation.env.entries, installation.env.count, NULL);
    if (!installation.settings)
        return CLI_EXIT_LAUNCHER;
    check_library(&installation);
    check_agent_program(&installation);
    check_agent(&installation);
    check_settings(&installation);
    check_destinations(&installation);
    check_kernel(&installation);
    if (send)
        check_delivery(&installation, env);

    bool in_order = is_in_order(&installation);
    if (as_json) {
        print_json(&installation, in_order);
    } else {
        printf("spanshim %s\n", in_order ? "is ready here" : "is NOT ready here");
        print_checks(&installation);
    }
    for (size_t i = 0; i < installation.count; i++)
        free(installation.checks[i].text);
    settings_unref(installation.settings);
    environment_deinit(&installation.env);
    return in_order ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}
