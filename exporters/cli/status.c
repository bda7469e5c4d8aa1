/* SPDX-License-Identifier: Apache-2.0 */
/* spanshim status: the agent's answer as tables for people, or as it is. */
#include "exporters/cli/agent_client.h"
#include "exporters/cli/agent_list.h"
#include "exporters/cli/cli.h"
#include "exporters/cli/memory.h"
#include "exporters/cli/table.h"
#include "preload/wire.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STATUS_TIMEOUT_MS = 10000, OTHERS_TIMEOUT_MS = 2000 };

struct status {
    bool as_json;
    unsigned count; /* agents that answered */
    int exit_status;
};

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "-";
}

static json_int_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void print_heading(const char *text)
{
    bool coloured = cli_has_colour(STDOUT_FILENO);

    printf("\n%s%s%s\n", coloured ? "\033[1m" : "", text, coloured ? "\033[0m" : "");
}

static void print_agent(const json_t *agent)
{
    json_int_t up_s = number_of(agent, "uptime_s");

    printf("spanshim-agent %s, process %" JSON_INTEGER_FORMAT ", up %" JSON_INTEGER_FORMAT " h %02" JSON_INTEGER_FORMAT
           " min, %.1f MB\n",
           text_of(agent, "version"), number_of(agent, "pid"), up_s / 3600, up_s / 60 % 60,
           (double)number_of(agent, "rss_bytes") / 1e6);
}

static void print_processes(const json_t *processes)
{
    static const char *const titles[] = {">PID", "SERVICE", "SINCE", "EXECUTABLE"};
    struct table table = {.columns = 4, .titles = titles};
    size_t i;
    json_t *process;

    print_heading("processes");
    json_array_foreach(processes, i, process)
    {
        table_add_number(&table, number_of(process, "pid"));
        table_add(&table, text_of(process, "service"));
        table_add(&table, text_of(process, "since"));
        table_add(&table, text_of(process, "executable"));
    }
    if (table.cell_count == 0)
        puts("  none");
    table_print(&table);
    table_deinit(&table);
}

/* Other users of root's agent. */
static void print_users(const json_t *users)
{
    static const char *const titles[] = {">USER", ">REFUSED", ">OVER LIMIT"};
    static const char *const names[] = {"uid", "refused", "limited"};
    struct table table = {.columns = 3, .titles = titles};
    size_t i;
    json_t *user;

    json_array_foreach(users, i, user)
    {
        for (size_t column = 0; column < table.columns; column++)
            table_add_number(&table, number_of(user, names[column]));
    }
    if (table.cell_count)
        print_heading("other users");
    table_print(&table);
    table_deinit(&table);
}

/* Settings that were not taken as they are. */
static void print_complaints(const json_t *rings)
{
    static const char *const titles[] = {">PID", "SERVICE", "PROBLEM"};
    struct table table = {.columns = 3, .titles = titles};
    size_t i, j;
    json_t *ring, *complaint;

    json_array_foreach(rings, i, ring)
    {
        json_array_foreach(json_object_get(ring, "complaints"), j, complaint)
        {
            table_add_number(&table, number_of(ring, "pid"));
            table_add(&table, text_of(ring, "service"));
            table_add(&table, json_is_string(complaint) ? json_string_value(complaint) : "-");
        }
    }
    if (table.cell_count)
        print_heading("settings");
    table_print(&table);
    table_deinit(&table);
}

static void print_requests(const json_t *counts)
{
    static const char *const titles[] = {">SERVED",  ">MADE",    ">WITH HEADER", ">UNSAMPLED",
                                         ">IGNORED", ">RECORDS", ">CONNECTIONS", ">NOT FOLLOWED"};
    static const char *const names[] = {"requests", "client_requests", "injected",    "unsampled",
                                        "ignored",  "taken",           "connections", "passive"};
    struct table table = {.columns = 8, .titles = titles};

    print_heading("seen");
    for (size_t i = 0; i < table.columns; i++)
        table_add_number(&table, number_of(counts, names[i]));
    table_print(&table);
    table_deinit(&table);
}

/* "40 s", "12 min", "3 h"; "-" when nothing is old. */
static void add_age(struct table *table, json_int_t seconds)
{
    char text[32];

    if (seconds < 120)
        (void)snprintf(text, sizeof(text), seconds ? "%" JSON_INTEGER_FORMAT " s" : "-", seconds);
    else if (seconds < 7200)
        (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT " min", seconds / 60);
    else
        (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT " h", seconds / 3600);
    table_add(table, text);
}

static json_int_t sum_of(const json_t *objects, const char *name)
{
    json_int_t sum = 0;
    size_t i;
    json_t *object;

    json_array_foreach(objects, i, object) sum += number_of(object, name);
    return sum;
}

