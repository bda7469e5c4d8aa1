/* SPDX-License-Identifier: Apache-2.0 */
/* Delivery on demand: at the end of an init, and by `spanshim flush` and `spanshim stop`. */
#include "exporters/cli/delivery.h"

#include "exporters/cli/agent_client.h"
#include "exporters/cli/cli.h"
#include "exporters/cli/deadline.h"
#include "preload/wire.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FLUSH_TIMEOUT_S = 60, FLUSH_TIMEOUT_MAX_S = 86400, STOP_TIMEOUT_MS = 15000, STOP_POLL_MS = 20 };

static void show_progress(unsigned seconds)
{
    if (isatty(STDERR_FILENO))
        cli_note("waiting for delivery, %u s ...", seconds);
}

/* What went wrong, a line each; the remedy is in the agent's text. */
static void report_errors(const json_t *answer)
{
    size_t i;
    json_t *error;

    json_array_foreach(json_object_get(answer, "errors"), i, error)
    {
        if (json_is_string(error))
            cli_error("%s", json_string_value(error));
    }
}

static int report_flush(const char *text)
{
    json_t *answer = json_loads(text, 0, NULL);
    const char *result = json_string_value(json_object_get(answer, "result"));
    json_int_t exported = json_integer_value(json_object_get(answer, "exported"));
    json_int_t failed = json_integer_value(json_object_get(answer, "failed"));
    int status = CLI_EXIT_FAILED;

    if (!result) {
        cli_error("the agent's answer cannot be read; see 'spanshim log'");
    } else if (strcmp(result, "ok") == 0) {
        status = CLI_EXIT_OK;
        if (isatty(STDERR_FILENO))
            cli_note("delivered: %" JSON_INTEGER_FORMAT " exported", exported);
    } else {
        cli_error("not delivered: %" JSON_INTEGER_FORMAT " exported, %" JSON_INTEGER_FORMAT " not", exported, failed);
        report_errors(answer);
    }
    json_decref(answer);
    return status;
}

/* Whether the answer says that all was delivered; else with the first reason, borrowed from it. */
static bool was_delivered(const json_t *answer, const char **ret_reason)
{
    const char *result = json_string_value(json_object_get(answer, "result"));
    const char *reason = json_string_value(json_array_get(json_object_get(answer, "errors"), 0));

    *ret_reason = reason ? reason : "see 'spanshim log'";
    return result && strcmp(result, "ok") == 0;
}

void delivery_await(const char *path, int timeout_ms)
{
    int connection = agent_client_connect(path);
    char *text = NULL;
    const char *reason;

    if (connection < 0)
        return;
    int err = agent_client_send(connection, WIRE_MESSAGE_FLUSH, "", 0, -1);
    if (!err)
        err = agent_client_receive(connection, timeout_ms, NULL, &text);
    (void)close(connection);
    if (err == -ETIMEDOUT) {
        cli_warning("not everything was delivered within %d ms; SPANSHIM_INIT_TIMEOUT allows more", timeout_ms);
    } else if (!err) {
        json_t *answer = json_loads(text, 0, NULL);

        if (!was_delivered(answer, &reason))
            cli_warning("not everything was delivered: %s", reason);
        json_decref(answer);
    }
    free(text);
}

/* -1 after saying why. */
static int read_timeout_ms(int argc, char **argv)
{
    static const struct option options[] = {{"timeout", required_argument, NULL, 't'}, {0}};
    long seconds = FLUSH_TIMEOUT_S;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        char *end = NULL;

        if (option == 't')
            seconds = strtol(optarg, &end, 10);
        if (option != 't' || end == optarg || *end || seconds < 0 || seconds > FLUSH_TIMEOUT_MAX_S) {
            cli_error("'flush' takes --timeout SECONDS, 0 to %d", FLUSH_TIMEOUT_MAX_S);
            return -1;
        }
    }
    if (!cli_no_arguments("flush", argc - optind + 1, argv + optind - 1))
        return -1;
    return (int)seconds * 1000;
}

int flush_command(int argc, char **argv)
{
    char *answer = NULL;
    int timeout_ms = read_timeout_ms(argc, argv);

    if (timeout_ms < 0)
        return CLI_EXIT_USAGE;
    int err = agent_client_ask(WIRE_MESSAGE_FLUSH, timeout_ms, show_progress, &answer);
    if (err == -ENOENT) {
        cli_note("no agent is running: nothing waits for delivery");
        return CLI_EXIT_OK;
    }
    if (err == -ECONNRESET)
        cli_error("the agent ended before it had answered; see 'spanshim log'");
    if (err)
        return CLI_EXIT_FAILED;
    int status = report_flush(answer);
    free(answer);
    return status;
}

/* It answers, delivers, and then is gone: who starts another one next must not meet this one. */
static int await_end(void)
{
    uint64_t deadline = deadline_in_ms(STOP_TIMEOUT_MS);
    unsigned waited_ms = 0;

    while (agent_client_is_there()) {
        if (deadline_remaining_ms(deadline) == 0) {
            cli_error("the agent does not end; see 'spanshim log'");
            return CLI_EXIT_FAILED;
        }
        (void)poll(NULL, 0, STOP_POLL_MS);
        waited_ms += STOP_POLL_MS;
        if (waited_ms % 1000 == 0)
            show_progress(waited_ms / 1000);
    }
    return CLI_EXIT_OK;
}

/* Root's agent ends for root alone: whether it said so. */
static bool report_refusal(const char *text)
{
    json_t *answer = json_loads(text, 0, NULL);
    const char *error = json_string_value(json_object_get(answer, "error"));
    bool is_refused = error != NULL;

    if (is_refused)
        cli_error("%s", error);
    json_decref(answer);
    return is_refused;
}

int stop_command(int argc, char **argv)
{
    char *answer = NULL;

    if (!cli_no_arguments("stop", argc, argv))
        return CLI_EXIT_USAGE;
    int err = agent_client_ask(WIRE_MESSAGE_STOP, STOP_TIMEOUT_MS, show_progress, &answer);
    bool is_refused = !err && report_refusal(answer);
    free(answer);
    if (is_refused)
        return CLI_EXIT_FAILED;
    if (err == -ENOENT) {
        cli_note("no agent is running");
        return CLI_EXIT_OK;
    }
    return err && err != -ECONNRESET ? CLI_EXIT_FAILED : await_end();
}
