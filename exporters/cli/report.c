/* SPDX-License-Identifier: Apache-2.0 */
/* spanshim report: a message for where crashes go. Settings go to the agent over its socket: a token in an argument
 * could be read by others. */
#include "exporters/agent/settings.h"
#include "exporters/cli/agent_client.h"
#include "exporters/cli/agent_start.h"
#include "exporters/cli/cli.h"
#include "exporters/cli/env_file.h"
#include "exporters/cli/environment.h"
#include "exporters/cli/memory.h"
#include "preload/wire.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_TIMEOUT_MS = 15000, TEXT_MAX = WIRE_MESSAGE_MAX - sizeof(struct wire_message) };

struct report {
    struct environment env;
    const char *level, *title, *message;
    char *text; /* entries of wire.h */
    size_t length;
};

static bool is_level(const char *word)
{
    static const char *const levels[] = {"critical", "error", "warning", "info", "debug"};

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (strcmp(word, levels[i]) == 0)
            return true;
    cli_error("the level '%s' is not one of critical, error, warning, info, debug", word);
    return false;
}

/* 0, or an exit status. */
static int read_options(struct report *report, int argc, char **argv)
{
    static const struct option options[] = {
        {"level", required_argument, NULL, 'l'},
        {"title", required_argument, NULL, 't'},
        {"env-file", required_argument, NULL, 'e'},
        {0},
    };
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "l:t:", options, NULL)) != -1) {
        if (option == 'l') {
            report->level = optarg;
        } else if (option == 't') {
            report->title = optarg;
        } else if (option != 'e') {
            cli_error("see 'spanshim report --help'");
            return CLI_EXIT_USAGE;
        } else if (env_file_load(&report->env, optarg) != 0) {
            return CLI_EXIT_FAILED;
        }
    }
    if (!is_level(report->level))
        return CLI_EXIT_USAGE;
    if (argc - optind != 1 || !*argv[optind]) {
        cli_error("'report' takes one message: spanshim report --level warning \"the disk is full\"");
        return CLI_EXIT_USAGE;
    }
    report->message = argv[optind];
    env_file_load_system(&report->env);
    return 0;
}

/* Traces have no part in it: the queues that they would need are not opened. */
static void leave_out_traces(struct environment *env)
{
    environment_set(env, "OTEL_TRACES_EXPORTER", "none");
    environment_unset(env, "SPANSHIM_EXPORTERS");
}

/* Whether there is anybody to send it to; says what is missing. */
static bool has_receiver(const struct report *report)
{
    struct settings *settings = settings_new((const char *const *)report->env.entries, report->env.count, NULL);
    size_t count = settings ? settings->exporter_count : 0;
    bool is_off = settings && settings->sdk_disabled;

    for (size_t i = 0; settings && i < settings_complaint_count(settings); i++)
        cli_warning("%s", settings_complaint(settings, i));
    settings_unref(settings);
    if (is_off)
        cli_error("nothing is sent: OTEL_SDK_DISABLED is true");
    else if (count == 0)
        cli_error("nobody takes messages: set ROLLBAR_ACCESS_TOKEN to the token of a Rollbar project");
    return count > 0;
}

static void add_entry(struct report *report, char kind, const char *text)
{
    size_t length = strlen(text) + 2; /* with kind and NUL */

    report->text = memory_resize(report->text, report->length + length);
    report->text[report->length] = kind;
    memcpy(report->text + report->length + 1, text, length - 1);
    report->length += length;
}

static bool is_setting(const char *entry)
{
    const struct settings_row *row;
    size_t length = strcspn(entry, "=");

    for (size_t n = 0; (row = settings_row(n)); n++)
        if (strncmp(entry, row->name, length) == 0 && row->name[length] == '\0')
            return true;
    return false;
}

/* False after saying that it is too long. */
static bool pack(struct report *report)
{
    char *folder = getcwd(NULL, 0);

    add_entry(report, 'l', report->level);
    add_entry(report, 'm', report->message);
    if (report->title)
        add_entry(report, 't', report->title);
    if (folder)
        add_entry(report, 'w', folder);
    free(folder);
    for (size_t i = 0; i < report->env.count; i++)
        if (is_setting(report->env.entries[i]))
            add_entry(report, 'e', report->env.entries[i]);
    if (report->length > TEXT_MAX)
        cli_error("message and settings are too long: %zu bytes at most", (size_t)TEXT_MAX);
    return report->length <= TEXT_MAX;
}

/* A descriptor, or -1 after saying what is wrong. */
static int reach_agent(const struct report *report)
{
    char path[AGENT_PATH_MAX];
    int connection = agent_client_find();

    if (connection == -ENOENT && agent_client_path(&report->env, path) == 0 &&
        agent_start_if_absent(&report->env, path) == 0)
        connection = agent_client_find();
    if (connection == -ENOENT)
        cli_error("not sent: no agent can be reached; see 'spanshim doctor'");
    return connection < 0 ? -1 : connection;
}

static int show_answer(const char *text)
{
    json_t *answer = json_loads(text, 0, NULL);
    const char *result = json_string_value(json_object_get(answer, "result"));
    const char *uuid = json_string_value(json_object_get(answer, "uuid"));
    const char *reason = json_string_value(json_object_get(answer, "reason"));
    const char *error = json_string_value(json_object_get(answer, "error"));
    int status = CLI_EXIT_FAILED;

    if (!result || !uuid) {
        cli_error("not sent: %s", error ? error : "the agent's answer cannot be read; see 'spanshim log'");
    } else {
        status = CLI_EXIT_OK;
        puts(uuid);
        if (strcmp(result, "kept") == 0)
            cli_warning("not sent yet: %s", reason && *reason ? reason : "see 'spanshim log'");
    }
    json_decref(answer);
    return status;
}

static int send_report(const struct report *report)
{
    char *answer = NULL;
    int connection = reach_agent(report);

    if (connection < 0)
        return CLI_EXIT_FAILED;
    int err = agent_client_ask_with(connection, WIRE_MESSAGE_REPORT, report->text, report->length, ANSWER_TIMEOUT_MS,
                                    NULL, &answer);
    if (err == -ECONNRESET)
        cli_error("the agent ended before it had answered; see 'spanshim log'");
    if (err)
        return CLI_EXIT_FAILED;
    int status = show_answer(answer);
    free(answer);
    return status;
}

int report_command(int argc, char **argv)
{
    struct report report = {.level = "info"};

    environment_init(&report.env, (const char *const *)environ);
    int status = read_options(&report, argc, argv);
    leave_out_traces(&report.env);
    if (!status && (!has_receiver(&report) || !pack(&report)))
        status = CLI_EXIT_FAILED;
    if (!status)
        status = send_report(&report);
    if (report.text)
        explicit_bzero(report.text, report.length);
    free(report.text);
    environment_deinit(&report.env);
    return status;
}