/* Programs whose requests X-Ray's rules decide on. */
static void print_sampling(const json_t *rings)
{
    static const char *const titles[] = {">PID",      "SERVICE",  "RULES FROM", ">AGE",   ">RULES",
                                         ">REQUESTS", ">SAMPLED", ">BORROWED",  "PROBLEM"};
    struct table table = {.columns = 9, .titles = titles};
    size_t i;
    json_t *ring;

    json_array_foreach(rings, i, ring)
    {
        const json_t *sampling = json_object_get(ring, "xray_sampling");
        const json_t *rules = json_object_get(sampling, "rules");

        if (sampling == NULL)
            continue;
        table_add_number(&table, number_of(ring, "pid"));
        table_add(&table, text_of(ring, "service"));
        table_add(&table, text_of(sampling, "from"));
        add_age(&table, number_of(sampling, "age_s"));
        table_add_number(&table, (json_int_t)json_array_size(rules));
        table_add_number(&table, sum_of(rules, "requests"));
        table_add_number(&table, sum_of(rules, "sampled"));
        table_add_number(&table, sum_of(rules, "borrowed"));
        table_add(&table, text_of(sampling, "problem"));
    }
    if (table.cell_count)
        print_heading("X-Ray's sampling");
    table_print(&table);
    table_deinit(&table);
}

struct cause {
    const char *name, *meaning;
};

/* Only what happened, with what it means. */
static void print_causes(const char *heading, const json_t *counts, const struct cause *causes, size_t cause_count)
{
    static const char *const titles[] = {">COUNT", "CAUSE", "MEANING"};
    struct table table = {.columns = 3, .titles = titles};

    for (size_t i = 0; i < cause_count; i++) {
        json_int_t count = number_of(counts, causes[i].name);

        if (count == 0)
            continue;
        table_add_number(&table, count);
        table_add(&table, causes[i].name);
        table_add(&table, causes[i].meaning);
    }
    if (table.cell_count)
        print_heading(heading);
    table_print(&table);
    table_deinit(&table);
}

static void print_dropped(const json_t *dropped)
{
    static const struct cause causes[] = {
#define X(NAME, name, help) {#name, help},
        WIRE_DROPS(X)
#undef X
    };

    print_causes("not recorded", dropped, causes, sizeof(causes) / sizeof(causes[0]));
}

static void print_withheld(const json_t *withheld)
{
    static const struct cause causes[] = {
#define X(NAME, name, help) {#name, help},
        WIRE_WITHHOLDS(X)
#undef X
    };

    print_causes("made without a trace header", withheld, causes, sizeof(causes) / sizeof(causes[0]));
}

static void print_given_up(json_int_t count)
{
    if (count)
        printf("  %" JSON_INTEGER_FORMAT " programs are not traced any more: reading their memory ended the agent's "
               "worker; see 'spanshim log'\n",
               count);
}

/* Nothing when there was none. */
static void print_crashes(const json_t *crashes)
{
    static const char *const titles[] = {">READ", ">NOT READ", ">OTHER DEATHS", ">HELD MS", ">AT MOST"};
    struct table table = {.columns = 5, .titles = titles};
    json_int_t read = number_of(crashes, "read");
    const json_int_t numbers[] = {read, number_of(crashes, "not_read"), number_of(crashes, "deaths"),
                                  read ? number_of(crashes, "held_ns") / read / 1000000 : 0,
                                  number_of(crashes, "held_max_ns") / 1000000};

    if (numbers[0] + numbers[1] + numbers[2] == 0)
        return;
    print_heading("crashes");
    for (size_t i = 0; i < table.columns; i++)
        table_add_number(&table, numbers[i]);
    table_print(&table);
    table_deinit(&table);
}

/* "3 rejected, 1 given_up"; "0" when nothing was. */
static void add_causes(struct table *table, json_t *dropped)
{
    char text[256] = "0";
    size_t len = 0;
    const char *cause;
    json_t *count;

    json_object_foreach(dropped, cause, count)
    {
        if (json_integer_value(count) && len < sizeof(text))
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%" JSON_INTEGER_FORMAT " %s", len ? ", " : "",
                                    json_integer_value(count), cause);
    }
    table_add(table, text);
}

static void add_exporter(struct table *table, const json_t *exporter)
{
    table_add(table, text_of(exporter, "name"));
    table_add(table, text_of(exporter, "target"));
    table_add(table, text_of(exporter, "state"));
    table_add_number(table, number_of(exporter, "queued"));
    table_add_number(table, number_of(exporter, "spooled"));
    add_age(table, number_of(exporter, "oldest_s"));
    table_add_number(table, number_of(exporter, "exported"));
    table_add_number(table, number_of(exporter, "retries"));
    add_causes(table, json_object_get(exporter, "dropped"));
}

static void print_last_error(const json_t *exporter)
{
    const char *error = json_string_value(json_object_get(exporter, "last_error"));
    bool failing = json_is_true(json_object_get(exporter, "failing"));
    bool coloured = failing && cli_has_colour(STDOUT_FILENO);

    if (!error)
        return;
    char *line = memory_format("%s %s: %s", text_of(exporter, "name"), failing ? "fails" : "failed last", error);
    cli_mask(line);
    printf("  %s%s%s\n", coloured ? "\033[31m" : "", line, coloured ? "\033[0m" : "");
    free(line);
}

