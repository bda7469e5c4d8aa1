/* SPDX-License-Identifier: Apache-2.0 */
/* Where the environment sends traces to, as far as the launcher has to know: whether there is anything to export, and
 * whether a terminal is to be handed to the agent. The settings themselves are the agent's. */
#ifndef SPANSHIM_TELEMETRY_H
#define SPANSHIM_TELEMETRY_H

struct environment;

enum telemetry {
    TELEMETRY_NONE,     /* nothing is exported: no agent is needed */
    TELEMETRY_EXPORTED, /* by the agent, to a receiver or a file */
    TELEMETRY_CONSOLE,  /* (also) shown on this terminal */
};

/* Read the settings. Where nothing is configured the console is chosen, by SPANSHIM_EXPORTERS and not by an OTEL_*
 * variable: the program's own SDK may read those. Context: any. */
enum telemetry telemetry_choose(struct environment *env);

#endif
