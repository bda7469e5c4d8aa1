/* SPDX-License-Identifier: Apache-2.0 */
/* spanshim run: prepare the environment, make sure that an agent is there, become the program (or its parent). */
#include "exporters/agent/settings.h"
#include "exporters/cli/agent_client.h"
#include "exporters/cli/agent_start.h"
#include "exporters/cli/cli.h"
#include "exporters/cli/console_session.h"
#include "exporters/cli/deadline.h"
#include "exporters/cli/delivery.h"
#include "exporters/cli/env_file.h"
#include "exporters/cli/environment.h"
#include "exporters/cli/memory.h"
#include "exporters/cli/parts.h"
#include "exporters/cli/preload_list.h"
#include "exporters/cli/program.h"
#include "exporters/cli/supervise.h"
#include "exporters/cli/telemetry.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DELIVERY_TIMEOUT_MS = 5000 };

struct run {
    const char *service;
    bool as_init;
    char **argv;                  /* of the program */
    struct environment env;       /* of the program */
    struct environment effective; /* with the system's defaults, which the program's environment is kept free of */
    struct settings *settings;    /* of the latter */
    struct program program;
    char agent_path[AGENT_PATH_MAX]; /* empty: no agent is used */
    int console;                     /* connection of the console session; -1: none */
};

static int fail(int err, const char *what)
{
    cli_error("%s: %s", what, strerror(-err));
    return CLI_EXIT_LAUNCHER;
}

/* Options end at the program's name: what follows is its own. 0, or an exit status. */
static int read_options(struct run *run, int argc, char **argv)
{
    static const struct option options[] = {
        {"service", required_argument, NULL, 's'},
        {"env-file", required_argument, NULL, 'e'},
        {"init", no_argument, NULL, 'i'},
        {0},
    };
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        switch (option) {
        case 's':
            run->service = optarg;
            break;
        case 'e':
            if (env_file_load(&run->env, optarg) != 0)
                return CLI_EXIT_LAUNCHER;
            break;
        case 'i':
            run->as_init = true;
            break;
        case ':':
            cli_error("%s needs a value; see 'spanshim run --help'", argv[optind - 1]);
            return CLI_EXIT_LAUNCHER;
        default:
            cli_error("'run' has no option %s; put -- before a program's own: spanshim run -- PROGRAM ...",
                      argv[optind - 1]);
            return CLI_EXIT_LAUNCHER;
        }
    }
    if (optind == argc) {
        cli_error("which program? spanshim run [OPTIONS] [--] PROGRAM [ARGS...]");
        return CLI_EXIT_LAUNCHER;
    }
    if (run->service)
        environment_set(&run->env, "OTEL_SERVICE_NAME", run->service);
    run->as_init = run->as_init || getpid() == 1;
    run->argv = argv + optind;
    return 0;
}

static int report_exec_failure(const char *name, int err)
{
    if (err == -ENOENT) {
        cli_error("%s: not found%s", name, strchr(name, '/') ? "" : " in PATH");
        return CLI_EXIT_NOT_FOUND;
    }
    cli_error("%s cannot be executed: %s", name, strerror(-err));
    return CLI_EXIT_NOT_EXECUTABLE;
}

/* Put our object into LD_PRELOAD. 0, or an exit status. */
static int prepare_preload(struct run *run)
{
    char library[PATH_MAX];

    if (parts_find_library(library) != 0) {
        cli_error("libspanshim.so is not where this installation should have it; install spanshim again");
        return CLI_EXIT_LAUNCHER;
    }
    if (!preload_list_can_hold(library)) {
        cli_error("LD_PRELOAD cannot hold the path %s: it has a blank, a colon or a $; install spanshim elsewhere",
                  library);
        return CLI_EXIT_LAUNCHER;
    }
    const char *runtime = *run->program.facts.sanitizer ? run->program.facts.sanitizer : NULL;
    char *list = preload_list_compose(environment_get(&run->env, "LD_PRELOAD"), library, runtime);
    environment_set(&run->env, "LD_PRELOAD", list);
    free(list);
    return 0;
}

static int read_settings(struct run *run)
{
    environment_init(&run->effective, (const char *const *)run->env.entries);
    env_file_load_system(&run->effective);
    if (!environment_is_on(&run->effective, "SPANSHIM_DISABLED") && telemetry_choose_terminal(&run->effective))
        environment_set(&run->env, "SPANSHIM_EXPORTERS", environment_get(&run->effective, "SPANSHIM_EXPORTERS"));
    run->settings = settings_new((const char *const *)run->effective.entries, run->effective.count, NULL);
    return run->settings ? 0 : fail(-ENOMEM, "settings");
}