static void print_destinations(const json_t *sets)
{
    static const char *const titles[] = {"NAME",    "TARGET",    "STATE",    ">QUEUED", ">ON DISK",
                                         ">OLDEST", ">EXPORTED", ">RETRIES", "DROPPED"};
    struct table table = {.columns = 9, .titles = titles};
    size_t i, j;
    json_t *set, *exporter;

    print_heading("destinations");
    json_array_foreach(sets, i, set)
    {
        json_array_foreach(json_object_get(set, "exporters"), j, exporter) add_exporter(&table, exporter);
    }
    if (table.cell_count == 0)
        puts("  none");
    table_print(&table);
    table_deinit(&table);
    json_array_foreach(sets, i, set)
    {
        json_array_foreach(json_object_get(set, "exporters"), j, exporter) print_last_error(exporter);
    }
}

/* What an agent before left on the disk, and what is wrong with the disk. */
static void print_spool(const json_t *spool)
{
    static const char *const titles[] = {"NAME", "TARGET", ">QUEUED", ">BYTES", ">OLDEST"};
    struct table table = {.columns = 5, .titles = titles};
    const char *problem = json_string_value(json_object_get(spool, "problem"));
    size_t i;
    json_t *waiting;

    json_array_foreach(json_object_get(spool, "waiting"), i, waiting)
    {
        table_add(&table, text_of(waiting, "name"));
        table_add(&table, text_of(waiting, "target"));
        table_add_number(&table, number_of(waiting, "queued"));
        table_add_number(&table, number_of(waiting, "bytes"));
        add_age(&table, number_of(waiting, "oldest_s"));
    }
    if (table.cell_count)
        print_heading("waiting for a program with their settings");
    table_print(&table);
    table_deinit(&table);
    if (number_of(spool, "dropped"))
        printf("  %" JSON_INTEGER_FORMAT " dropped: no program with their settings came in time\n",
               number_of(spool, "dropped"));
    if (problem) {
        char *line = memory_format("%s", problem);

        cli_mask(line);
        printf("\n  %s\n", line);
        free(line);
    }
}

static void print_tables(const json_t *answer)
{
    const json_t *totals = json_object_get(answer, "totals");

    print_agent(json_object_get(answer, "agent"));
    print_processes(json_object_get(answer, "processes"));
    print_complaints(json_object_get(answer, "rings"));
    print_users(json_object_get(answer, "users"));
    print_requests(json_object_get(totals, "counts"));
    print_sampling(json_object_get(answer, "rings"));
    print_dropped(json_object_get(totals, "dropped"));
    print_withheld(json_object_get(totals, "withheld"));
    print_given_up(number_of(totals, "given_up_rings"));
    print_crashes(json_object_get(totals, "crashes"));
    print_destinations(json_object_get(answer, "destinations"));
    print_spool(json_object_get(answer, "spool"));
}

/* One answer, in one line as JSON. What another user's agent says is read and written anew. */
static void print_status(struct status *status, const char *text)
{
    json_t *answer = json_loads(text, 0, NULL);
    char *line = answer && status->as_json ? json_dumps(answer, JSON_COMPACT) : NULL;

    if (!json_is_object(answer)) {
        cli_error("the agent's answer cannot be read; see 'spanshim log'");
        status->exit_status = CLI_EXIT_FAILED;
    } else if (line) {
        puts(line);
    } else {
        print_tables(answer);
    }
    free(line);
    json_decref(answer);
}

static void print_other(void *arg, uid_t uid, int connection)
{
    struct status *status = arg;
    const struct passwd *user = getpwuid(uid);
    char *answer = NULL;

    if (agent_client_ask_on(connection, WIRE_MESSAGE_STATUS, OTHERS_TIMEOUT_MS, NULL, &answer) != 0)
        return;
    if (!status->as_json)
        printf("%suser %u%s%s: ", status->count ? "\n" : "", (unsigned)uid, user ? ", " : "",
               user ? user->pw_name : "");
    status->count++;
    print_status(status, answer);
    free(answer);
}

/* Root sees the agents of all users, unless a setting names one. */
static void print_others(struct status *status)
{
    char own[AGENT_PATH_MAX];
    bool is_chosen;

    if (geteuid() == 0 && agent_client_own_path(own, &is_chosen) == 0 && !is_chosen)
        agent_list_others(own, print_other, status);
}

int status_command(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    struct status status = {.exit_status = CLI_EXIT_OK};
    char *answer = NULL;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'j') {
            cli_error("'status' takes --json; see 'spanshim status --help'");
            return CLI_EXIT_USAGE;
        }
        status.as_json = true;
    }
    if (!cli_no_arguments("status", argc - optind + 1, argv + optind - 1))
        return CLI_EXIT_USAGE;

    int err = agent_client_ask(WIRE_MESSAGE_STATUS, STATUS_TIMEOUT_MS, NULL, &answer);
    if (!err) {
        status.count++;
        print_status(&status, answer);
        free(answer);
    }
    print_others(&status);
    if (status.count == 0 && (err == -ENOENT || err == -ECONNRESET))
        cli_note("no agent is running; 'spanshim run' starts one");
    return status.count == 0 || fflush(stdout) != 0 ? CLI_EXIT_FAILED : status.exit_status;
}
