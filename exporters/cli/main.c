/* SPDX-License-Identifier: Apache-2.0 */
/* spanshim: the command line. A command is a function and a row of the table. */
#include "exporters/agent/nearest.h"
#include "exporters/cli/cli.h"
#include "exporters/cli/parts.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *synopsis; /* after "spanshim NAME" */
    const char *summary;
    const char *help;
};

static const struct command commands[] = {
    {"run", run_command, "[--service NAME] [--env-file FILE] [--init] [--] PROGRAM [ARGS...]",
     "run a program with traces",
     "  --service NAME   the service's name (sets OTEL_SERVICE_NAME)\n"
     "  --env-file FILE  settings, one NAME=value a line as in systemd's EnvironmentFile=;\n"
     "                   what the environment sets already wins; may be given again\n"
     "  --init           stay as the program's parent: forward signals, reap orphans, and wait for\n"
     "                   delivery at the end (up to SPANSHIM_INIT_TIMEOUT ms, 5000). Implied as PID 1\n\n"
     "The program keeps process id, input, output and exit status. Where nothing says where spans\n"
     "should go (OTEL_TRACES_EXPORTER, SPANSHIM_EXPORTERS, OTEL_EXPORTER_OTLP_..., HONEYCOMB_API_KEY,\n"
     "AWS_XRAY_DAEMON_ADDRESS), they are shown on standard error as a tree.\n\n"
     "Exit status: the program's; 125: spanshim failed, 126: the program can't be executed,\n"
     "127: there is no such program.\n"},
    {"doctor", doctor_command, "[--json] [--env-file FILE] [PROGRAM [ARGS...] | --pid PID | --send]",
     "tell whether a program will be traced, or what is wrong here",
     "  --json           as JSON, see spanshim(1)\n  -p, --pid PID    look at a running process\n"
     "  --env-file FILE  as for 'run'\n"
     "  --send           without a program: trace a request of our own and deliver its span, too\n\n"
     "Looks at the program's files and runs nothing. Without a program it checks the installation:\n"
     "library, agent, settings, kernel. Without --send it sends and changes nothing.\n\n"
     "Exit status: 0: will be traced (in order), 1: won't (not in order), 2: perhaps;\n"
     "125: spanshim failed, 126: the program can't be executed, 127: there is no such program.\n"},
    {"lib", lib_command, "", "print the path of the shared object to preload",
     "Prints the path of libspanshim.so:  LD_PRELOAD=$(spanshim lib) server\n"},
    {"settings", settings_command, "[--env-file FILE] [--json]",
     "list the settings in force here, and what is wrong with them",
     "  --env-file FILE  as for 'run'\n"
     "  --json           {\"settings\": [{name, value, from, default, type, range}], \"problems\": [text]}\n\n"
     "Shows what a program gets that is started here. Secrets are shown as \"set\".\n\n"
     "Exit status: 0; 1: a value or a name is wrong.\n"},
    {"status", status_command, "[--json]", "show agent, processes, records and destinations",
     "  --json           the agent's answer as it is\n\n"
     "Root sees the agents of all users, one after the other (--json: one a line), unless\n"
     "SPANSHIM_AGENT or SPANSHIM_RUNTIME_DIR names one.\n\nExit status: 0; 1: no agent is running.\n"},
    {"flush", flush_command, "[--timeout SECONDS]", "wait until everything handed over is delivered",
     "  --timeout SECONDS  give up after this long (60)\n\nExit status: 0 when all of it was delivered, else 1.\n"},
    {"report", report_command, "[--level LEVEL] [--title TITLE] [--env-file FILE] MESSAGE",
     "send a message to where crashes go",
     "  -l, --level LEVEL  critical, error, warning, info (the default) or debug\n"
     "  -t, --title TITLE  what Rollbar lists it by; else the message\n"
     "  --env-file FILE    as for 'run'\n\n"
     "Sends it to Rollbar, by ROLLBAR_ACCESS_TOKEN, and prints its uuid. What can't be sent now is kept\n"
     "by the agent, which is started if need be, and sent later.\n\n"
     "Exit status: 0: sent, or kept; 1: neither; 2: usage.\n"},
    {"log", log_command, "[-f] [-n LINES]", "show the agent's log",
     "  -n, --lines N    the last N lines (50; 0: all)\n  -f, --follow     go on with what is written later\n"},
    {"crashes", crashes_command, "[--json] [UUID | last]", "list the crashes that were reported here, or show one",
     "  --json           the reports as they are: a line each; of one, all that is known of it\n\n"
     "Without a report's UUID (its first characters will do) all are listed, the newest first; 'last' is\n"
     "the newest. At most 50 are kept, 100 MB, 30 days.\n\n"
     "Exit status: 0; 1: there is no such report, or it can't be read; 2: usage.\n"},
    {"stop", stop_command, "", "end the agent; it delivers what it holds first", "Ends the agent of this user.\n"},
    {"purge", purge_command, "[--yes] [--dry-run] [--stop]", "remove what spanshim has written",
     "  -y, --yes        don't ask\n  -n, --dry-run    only show what would be removed\n"
     "  --stop           end the agent first\n\n"
     "Removes this user's logs, crash reports, socket and lock, what waits on the disk for delivery, and\n"
     "their folders when nothing else is in them. The installation stays, and so do the files that\n"
     "settings name.\n\n"
     "Exit status: 0; 1: not all of it was removed, or an agent is running; 2: usage.\n"},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_usage(FILE *out)
{
    fputs("usage: spanshim COMMAND [OPTIONS]\n\n"
          "OpenTelemetry traces from unmodified programs.\n\n"
          "  spanshim run -- nginx -g 'daemon off;'\n\ncommands:\n",
          out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fputs("\n'spanshim COMMAND --help' tells more; so does 'man spanshim'. --version prints the version.\n", out);
}

static void print_help(const struct command *command)
{
    printf("usage: spanshim %s%s%s\n\n%s.\n\n%s", command->name, *command->synopsis ? " " : "", command->synopsis,
           command->summary, command->help);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    struct nearest nearest = {.wanted = name};

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        nearest_offer(&nearest, commands[i].name);
    if (nearest.name)
        cli_error("there is no command '%s'; did you mean 'spanshim %s'?", name, nearest.name);
    else
        cli_error("there is no command '%s'; to run a program: spanshim run -- %s", name, name);
    return CLI_EXIT_USAGE;
}

/* --help as the command's first argument; further on it may belong to the program that is run. */
static bool wants_help(int argc, char **argv)
{
    return argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;

    cli_hold_standard_descriptors();
    if (!name) {
        print_usage(stderr);
        return CLI_EXIT_USAGE;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("spanshim " SPANSHIM_VERSION);
        return CLI_EXIT_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        const struct command *topic = argc > 2 ? find_command(argv[2]) : NULL;

        if (topic)
            print_help(topic);
        else
            print_usage(stdout);
        return CLI_EXIT_OK;
    }

    const struct command *command = find_command(name);
    if (!command)
        return unknown_command(name);
    if (wants_help(argc - 1, argv + 1)) {
        print_help(command);
        return CLI_EXIT_OK;
    }
    return command->run(argc - 1, argv + 1);
}
