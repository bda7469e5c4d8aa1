/* SPDX-License-Identifier: Apache-2.0 */
/* Where the settings send traces to, as far as the launcher has to know: whether there is anything to export, and
 * whether a terminal is to be handed to the agent. The settings themselves are the agent's. */
#ifndef SPANSHIM_TELEMETRY_H
#define SPANSHIM_TELEMETRY_H

#include <stdbool.h>

struct environment;
struct settings;

enum telemetry {
    TELEMETRY_NONE,     /* nothing is exported: no agent is needed */
    TELEMETRY_EXPORTED, /* by the agent, to a receiver or a file */
    TELEMETRY_CONSOLE,  /* (also) shown on this terminal */
};

/* Where nothing says where traces go they are shown on the terminal: SPANSHIM_EXPORTERS is made to say so, and no
 * OTEL_* variable, for the program's own SDK may read those. False: the settings say it, and stay as they are. Context:
 * any. */
bool telemetry_choose_terminal(struct environment *env);

/* Context: any. */
enum telemetry telemetry_of(const struct settings *settings);

#endif
