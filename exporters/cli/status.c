/* SPDX-License-Identifier: Apache-2.0 */
/* spanshim status: the agent's answer as a table. */
#include "exporters/cli/agent_client.h"
#include "exporters/cli/cli.h"
#include "preload/wire.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { STATUS_TIMEOUT_MS = 10000 };

static int print_status(const char *text)
{
    json_t *answer = json_loads(text, 0, NULL);

    if (!answer) {
        cli_error("the agent's answer cannot be read; see 'spanshim log'");
        return CLI_EXIT_FAILED;
    }
    json_dumpf(answer, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(answer);
    return CLI_EXIT_OK;
}

int status_command(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    bool as_json = false;
    char *answer = NULL;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'j') {
            cli_error("'status' takes --json; see 'spanshim status --help'");
            return CLI_EXIT_USAGE;
        }
        as_json = true;
    }
    if (!cli_no_arguments("status", argc - optind + 1, argv + optind - 1))
        return CLI_EXIT_USAGE;

    int err = agent_client_ask(WIRE_MESSAGE_STATUS, STATUS_TIMEOUT_MS, NULL, &answer);
    if (err == -ENOENT)
        cli_note("no agent is running; 'spanshim run' starts one");
    if (err)
        return CLI_EXIT_FAILED;
    int status = CLI_EXIT_OK;
    if (as_json)
        puts(answer);
    else
        status = print_status(answer);
    free(answer);
    return status;
}
