/* SPDX-License-Identifier: Apache-2.0 */
/* spanshim doctor: will a program's requests be seen, and why (not)? Without a program: is this installation in order?
 * Nothing of the program is run, and nothing is sent or changed without --send. */
#include "exporters/cli/cli.h"
#include "exporters/cli/doctor/diagnosis.h"
#include "exporters/cli/doctor/installation.h"
#include "exporters/cli/doctor/report.h"
#include "exporters/cli/doctor/trial.h"
#include "exporters/cli/env_file.h"
#include "exporters/cli/environment.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct doctor {
    struct environment env; /* of the program */
    int pid;                /* 0: none */
    bool as_json;
    bool send;    /* a trial request's span */
    bool request; /* we are the trial's program */
};

static int read_pid(const char *text, int *ret_pid)
{
    char *end;
    long pid = strtol(text, &end, 10);

    if (end == text || *end || pid <= 0 || pid > INT_MAX) {
        cli_error("--pid: %s is no process id", text);
        return CLI_EXIT_LAUNCHER;
    }
    *ret_pid = (int)pid;
    return 0;
}

/* Options end at the program's name. 0, or an exit status. */
static int read_options(struct doctor *doctor, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},           {"pid", required_argument, NULL, 'p'},
        {"env-file", required_argument, NULL, 'e'}, {"send", no_argument, NULL, 's'},
        {"request", no_argument, NULL, 'r'},        {0},
    };
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:p:", options, NULL)) != -1) {
        int status = 0;

        if (option == 'j')
            doctor->as_json = true;
        else if (option == 's')
            doctor->send = true;
        else if (option == 'r')
            doctor->request = true;
        else if (option == 'p')
            status = read_pid(optarg, &doctor->pid);
        else if (option == 'e')
            status = env_file_load(&doctor->env, optarg) == 0 ? 0 : CLI_EXIT_LAUNCHER;
        else
            status = CLI_EXIT_LAUNCHER;
        if (status) {
            if (option == '?' || option == ':')
                cli_error("see 'spanshim doctor --help'");
            return status;
        }
    }
    if ((doctor->pid != 0) + (optind < argc) + doctor->send > 1) {
        cli_error("a program, --pid or --send, only one of them; see 'spanshim doctor --help'");
        return CLI_EXIT_LAUNCHER;
    }
    return 0;
}

static int print_diagnosis(const struct doctor *doctor, const struct anatomy *anatomy, const struct running *running)
{
    struct diagnosis diagnosis;

    diagnosis_make(&diagnosis, anatomy, running);
    if (doctor->as_json)
        report_json(anatomy, running, &diagnosis);
    else
        report_text(anatomy, running, &diagnosis);
    int status = fflush(stdout) == 0 ? (int)diagnosis.verdict : CLI_EXIT_LAUNCHER;
    diagnosis_deinit(&diagnosis);
    return status;
}

static int examine_program(const struct doctor *doctor, const char *name)
{
    struct anatomy anatomy = {0};
    int err = program_find(&anatomy.program, name, &doctor->env);

    if (err) {
        cli_error("%s %s", name, err == -ENOENT ? "is not there" : strerror(-err));
        return err == -ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_NOT_EXECUTABLE;
    }
    program_inspect(&anatomy.program, &doctor->env);
    anatomy_of_program(&anatomy, &doctor->env);
    int status = print_diagnosis(doctor, &anatomy, NULL);
    anatomy_deinit(&anatomy);
    return status;
}

static int examine_process(const struct doctor *doctor)
{
    struct anatomy anatomy = {0};
    struct running running;
    int err = running_look(&running, &anatomy, doctor->pid);
    int status = CLI_EXIT_LAUNCHER;

    if (err == -ENOENT || err == -ESRCH)
        cli_error("there is no process %d, or it is none of a program", doctor->pid);
    else if (err)
        cli_error("process %d: %s; ask as its user or as root", doctor->pid, strerror(-err));
    else
        status = print_diagnosis(doctor, &anatomy, &running);
    anatomy_deinit(&anatomy);
    return status;
}

int doctor_command(int argc, char **argv)
{
    struct doctor doctor = {0};

    environment_init(&doctor.env, (const char *const *)environ);
    int status = read_options(&doctor, argc, argv);
    if (!status && doctor.pid)
        status = examine_process(&doctor);
    else if (!status && optind < argc)
        status = examine_program(&doctor, argv[optind]);
    else if (!status && doctor.request)
        status = trial_request() == 0 ? CLI_EXIT_OK : CLI_EXIT_FAILED;
    else if (!status)
        status = installation_check(&doctor.env, doctor.as_json, doctor.send);
    environment_deinit(&doctor.env);
    return status;
}