static void say_complaints(const struct run *run)
{
    bool says_nothing = strcmp(run->settings->log_level, "none") == 0 || strcmp(run->settings->log_level, "error") == 0;
    for (size_t i = 0; i < settings_complaint_count(run->settings) && !says_nothing; i++)
        cli_warning("%s", settings_complaint(run->settings, i));
}

/* Failures leave the program without an agent, not the user without the program. */
static void prepare_agent(struct run *run, enum telemetry telemetry)
{
    if (telemetry == TELEMETRY_NONE)
        return;
    if (agent_client_path(&run->effective, run->agent_path) != 0) {
        cli_warning("the path of the agent's socket is too long: no traces are exported; set SPANSHIM_RUNTIME_DIR to a "
                    "shorter folder");
        *run->agent_path = '\0';
        return;
    }
    if (agent_start_if_absent(&run->effective, run->agent_path) != 0) {
        *run->agent_path = '\0';
        return;
    }
    if (telemetry == TELEMETRY_CONSOLE && cli_has_stderr()) {
        run->console = console_session_open(&run->env, run->agent_path);
        if (run->console < 0)
            cli_warning("the agent took no console session: no traces are shown (%s)", strerror(-run->console));
    }
}

/* 0, or an exit status. */
static int prepare(struct run *run)
{
    int err = program_find(&run->program, run->argv[0], &run->env);

    if (err)
        return report_exec_failure(run->argv[0], err);
    int status = read_settings(run);
    if (status || environment_is_on(&run->effective, "SPANSHIM_DISABLED"))
        return status;
    say_complaints(run);
    environment_unset(&run->env, "SPANSHIM_SESSION"); /* of a launcher further out: its terminal isn't this one */
    program_inspect(&run->program, &run->env);

    const char *blindness = program_blindness_text(run->program.blindness);
    if (blindness)
        cli_warning("%s %s", run->program.image, blindness);
    if (run->program.blindness != PROGRAM_FOREIGN) { /* its loader would complain about ours, and find no use for it */
        status = prepare_preload(run);
        if (status)
            return status;
    }
    prepare_agent(run, telemetry_of(run->settings));
    return 0;
}

/* As execvp does: what the kernel doesn't know how to run is given to the shell. */
static void exec_program(void *arg)
{
    struct run *run = arg;

    (void)execve(run->program.path, run->argv, run->env.entries);
    if (errno != ENOEXEC)
        return;
    size_t count = 0;
    while (run->argv[count])
        count++;
    char **shell_argv = memory_resize(NULL, (count + 2) * sizeof(*shell_argv));
    shell_argv[0] = (char *)(uintptr_t) "sh";
    shell_argv[1] = run->program.path;
    memcpy(shell_argv + 2, run->argv + 1, count * sizeof(*shell_argv)); /* with the NULL */
    (void)execve("/bin/sh", shell_argv, run->env.entries);
    free(shell_argv);
}

static int run_as_parent(struct run *run)
{
    int timeout_ms = run->as_init ? (int)run->settings->init_timeout_ms : DELIVERY_TIMEOUT_MS;
    int wait_status;
    int err = supervise_run(exec_program, run, run->as_init, &wait_status);

    if (err == -EAGAIN || err == -ENOMEM)
        return fail(err, "fork");
    if (err)
        return report_exec_failure(run->argv[0], err);

    uint64_t deadline = deadline_in_ms(timeout_ms);
    if (run->console >= 0)
        console_session_close(run->console, run->agent_path, timeout_ms, supervise_interrupt_fd());
    if (run->as_init && *run->agent_path)
        delivery_await(run->agent_path, deadline_remaining_ms(deadline));
    supervise_mirror(wait_status);
}

int run_command(int argc, char **argv)
{
    struct run run = {.console = -1};

    environment_init(&run.env, (const char *const *)environ);
    int status = read_options(&run, argc, argv);
    if (!status)
        status = prepare(&run);
    if (status)
        return status;
    if (run.as_init || run.console >= 0)
        return run_as_parent(&run);
    exec_program(&run);
    return report_exec_failure(run.argv[0], -errno);
}
